//! From files, variables and flags to one checked [`Config`].
//!
//! The layers are laid over each other by the `config` crate. Before that every key of every layer is tried alone on
//! top of the defaults, so that each mistake is found at once and told with where it stands.
use super::{AdminToken, Authenticator, Config, Listener, Mistake, QueueFilter, Tls};
use config::{File, FileFormat};
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::{Table, Value};

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The conf file; `None` is none.
    pub file: Option<PathBuf>,
    /// Environment variables, all of them: those that begin with `VOWMQ_` count.
    pub environment: Vec<(String, String)>,
    /// Flag, key and value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// One setting of one layer.
pub(super) struct Setting {
    pub source: String,
    pub key: String,
    value: Value,
}

const PREFIX: &str = "VOWMQ_";
/// A table that is not there unless it is given, so that its keys are no defaults.
const ADMIN_TLS: &str = "admin.tls.";

impl Config {
    /// Reads all layers. Every mistake is reported, not just the first.
    pub fn load(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let settings = all_settings(sources, &mut mistakes);
        mistakes.extend(missing_admin_tls(&settings));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let config = merge(&settings).map_err(|mistake| vec![mistake])?;
        let faults = config.faults().into_iter().map(|(key, what, fix)| {
            let is_it = |setting: &&Setting| setting.key == key || key.starts_with(&format!("{}.", setting.key));
            // What is missing from a table is told of where the table is.
            let table = key.rsplit_once('.').filter(|(table, _)| table.contains('.'));
            let is_beside =
                |setting: &&Setting| table.is_some_and(|(table, _)| setting.key.starts_with(&format!("{table}.")));
            let source = settings.iter().rev().find(is_it).or_else(|| settings.iter().rev().find(is_beside));
            let source = source.map_or("defaults".to_owned(), |setting| setting.source.clone());
            Mistake { source, key: Some(key), what, fix }
        });
        let faults: Vec<_> = faults.collect();
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// The effective settings, as a conf file.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are plain tables, numbers and texts")
    }
}

/// What all layers set, the lowest first, with the mistakes in it.
pub(super) fn all_settings(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<Setting> {
    let mut settings = file_settings(sources, mistakes);
    settings.extend(environment_settings(&sources.environment));
    settings.extend(sources.flags.iter().map(|(flag, key, value)| Setting {
        source: (*flag).to_owned(),
        key: (*key).to_owned(),
        value: literal(value),
    }));
    for setting in &mut settings {
        mistakes.extend(setting.check());
    }
    settings
}

fn file_settings(sources: &Sources, mistakes: &mut Vec<Mistake>) -> Vec<Setting> {
    let Some(path) = &sources.file else { return Vec::new() };
    let source = path.display().to_string();
    let mut fail = |what: String, fix: &str| {
        mistakes.push(Mistake { source: source.clone(), key: None, what, fix: fix.to_owned() });
        Vec::new()
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return fail(error.to_string(), "name a file that can be read with --config"),
    };
    match text.parse::<Table>() {
        Ok(table) => {
            let mut settings = Vec::new();
            flatten(&source, "", table, &mut settings);
            settings
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            fail(format!("line {line}: {}", error.message()), "see https://toml.io for how to write it")
        }
    }
}

/// `VOWMQ_LIMITS__PACKET_BYTES_MAX` sets `limits.packet_bytes_max`; `VOWMQ_LISTEN` sets one anonymous listener.
fn environment_settings(environment: &[(String, String)]) -> impl Iterator<Item = Setting> {
    environment.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
        Some(Setting { source: name.clone(), key, value: literal(value) })
    })
}

/// A number or truth value if it looks like one, otherwise a text.
fn literal(value: &str) -> Value {
    match value.parse::<i64>() {
        Ok(number) => Value::Integer(number),
        Err(_) => value.parse::<bool>().map_or_else(|_| Value::String(value.to_owned()), Value::Boolean),
    }
}

fn flatten(source: &str, prefix: &str, table: Table, settings: &mut Vec<Setting>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(table) => flatten(source, &key, table, settings),
            value => settings.push(Setting { source: source.to_owned(), key, value }),
        }
    }
}

