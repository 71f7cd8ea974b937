//! Which settings change while the broker runs, and which wait for its next start.
use super::layers::{known_keys, put};
use super::{Config, Sources};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Keys whose changes count at once; `listener` entry by entry.
const AT_ONCE: [&str; 11] = [
    "limits.connections_max",
    "limits.connections_per_address_max",
    "limits.queued_bytes_max",
    "limits.queued_messages_max",
    "limits.retained_bytes_max",
    "limits.retained_messages_max",
    "limits.tls_handshakes_max",
    "listener",
    "log.level",
    "shutdown_grace_ms",
    "sys.interval_s",
];

/// Keys whose changes count for clients that connect from then on: the others were told the old values, or have them built
/// in.
const FOR_NEW_CLIENTS: [&str; 26] = [
    "access.on_denied_publish",
    "authentication.disconnect_removed",
    "limits.client_id_bytes_max",
    "limits.connect_bytes_max",
    "limits.connect_timeout_ms",
    "limits.in_flight_max",
    "limits.keep_alive_s_max",
    "limits.packet_bytes_max",
    "limits.receive_max",
    "limits.session_expiry_s_max",
    "limits.subscriptions_per_session_max",
    "limits.topic_aliases_max",
    "limits.topic_aliases_outbound_max",
    "limits.topic_bytes_max",
    "limits.topic_levels_max",
    "limits.user_properties_max",
    "limits.write_buffer_bytes_max",
    "limits.write_stall_timeout_ms",
    "mqtt.durability_property",
    "mqtt.maximum_qos",
    "mqtt.retain",
    "mqtt.session_expiry_311_s",
    "mqtt.shared_subscriptions",
    "mqtt.subscription_identifiers",
    "mqtt.wildcard_subscriptions",
    "queue.refused_311",
];

/// When a change of a setting counts. What is not named above waits for a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    AtOnce,
    ForNewClients,
    AtRestart,
}

/// What comes of settings that were read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The settings to put in force.
    pub config: Config,
    /// Those among them that are new, but for listeners.
    pub changes: Vec<Change>,
    /// Keys that are different, and stay as they are until the next start.
    pub at_restart: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    pub from: String,
    pub to: String,
}

impl Config {
    /// When a change of this key counts.
    pub fn effect(key: &str) -> Effect {
        if AT_ONCE.contains(&key) {
            Effect::AtOnce
        } else if FOR_NEW_CLIENTS.contains(&key) || (key.starts_with("abuse.") && key != "abuse.remembered_max") {
            Effect::ForNewClients
        } else {
            Effect::AtRestart
        }
    }

    /// Every key with its value as it is written, for reference.
    pub fn keys(&self) -> Vec<(String, String)> {
        known_keys(self).into_iter().map(|(key, value)| (key, value.to_string())).collect()
    }

    /// Reads all layers again, and finds what of it can be put in force now. Each mistake is told in a line of its own.
    pub fn reread(&self, sources: &Sources) -> Result<Takeover, Vec<String>> {
        let wanted =
            Self::load(sources).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        self.take_over(&wanted)
    }

    fn take_over(&self, wanted: &Self) -> Result<Takeover, Vec<String>> {
        let (own, new) = (flat(self), flat(wanted));
        let mut table = table(self);
        let (mut changes, mut at_restart) = (Vec::new(), Vec::new());
        let keys = own.keys().chain(new.keys().filter(|key| !own.contains_key(*key)));
        for key in keys.filter(|key| own.get(*key) != new.get(*key)) {
            match (own.get(key), new.get(key)) {
                (Some(from), Some(to)) if Self::effect(key) != Effect::AtRestart => {
                    put(&mut table, key, to.clone());
                    if key != "listener" {
                        changes.push(Change { key: key.clone(), from: from.to_string(), to: to.to_string() });
                    }
                }
                _ => at_restart.push(key.clone()),
            }
        }
        let config: Self = table.try_into().map_err(|error: toml::de::Error| vec![error.message().to_owned()])?;
        // What waits for a restart may be what the rest relies on.
        let faults = config.faults();
        let told = faults.into_iter().map(|(key, what, fix)| format!("{key}: {what}; {fix}, or restart the broker"));
        let told: Vec<_> = told.collect();
        if told.is_empty() { Ok(Takeover { config, changes, at_restart }) } else { Err(told) }
    }
}

fn table(config: &Config) -> Table {
    Table::try_from(config).expect("settings are plain tables")
}

fn flat(config: &Config) -> BTreeMap<String, Value> {
    known_keys(config).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_keys_are_taken_and_the_others_named() {
        let own = Config::default();
        let mut wanted = own.clone();
        wanted.limits.receive_max = 7;
        wanted.worker_threads = 3;
        wanted.listeners.pop();
        let Takeover { config, changes, at_restart } = own.take_over(&wanted).unwrap();
        assert_eq!((config.limits.receive_max, config.worker_threads), (7, own.worker_threads));
        assert_eq!(config.listeners, wanted.listeners);
        let change = Change { key: "limits.receive_max".into(), from: "1024".into(), to: "7".into() };
        assert_eq!((changes, at_restart), (vec![change], vec!["worker_threads".to_owned()]));
    }

    #[test]
    fn what_relies_on_a_key_that_waits_for_a_restart_is_refused_with_it() {
        let (own, mut wanted) = (Config::default(), Config::default());
        let text = "[[authenticator]]\nname = \"staff\"\nkind = \"certificate\"\n";
        wanted.authenticators = toml::from_str::<Config>(text).unwrap().authenticators;
        wanted.listeners[0].authenticators = Some(vec!["staff".to_owned()]);
        let told = own.take_over(&wanted).unwrap_err();
        assert!(told[0].contains("staff") && told[0].contains("restart"), "{told:?}");
    }

    #[test]
    fn every_live_key_is_a_setting() {
        let known = flat(&Config::default());
        let unknown: Vec<_> = AT_ONCE.iter().chain(&FOR_NEW_CLIENTS).filter(|key| !known.contains_key(**key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
