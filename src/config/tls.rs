//! `[listener.tls]` and `[admin.tls]`: certificates, and whether clients show theirs.
use super::layers::nearest;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use toml::{Table, Value};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// A PEM file: the server's certificate first, then those between it and the root.
    pub certificate: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
    /// Further certificates, chosen by the name that the client asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Pair>,
    /// A PEM file of the roots that client certificates are checked against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    #[serde(default)]
    pub client_certificate: ClientCertificate,
    /// A PEM file of revoked client certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PathBuf>,
    /// Which name of a client certificate is the client's.
    #[serde(default)]
    pub identity: CertificateName,
    #[serde(default)]
    pub version_min: TlsVersion,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificate {
    #[default]
    Off,
    Optional,
    Required,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// The subject's common name.
    #[default]
    Cn,
    /// The first DNS name, e-mail address or URI of the Subject Alternative Name.
    San,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TlsVersion {
    #[default]
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

/// Key, fault, fix.
type Fault = (String, String, String);

/// What a key takes, and an example.
const TLS_KEYS: [(&str, &str); 8] = [
    ("certificate", "certificate = \"certs/server.pem\""),
    ("key", "key = \"certs/server.key\""),
    ("certificates", "certificates = [{ certificate = \"b.pem\", key = \"b.key\" }]"),
    ("client_ca", "client_ca = \"certs/ca.pem\""),
    ("client_certificate", "client_certificate = \"required\"; off, optional and required are there to choose from"),
    ("crl", "crl = \"certs/crl.pem\""),
    ("identity", "identity = \"cn\"; cn and san are there to choose from"),
    ("version_min", "version_min = \"1.3\"; 1.2 and 1.3 are there to choose from"),
];

impl Tls {
    /// What is wrong with a table as it was read: names and kinds. `place` is its own name.
    pub(super) fn misfit(table: &Table, place: &str) -> Option<Fault> {
        let one =
            |(key, example): &(&str, &str)| Some(Self::misfit_key(key, table.get(*key)?, example, place)).flatten();
        unknown(table, place, &TLS_KEYS)
            .or_else(|| Self::missing(|key| table.contains_key(key), place))
            .or_else(|| TLS_KEYS.iter().find_map(one))
    }

    /// What is wrong with one key of its own, for sources that give one at a time.
    pub(super) fn misfit_alone(key: &str, value: &Value, place: &str) -> Option<Fault> {
        let table = Table::from_iter([(key.to_owned(), value.clone())]);
        let known = TLS_KEYS.iter().find(|(known, _)| *known == key);
        unknown(&table, place, &TLS_KEYS).or_else(|| Self::misfit_key(key, value, known?.1, place))
    }

    /// Tells of a key that has to be there, and is not.
    pub(super) fn missing(is_there: impl Fn(&str) -> bool, place: &str) -> Option<Fault> {
        let (key, example) = TLS_KEYS.iter().take(2).find(|(key, _)| !is_there(key))?;
        Some((format!("{place}.{key}"), "missing".to_owned(), format!("write e.g. {example}")))
    }

    fn misfit_key(key: &str, value: &Value, example: &str, place: &str) -> Option<Fault> {
        let mut alone =
            Table::from_iter([("certificate", ""), ("key", "")].map(|(key, path)| (key.to_owned(), path.into())));
        alone.insert(key.to_owned(), value.clone());
        let what = match key {
            "certificates" => format!("{value} is not such a list"),
            "client_certificate" | "identity" | "version_min" => {
                format!("{value} is not one of the values to choose from")
            }
            _ => format!("{value} is not a text in quotes"),
        };
        let is_right = alone.try_into::<Self>().is_ok();
        (!is_right).then(|| (format!("{place}.{key}"), what, format!("write e.g. {example}")))
    }

    /// What is wrong with values that are of the right kind.
    pub(super) fn fault(&self, place: &str) -> Option<Fault> {
        let fault =
            |key: &str, what: &str, fix: &str| Some((format!("{place}.{key}"), what.to_owned(), fix.to_owned()));
        let wants_clients = self.client_certificate != ClientCertificate::Off;
        if wants_clients && self.client_ca.is_none() {
            let fix =
                "name the file of the roots that client certificates come from, e.g. client_ca = \"certs/ca.pem\"";
            return fault("client_ca", "missing, though client certificates are asked for", fix);
        }
        if !wants_clients && (self.crl.is_some() || self.client_ca.is_some()) {
            let key = if self.crl.is_some() { "crl" } else { "client_ca" };
            let fix = "set client_certificate = \"optional\" or \"required\"";
            return fault(key, "of no use, as no client certificates are asked for", fix);
        }
        None
    }
}

/// Tells of a key that is none.
pub(super) fn unknown(table: &Table, prefix: &str, keys: &[(&str, &str)]) -> Option<Fault> {
    let unknown = table.keys().find(|key| keys.iter().all(|(known, _)| known != key))?;
    let known: Vec<_> = keys.iter().map(|(key, _)| (format!("{prefix}.{key}"), Value::Boolean(true))).collect();
    let key = format!("{prefix}.{unknown}");
    let fix = nearest(&key, &known);
    Some((key, "unknown key".to_owned(), fix))
}