impl Setting {
    /// Tries the setting alone on top of the defaults.
    fn check(&mut self) -> Option<Mistake> {
        let told = |key: &str, what: String, fix: String| {
            Some(Mistake { source: self.source.clone(), key: Some(key.to_owned()), what, fix })
        };
        if self.key == "listen" {
            let Some(address) = self.value.as_str().and_then(|text| text.parse::<SocketAddr>().ok()) else {
                return told("listen", format!("{} is no address", self.value), "write e.g. 127.0.0.1:1883".into());
            };
            let listener = Listener::at(address, address.ip().is_loopback());
            self.value = Value::Array(vec![Value::try_from(listener).expect("a listener is a plain table")]);
            self.key = "listener".to_owned();
            return None;
        }
        if let Some(name) = self.key.strip_prefix(ADMIN_TLS) {
            let fault = Tls::misfit_alone(name, &self.value, "admin.tls");
            return fault.and_then(|(key, what, fix)| told(&key, what, fix));
        }
        let known = known_keys(&Config::default());
        let Some(default) = known.iter().find(|(key, _)| *key == self.key).map(|(_, default)| default) else {
            return told(&self.key, "unknown key".into(), nearest(&self.key, &known));
        };
        if let (Value::Array(listeners), "listener") = (&self.value, self.key.as_str()) {
            return listeners.iter().find_map(|entry| super::listener::mistake(&self.source, entry));
        }
        if let (Value::Array(entries), "queue.filter") = (&self.value, self.key.as_str()) {
            return entries.iter().find_map(QueueFilter::misfit).and_then(|(key, what, fix)| told(&key, what, fix));
        }
        if let (Value::Array(entries), "authenticator") = (&self.value, self.key.as_str()) {
            return entries.iter().find_map(Authenticator::misfit).and_then(|(key, what, fix)| told(&key, what, fix));
        }
        if let (Value::Array(entries), "admin.token") = (&self.value, self.key.as_str()) {
            return entries.iter().find_map(AdminToken::misfit).and_then(|(key, what, fix)| told(&key, what, fix));
        }
        if ["queue.filter", "authenticator", "admin.token"].contains(&self.key.as_str()) {
            let fix = format!("write [[{}]] above its settings", self.key);
            return told(&self.key, format!("{} is not a list of tables", self.value), fix);
        }
        if let (Value::Float(_), Some(Ok(number))) = (default, self.value.as_str().map(str::parse)) {
            // The environment and flags know no kinds.
            self.value = Value::Float(number);
        }
        let mut table = Table::try_from(Config::default()).expect("settings are plain tables");
        put(&mut table, &self.key, self.value.clone());
        match table.try_into::<Config>() {
            Ok(_) => None,
            Err(error) => {
                let name = self.key.rsplit('.').next().unwrap_or(&self.key);
                let fix = choices(error.message()).unwrap_or_else(|| format!("write e.g. {name} = {default}"));
                told(&self.key, misfit(&self.value, default), fix)
            }
        }
    }
}

/// `[admin.tls]` without what has to be in it.
fn missing_admin_tls(settings: &[Setting]) -> Option<Mistake> {
    let names = |setting: &Setting| setting.key.strip_prefix(ADMIN_TLS).map(str::to_owned);
    let given: Vec<_> = settings.iter().filter_map(names).collect();
    let source = settings.iter().find(|setting| names(setting).is_some())?.source.clone();
    let (key, what, fix) = Tls::missing(|key| given.iter().any(|given| given == key), "admin.tls")?;
    Some(Mistake { source, key: Some(key), what, fix })
}

/// Every key with its value.
pub(super) fn known_keys(config: &Config) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    flatten("", "", Table::try_from(config).expect("settings are plain tables"), &mut settings);
    settings.into_iter().map(|setting| (setting.key, setting.value)).collect()
}

/// What is wrong with a value that is not of its default's kind.
pub(super) fn misfit(value: &Value, default: &Value) -> String {
    let kind = match (default, value) {
        (Value::Integer(_), Value::Integer(_)) => "is out of range",
        (Value::Integer(_), _) => "is not a whole number",
        (Value::Float(_), _) => "is not a number",
        (Value::Boolean(_), _) => "is neither true nor false",
        (_, Value::String(_)) => "is not one of the values to choose from",
        _ => "is not a text in quotes",
    };
    format!("{value} {kind}")
}

/// The values to choose from, where there is a list of them.
fn choices(message: &str) -> Option<String> {
    let (_, choices) = message.split_once(", expected ")?;
    let choices = choices.strip_prefix("one of ").unwrap_or(choices);
    choices.starts_with('`').then(|| format!("choose {}", choices.replace('`', "")))
}

pub(super) fn nearest(key: &str, known: &[(String, Value)]) -> String {
    let likeness = |other: &str| strsim::jaro_winkler(key, other);
    let best = known.iter().max_by(|(a, _), (b, _)| likeness(a).total_cmp(&likeness(b)));
    match best {
        Some((best, _)) if likeness(best) > 0.75 => format!("did you mean {best}?"),
        _ => "see conf/vowmq.toml for all keys".to_owned(),
    }
}

pub(super) fn put(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((head, rest)) => {
            if let Some(Value::Table(inner)) = table.get_mut(head) {
                put(inner, rest, value);
            }
        }
    }
}

/// Lays the settings over the defaults, later ones over earlier ones.
fn merge(settings: &[Setting]) -> Result<Config, Mistake> {
    let mut builder =
        config::Config::builder().add_source(File::from_str(&Config::default().to_toml(), FileFormat::Toml));
    for setting in settings {
        let mut table = Table::new();
        let mut parts = setting.key.rsplit('.');
        table.insert(parts.next().unwrap_or_default().to_owned(), setting.value.clone());
        for part in parts {
            table = Table::from_iter([(part.to_owned(), Value::Table(table))]);
        }
        builder = builder.add_source(File::from_str(&table.to_string(), FileFormat::Toml));
    }
    builder.build().and_then(config::Config::try_deserialize).map_err(|error| Mistake {
        source: "settings".to_owned(),
        key: None,
        what: error.to_string(),
        fix: "see conf/vowmq.toml for all keys".to_owned(),
    })
}
