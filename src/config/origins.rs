//! The settings in force, and which layer each comes from.
use super::layers::{all_settings, known_keys};
use super::{Config, Effect, Sources};
use std::collections::BTreeMap;
use toml::Value;

/// One setting in force. No secret is in it: those are in files, and what an address may hold of them is left out.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    pub key: String,
    pub value: Value,
    pub origin: Origin,
    /// When a change would count.
    pub effect: Effect,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// A file, a variable or a flag.
    Layer(String),
    /// What the layers say now is something else: it stays as it was read before.
    Earlier,
}

impl Config {
    /// Every setting in force, by key. Reads the layers; their mistakes do not matter here.
    pub fn in_force(&self, sources: &Sources) -> Vec<InForce> {
        let set: BTreeMap<_, _> =
            all_settings(sources, &mut Vec::new()).into_iter().map(|setting| (setting.key, setting.source)).collect();
        let wanted: BTreeMap<_, _> =
            Self::load(sources).map(|config| known_keys(&config).into_iter().collect()).unwrap_or_default();
        let defaults: BTreeMap<_, _> = known_keys(&Self::default()).into_iter().collect();
        let told = known_keys(self).into_iter().map(|(key, value)| {
            let origin = match (wanted.get(&key) == Some(&value), set.get(&key)) {
                (true, Some(source)) => Origin::Layer(source.clone()),
                (_, None) if defaults.get(&key) == Some(&value) => Origin::Default,
                _ => Origin::Earlier,
            };
            InForce { effect: Self::effect(&key), value: shown(value), key, origin }
        });
        let mut told: Vec<_> = told.collect();
        told.sort_by(|a, b| a.key.cmp(&b.key));
        told
    }
}

/// A value without what may be a password in an address: the user's part, and what follows the `?`.
fn shown(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_secrets(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(shown).collect()),
        Value::Table(table) => Value::Table(table.into_iter().map(|(key, value)| (key, shown(value))).collect()),
        value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_)) => value,
    }
}

fn without_secrets(text: String) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text };
    let (place, query) = rest.split_once('?').map_or((rest, ""), |(place, _)| (place, "?…"));
    let authority_end = place.find('/').unwrap_or(place.len());
    let (authority, path) = place.split_at(authority_end);
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(_, host)| ("…@", host));
    format!("{scheme}://{user}{host}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin<'a>(told: &'a [InForce], key: &str) -> &'a Origin {
        &told.iter().find(|setting| setting.key == key).unwrap_or_else(|| panic!("no {key}")).origin
    }

    #[test]
    fn each_setting_is_told_with_the_highest_layer_that_sets_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("vowmq.toml");
        std::fs::write(&file, "[limits]\nreceive_max = 7\nin_flight_max = 8\n[log]\nlevel = \"info\"\n").unwrap();
        let sources = Sources {
            file: Some(file.clone()),
            environment: vec![("VOWMQ_LIMITS__IN_FLIGHT_MAX".into(), "9".into())],
            flags: vec![("--log-level", "log.level", "debug".into())],
        };
        let config = Config::load(&sources).unwrap();
        let told = config.in_force(&sources);
        assert_eq!(origin(&told, "limits.receive_max"), &Origin::Layer(file.display().to_string()));
        assert_eq!(origin(&told, "limits.in_flight_max"), &Origin::Layer("VOWMQ_LIMITS__IN_FLIGHT_MAX".into()));
        assert_eq!(origin(&told, "log.level"), &Origin::Layer("--log-level".into()));
        assert_eq!(origin(&told, "limits.packet_bytes_max"), &Origin::Default);
        std::fs::write(&file, "[limits]\nreceive_max = 70\n").unwrap();
        assert_eq!(origin(&config.in_force(&sources), "limits.receive_max"), &Origin::Earlier);
        std::fs::write(&file, "[limits\n").unwrap();
        assert_eq!(origin(&config.in_force(&sources), "limits.receive_max"), &Origin::Earlier);
    }

    #[test]
    fn addresses_are_told_without_passwords() {
        for (given, expected) in [
            ("https://user:secret@host:1/path?key=secret", "https://…@host:1/path?…"),
            ("http://127.0.0.1:4318/v1/traces", "http://127.0.0.1:4318/v1/traces"),
            ("https://host?token=secret", "https://host?…"),
            ("plain@text?", "plain@text?"),
        ] {
            assert_eq!(without_secrets(given.to_owned()), expected);
        }
    }
}
