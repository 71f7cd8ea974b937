//! `[[listener]]`: where clients come in, and by which rules.
use super::tls::unknown;
use super::{ClientCertificate, Mistake, Tls};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use toml::{Table, Value};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Listener {
    /// Exactly one of this and `unix` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The path of a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix: Option<PathBuf>,
    /// The socket's mode, in octal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unix_mode: Option<String>,
    pub allow_anonymous: bool,
    /// The names of the authenticators that are asked here, in this order; without it all are, in theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authenticators: Option<Vec<String>>,
    /// Said for a public address without TLS, or one that lets everybody in.
    #[serde(skip_serializing_if = "is_false")]
    pub i_know_this_is_open: bool,
    /// Connections through this listener at once; 0 sets no limit beside `limits.connections_max`.
    #[serde(skip_serializing_if = "is_zero")]
    pub connections_max: usize,
    #[serde(skip_serializing_if = "is_false")]
    pub websocket: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub websocket_path: Option<String>,
    /// Origins whose pages may connect; empty lets all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub websocket_origins: Vec<String>,
    /// Whether each connection begins with a PROXY header, version 1 or 2.
    #[serde(skip_serializing_if = "is_false")]
    pub proxy_protocol: bool,
    /// The networks whose PROXY headers are believed; from elsewhere nobody is let in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proxy_trusted: Vec<IpNet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Key, fault, fix.
type Fault = (String, String, String);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// What a key takes, and an example.
const KEYS: [(&str, &str); 13] = [
    ("address", "address = \"127.0.0.1:1883\" and allow_anonymous = true"),
    ("unix", "unix = \"/run/vowmq/mqtt.sock\""),
    ("unix_mode", "unix_mode = \"0660\""),
    ("allow_anonymous", "address = \"127.0.0.1:1883\" and allow_anonymous = true"),
    ("authenticators", "authenticators = [\"staff\", \"devices\"]"),
    ("i_know_this_is_open", "i_know_this_is_open = true"),
    ("connections_max", "connections_max = 10000"),
    ("websocket", "websocket = true"),
    ("websocket_path", "websocket_path = \"/mqtt\""),
    ("websocket_origins", "websocket_origins = [\"https://example.org\"]"),
    ("proxy_protocol", "proxy_protocol = true"),
    ("proxy_trusted", "proxy_trusted = [\"10.0.0.0/8\"]"),
    ("tls", "[listener.tls] below it, with certificate and key"),
];
impl Listener {
    pub fn at(address: SocketAddr, allow_anonymous: bool) -> Self {
        Self { address: Some(address), allow_anonymous, ..Self::default() }
    }

    /// Without any listener in the configuration the broker is there for this machine only.
    pub fn built_in() -> Vec<Self> {
        let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)), SocketAddr::from((Ipv6Addr::LOCALHOST, 1883))];
        here.into_iter().map(|address| Self::at(address, true)).collect()
    }

    /// Whether only programs of this machine can reach it.
    pub fn is_local(&self) -> bool {
        self.address.is_none_or(|address| address.ip().is_loopback())
    }

    /// What is wrong with one entry as it was read: names and kinds.
    pub(super) fn misfit(entry: &Value) -> Option<Fault> {
        let Value::Table(table) = entry else {
            let fix = "write [[listener]] above its settings".to_owned();
            return Some(("listener".to_owned(), "not a table".to_owned(), fix));
        };
        if let Some(fault) = unknown(table, "listener", &KEYS) {
            return Some(fault);
        }
        if let Some(tls) = table.get("tls") {
            let Value::Table(tls) = tls else {
                let fix = "write [listener.tls] below the listener".to_owned();
                return Some(("listener.tls".to_owned(), "not a table".to_owned(), fix));
            };
            if let Some(fault) = Tls::misfit(tls, "listener.tls") {
                return Some(fault);
            }
        }
        KEYS.iter().find_map(|(key, example)| misfit_key(table, key, example))
    }

    /// What is wrong with values that are of the right kind.
    pub(super) fn faults(listeners: &[Self]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (index, listener) in listeners.iter().enumerate() {
            let name = listener.to_string();
            if listeners.iter().take(index).any(|other| other.to_string() == name) {
                faults.push(fault(
                    "address",
                    format!("{name} is there twice"),
                    "give each listener an address of its own",
                ));
            }
            faults.extend(listener.fault());
        }
        faults
    }

    fn fault(&self) -> Option<Fault> {
        match (&self.address, &self.unix) {
            (None, None) => {
                let fix = "write e.g. address = \"127.0.0.1:1883\" and allow_anonymous = true";
                return Some(fault("address", "missing".to_owned(), fix));
            }
            (Some(_), Some(_)) => {
                let what = format!("{self} has an address and a Unix socket");
                return Some(fault("unix", what, "write a [[listener]] for each"));
            }
            _ => {}
        }
        if let Some(mode) = &self.unix_mode
            && u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777).is_none()
        {
            let fix = "write octal digits, e.g. unix_mode = \"0660\"";
            return Some(fault("unix_mode", format!("\"{mode}\" is no mode of a file"), fix));
        }
        if self.proxy_protocol && self.proxy_trusted.is_empty() {
            let fix = "name the networks of the proxies, e.g. proxy_trusted = [\"10.0.0.0/8\"]";
            return Some(fault("proxy_trusted", "empty, so that nobody could connect".to_owned(), fix));
        }
        if self.websocket_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
            let fix = "begin it with a slash, e.g. websocket_path = \"/mqtt\"";
            return Some(fault("websocket_path", "no path of a URL".to_owned(), fix));
        }
        if let Some(tls) = &self.tls
            && let Some(found) = tls.fault("listener.tls")
        {
            return Some(found);
        }
        self.openness()
    }

    /// Whether it lets in, or shows to, more people than an operator may think of.
    fn openness(&self) -> Option<Fault> {
        if self.is_local() || self.i_know_this_is_open {
            return None;
        }
        let everybody = self.allow_anonymous && !self.asks_for_certificates();
        if everybody {
            let what = format!("{self} would let anybody in from anywhere");
            let fix = "set it to false, listen on 127.0.0.1 or [::1], or set i_know_this_is_open = true";
            return Some(fault("allow_anonymous", what, fix));
        }
        if self.tls.is_none() {
            let what = format!("{self} would send passwords and messages over the network in the clear");
            let fix = "add [listener.tls], listen on 127.0.0.1 or [::1], or set i_know_this_is_open = true";
            return Some(fault("tls", what, fix));
        }
        None
    }

    fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_certificate == ClientCertificate::Required)
    }

    /// What is allowed, but deserves a second look.
    pub(super) fn warning(&self) -> Option<String> {
        if self.is_local() || !self.i_know_this_is_open {
            return None;
        }
        let anybody = if self.allow_anonymous { ", and lets anybody in" } else { "" };
        let clear = if self.tls.is_none() { " is not encrypted" } else { " is public" };
        Some(format!("listener.i_know_this_is_open: {self}{clear}{anybody}"))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.address, &self.unix) {
            (Some(address), _) => address.fmt(formatter),
            (None, Some(path)) => path.display().fmt(formatter),
            (None, None) => formatter.write_str("a listener without an address"),
        }
    }
}

