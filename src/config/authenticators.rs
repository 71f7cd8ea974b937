//! `[[authenticator]]`: the ways in which a client can prove who it is.
use super::filters::Fault;
use super::layers::{misfit, nearest};
use super::{Authenticator, Kind, Listener};
use std::net::IpAddr;
use std::path::Path;
use toml::{Table, Value};

const KINDS: [&str; 5] = ["password_file", "certificate", "jwt", "http", "scram"];

fn fault(name: &str, what: impl Into<String>, fix: impl Into<String>) -> Fault {
    (format!("authenticator.{name}"), what.into(), fix.into())
}

impl Authenticator {
    /// What is wrong with one entry as it was read: names and kinds.
    pub(super) fn misfit(entry: &Value) -> Option<Fault> {
        let Value::Table(table) = entry else {
            let fix = "write [[authenticator]] above its settings";
            return Some(("authenticator".to_owned(), "not a table".to_owned(), fix.to_owned()));
        };
        let kinds = format!("choose {}", KINDS.join(", "));
        let kind = match table.get("kind") {
            Some(Value::String(kind)) if KINDS.contains(&kind.as_str()) => kind.as_str(),
            Some(value) => {
                return Some(fault("kind", format!("{value} is not one of the values to choose from"), kinds));
            }
            None => return Some(fault("kind", "missing", kinds)),
        };
        let example = example(kind);
        let known: Vec<_> =
            example.iter().map(|(key, value)| (format!("authenticator.{key}"), value.clone())).collect();
        for (key, value) in table {
            let Some(expected) = example.get(key) else {
                return Some(fault(key, "unknown key", nearest(&format!("authenticator.{key}"), &known)));
            };
            let mut tried = example.clone();
            tried.insert(key.clone(), value.clone());
            if tried.try_into::<Self>().is_err() {
                return Some(fault(key, misfit(value, expected), fix(key, expected)));
            }
        }
        let required = ["name", "file", "algorithm", "url"];
        let missing = required.into_iter().find(|key| example.contains_key(*key) && !table.contains_key(*key))?;
        Some(fault(missing, "missing", fix(missing, example.get(missing)?)))
    }

    /// What is wrong with values that are of the right kind.
    fn fault(&self) -> Option<Fault> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            let what = format!("\"{}\" is no name", self.name);
            return Some(fault("name", what, "use letters, digits, - and _"));
        }
        match &self.kind {
            Kind::PasswordFile { file } | Kind::Scram { file } => {
                let fix = "write e.g. file = \"/etc/vowmq/users\"; vowmq passwd makes one";
                is_empty(file).then(|| fault("file", "no file is named", fix))
            }
            Kind::Certificate { .. } => None,
            Kind::Jwt(jwt) => jwt.fault(),
            Kind::Http(http) => http.fault(),
        }
    }
}

impl super::Jwt {
    fn fault(&self) -> Option<Fault> {
        match (&self.key_file, &self.jwks_file) {
            (Some(key), None) if !is_empty(key) => {}
            (None, Some(set)) if !is_empty(set) => {}
            (Some(_), Some(_)) => return Some(fault("jwks_file", "there is a key_file too", "keep one of them")),
            (Some(_), None) | (None, Some(_) | None) => {
                let fix = "write e.g. key_file = \"/etc/vowmq/jwt.pem\", or jwks_file for a JSON Web Key Set";
                return Some(fault("key_file", "no key is named", fix));
            }
        }
        self.user_claim.is_empty().then(|| fault("user_claim", "no claim is named", "write e.g. user_claim = \"sub\""))
    }
}

