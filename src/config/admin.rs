//! `[admin]`: where operators see and steer the broker, and who may.
use super::Tls;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use toml::{Table, Value};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Admin {
    /// Address and port; "" is off.
    pub address: String,
    /// What somebody on this machine sees without a token.
    pub anonymous: Anonymous,
    /// Names by which the address may be asked for, beside `localhost` and bare addresses.
    pub hosts: Vec<String>,
    pub connections_max: usize,
    pub body_bytes_max: usize,
    pub request_timeout_ms: u64,
    /// Said for an address that others can reach, without TLS.
    pub i_know_this_is_open: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    #[serde(rename = "token")]
    pub tokens: Vec<AdminToken>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: Self::DEFAULT_ADDRESS.to_owned(),
            anonymous: Anonymous::Metrics,
            hosts: Vec::new(),
            connections_max: 64,
            body_bytes_max: 2 << 20,
            request_timeout_ms: 10_000,
            i_know_this_is_open: false,
            tls: None,
            tokens: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anonymous {
    /// Whether the broker is alive and ready.
    Nothing,
    /// Metrics as well.
    Metrics,
    /// Everything that changes nothing.
    Read,
}

/// One credential. The secret is in the file or the environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminToken {
    pub name: String,
    pub role: AdminRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminRole {
    /// Sees everything, changes nothing.
    Read,
    Admin,
}

const KNOWN: [&str; 4] = ["name", "role", "file", "env"];

/// Key, fault, fix.
type Fault = (String, String, String);

fn fault(key: &str, what: impl Into<String>, fix: &str) -> Fault {
    (format!("admin.{key}"), what.into(), fix.to_owned())
}

impl AdminToken {
    /// What is wrong with one entry as it was read: names and kinds.
    pub(super) fn misfit(entry: &Value) -> Option<Fault> {
        let Value::Table(table) = entry else {
            return Some(fault("token", "not a table", "write [[admin.token]] above its settings"));
        };
        if let Some(unknown) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let fix = format!("choose among {}", KNOWN.join(", "));
            return Some(fault(&format!("token.{unknown}"), "unknown key", &fix));
        }
        if let Some(name) = KNOWN.into_iter().find(|name| !is_text(table, name)) {
            return Some(fault(&format!("token.{name}"), "not a text in quotes", "write e.g. name = \"prometheus\""));
        }
        let role = table.get("role").and_then(Value::as_str);
        if !matches!(role, Some("read" | "admin")) {
            return Some(fault("token.role", "neither \"read\" nor \"admin\"", "write role = \"read\""));
        }
        if !table.contains_key("name") {
            return Some(fault("token.name", "missing", "write e.g. name = \"prometheus\""));
        }
        None
    }

    fn fault(&self) -> Option<Fault> {
        if self.name.is_empty() || self.name.contains(|letter: char| letter == ':' || letter.is_control()) {
            let fix = "choose a name of letters and digits";
            return Some(fault("token.name", format!("{:?} cannot be a user name", self.name), fix));
        }
        if self.file.is_some() == self.env.is_some() {
            let what = format!("\"{}\" needs one of file and env", self.name);
            return Some(fault("token", what, "write e.g. file = \"/run/secrets/vowmq-read\""));
        }
        if self.env.as_ref().is_some_and(|env| env.to_uppercase().starts_with("VOWMQ_")) {
            let what = "variables that begin with VOWMQ_ are settings, which `vowmq check` prints";
            return Some(fault("token.env", what, "choose another name, e.g. env = \"ADMIN_TOKEN\""));
        }
        None
    }
}

fn is_text(table: &Table, name: &str) -> bool {
    table.get(name).is_none_or(Value::is_str)
}

impl Admin {
    /// Chosen so that it is no other program's; see conf/vowmq.toml.
    pub const DEFAULT_ADDRESS: &str = "127.0.0.1:18883";

    /// Where to listen; `None` is nowhere.
    pub fn listens_on(&self) -> Option<SocketAddr> {
        self.address.parse().ok()
    }

    /// Whether others can reach it, and its traffic is not encrypted.
    fn is_open(&self) -> bool {
        self.tls.is_none() && self.listens_on().is_some_and(|address| !address.ip().is_loopback())
    }

    fn openness(&self) -> Option<Fault> {
        (self.is_open() && !self.i_know_this_is_open).then(|| {
            let what = format!("{} would send tokens over the network in the clear", self.address);
            let fix = "add [admin.tls], listen on 127.0.0.1 or [::1], or set admin.i_know_this_is_open = true";
            fault("address", what, fix)
        })
    }

    /// What is allowed, but deserves a second look.
    pub(super) fn warning(&self) -> Option<String> {
        let warned = self.is_open() && self.i_know_this_is_open;
        warned.then(|| format!("admin.i_know_this_is_open: {} is not encrypted, tokens included", self.address))
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !self.address.is_empty() && self.listens_on().is_none() {
            let what = format!("\"{}\" is not an address and port", self.address);
            let fix = format!("write e.g. address = \"{}\", or \"\" for none", Self::DEFAULT_ADDRESS);
            faults.push(fault("address", what, &fix));
        }
        for (key, value, least, most) in [
            ("connections_max", self.connections_max, 1, 100_000),
            ("body_bytes_max", self.body_bytes_max, 1024, 268_435_456),
        ] {
            if value < least || value > most {
                let what = format!("{value} is out of range");
                faults.push(fault(key, what, &format!("choose a value from {least} to {most}")));
            }
        }
        if self.request_timeout_ms == 0 {
            faults.push(fault(
                "request_timeout_ms",
                "0 would end every request at once",
                "choose a time in milliseconds",
            ));
        }
        faults.extend(self.tls.as_ref().and_then(|tls| tls.fault("admin.tls")));
        faults.extend(self.openness());
        for (index, token) in self.tokens.iter().enumerate() {
            faults.extend(token.fault());
            if self.tokens.iter().take(index).any(|other| other.name == token.name) {
                let what = format!("\"{}\" is there twice", token.name);
                faults.push(fault("token.name", what, "give each token a name of its own"));
            }
        }
        faults
    }
}