fn fault(key: &str, what: String, fix: &str) -> Fault {
    (format!("listener.{key}"), what, fix.to_owned())
}

fn misfit_key(table: &Table, key: &str, example: &str) -> Option<Fault> {
    let value = table.get(key)?;
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    let is_right = alone.try_into::<Listener>().is_ok();
    (!is_right).then(|| (format!("listener.{key}"), kind_fault(key, value), format!("write e.g. {example}")))
}

fn kind_fault(key: &str, value: &Value) -> String {
    match key {
        "address" => format!("{value} is not an address and port"),
        "allow_anonymous" | "i_know_this_is_open" | "websocket" | "proxy_protocol" => {
            format!("{value} is neither true nor false")
        }
        "connections_max" => format!("{value} is not a whole number from 0 on"),
        "authenticators" => format!("{value} is no list of names"),
        "proxy_trusted" => format!("{value} is not a list of networks"),
        "websocket_origins" => format!("{value} is not such a list"),
        _ => format!("{value} is not a text in quotes"),
    }
}

/// `Listener::misfit` as a mistake of a source.
pub(super) fn mistake(source: &str, entry: &Value) -> Option<Mistake> {
    let (key, what, fix) = Listener::misfit(entry)?;
    Some(Mistake { source: source.to_owned(), key: Some(key), what, fix })
}