impl super::Http {
    fn fault(&self) -> Option<Fault> {
        if host(&self.url).is_none() {
            let what = format!("\"{}\" is no address of a web service", shown(&self.url));
            return Some(fault("url", what, "write e.g. url = \"https://auth.example.com/mqtt\""));
        }
        if self.url.contains('@') {
            let fix = "let the service tell its callers apart by network or by client certificate of a proxy";
            return Some(fault("url", "it holds a user and a password, which would be told in logs", fix));
        }
        for (key, value, most) in [
            ("timeout_ms", self.timeout_ms, 600_000),
            ("requests_max", self.requests_max as u64, 1024),
            ("queued_logins_max", self.queued_logins_max as u64, 1_000_000),
        ] {
            if value == 0 || value > most {
                return Some(fault(
                    key,
                    format!("{value} is out of range"),
                    format!("choose a value from 1 to {most}"),
                ));
            }
        }
        None
    }

    /// Whether passwords would travel readable for others.
    fn is_readable(&self) -> bool {
        let is_here = |host: &str| {
            let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
            host == "localhost" || address.is_ok_and(|address| address.is_loopback())
        };
        self.url.starts_with("http://") && !host(&self.url).is_some_and(is_here)
    }
}

/// The host of an `http` or `https` address.
fn host(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.rfind(']') {
        Some(end) => authority.get(..=end)?,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// An address without what may be a password in it.
fn shown(url: &str) -> &str {
    url.rsplit('@').next().unwrap_or_default()
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Every key of a kind, with a value of the right type.
fn example(kind: &str) -> Table {
    let kind = match kind {
        "certificate" => Kind::Certificate { user_must_match: true },
        "jwt" => Kind::Jwt(super::Jwt {
            key_file: Some("/etc/vowmq/jwt.pem".into()),
            jwks_file: Some("/etc/vowmq/jwks.json".into()),
            ..super::Jwt::default()
        }),
        "http" => Kind::Http(super::Http {
            url: "https://auth.example.com/mqtt".to_owned(),
            ca_file: Some("/etc/vowmq/ca.pem".into()),
            ..super::Http::default()
        }),
        "scram" => Kind::Scram { file: "/etc/vowmq/users".into() },
        _ => Kind::PasswordFile { file: "/etc/vowmq/users".into() },
    };
    Table::try_from(Authenticator { name: "staff".to_owned(), kind }).expect("an authenticator is a plain table")
}

fn fix(key: &str, expected: &Value) -> String {
    match key {
        "algorithm" => {
            "choose HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA".into()
        }
        _ => format!("write e.g. {key} = {expected}"),
    }
}

/// The faults of all entries, and of the listeners' references to them.
pub(super) fn faults(authenticators: &[Authenticator], listeners: &[Listener]) -> Vec<Fault> {
    let mut faults: Vec<_> = authenticators.iter().filter_map(Authenticator::fault).collect();
    for (index, one) in authenticators.iter().enumerate() {
        if authenticators.iter().take(index).any(|other| other.name == one.name) {
            let what = format!("\"{}\" is there twice", one.name);
            faults.push(fault("name", what, "give each authenticator a name of its own"));
        }
    }
    for name in listeners.iter().flat_map(|listener| listener.authenticators.iter().flatten()) {
        if !authenticators.iter().any(|one| one.name == *name) {
            let known: Vec<_> = authenticators.iter().map(|one| one.name.as_str()).collect();
            let fix = match known.as_slice() {
                [] => "write an [[authenticator]] with this name".to_owned(),
                known => format!("choose among {}", known.join(", ")),
            };
            faults.push(("listener.authenticators".to_owned(), format!("there is no authenticator \"{name}\""), fix));
        }
    }
    faults
}

/// What is allowed, but is hardly meant.
pub(super) fn warnings(authenticators: &[Authenticator]) -> impl Iterator<Item = String> {
    authenticators.iter().filter_map(|one| match &one.kind {
        Kind::Http(http) if http.is_readable() => Some(format!(
            "authenticator.url: {} sends passwords over {} readable for everybody on the way; use https",
            one.name, http.url
        )),
        Kind::Http(_) | Kind::PasswordFile { .. } | Kind::Certificate { .. } | Kind::Jwt(_) | Kind::Scram { .. } => {
            None
        }
    })
}
