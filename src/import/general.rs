//! What concerns the whole broker: limits, persistence, the log.
use super::draft::{Draft, Entry};
use super::finding::{Findings, Weight};
use super::options::{number, truth};
use super::sections::{Given, Mosquitto, Settings};
use crate::config::Config;

pub fn translate(mosquitto: &Mosquitto, draft: &mut Draft, findings: &mut Findings) {
    let mut general = General { settings: &mosquitto.global, defaults: Config::default(), draft, findings };
    general.persistence();
    general.expiry();
    general.packets();
    general.queues();
    general.protocol(mosquitto);
    general.log();
    general.plugins();
    general.defaults();
}

struct General<'a> {
    settings: &'a Settings,
    defaults: Config,
    draft: &'a mut Draft,
    findings: &'a mut Findings,
}

impl General<'_> {
    /// The number given for an option.
    fn number(&self, option: &str) -> Option<(Given, i64)> {
        let given = self.settings.last(option)?;
        Some((given.clone(), number(&given.value)?))
    }

    fn put(&mut self, table: &'static str, key: &'static str, value: i64, given: &Given, option: &str) {
        self.draft.put(table, Entry::from(key, value, &given.place, option, &given.value));
    }

    fn tell(&mut self, weight: Weight, given: &Given, option: &str, text: impl Into<String>) {
        self.findings.add(weight, Some(&given.place), option, text);
    }

    fn persistence(&mut self) {
        match self.settings.last("persistence").cloned() {
            Some(given) => {
                let is_on = truth(&given.value).unwrap_or_default();
                let entry = Entry::from("persistence", is_on, &given.place, "persistence", &given.value);
                self.draft.top.push(entry);
            }
            None => {
                let text = "Mosquitto keeps all in memory unless it is told to persist; here sessions, their messages and \
                            retained messages are on disk before they are acknowledged. persistence = false is as before";
                self.findings.add(Weight::Differs, None, "persistence", text);
            }
        }
        let Some(given) = self.settings.last("persistence_location").cloned() else { return };
        let entry = Entry::from("data_dir", data_dir(&given.value), &given.place, "persistence_location", &given.value);
        self.draft.top.push(entry);
        let text = "Mosquitto's file is not read: sessions begin anew when clients connect, and retained messages can be \
                    copied while both run (docs/MIGRATE.md)";
        self.tell(Weight::Differs, &given, "persistence_location", text);
    }

    fn expiry(&mut self) {
        const OPTION: &str = "persistent_client_expiration";
        let Some(given) = self.settings.last(OPTION).cloned() else { return };
        let Some(seconds) = seconds(&given.value) else {
            let text = format!("\"{}\" is no number followed by h, d, w, m or y", given.value);
            return self.tell(Weight::Mistake, &given, OPTION, text);
        };
        self.put("limits", "session_expiry_s_max", seconds, &given, OPTION);
        self.put("mqtt", "session_expiry_311_s", seconds, &given, OPTION);
    }

    fn packets(&mut self) {
        const LEAST: i64 = 1024;
        if let Some((given, bytes)) = self.number("max_packet_size").filter(|(_, bytes)| *bytes > 0) {
            if bytes < LEAST {
                let text = format!("{LEAST} is the least that limits.packet_bytes_max can be");
                self.tell(Weight::Differs, &given, "max_packet_size", text);
            }
            self.put("limits", "packet_bytes_max", bytes.clamp(LEAST, PACKET_MAX), &given, "max_packet_size");
        } else if let Some((given, bytes)) = self.number("message_size_limit").filter(|(_, bytes)| *bytes > 0) {
            let packet = bytes.saturating_add(HEADER_MAX).min(PACKET_MAX);
            self.put("limits", "packet_bytes_max", packet, &given, "message_size_limit");
        } else {
            let text = format!(
                "Mosquitto sets no limit; here it is limits.packet_bytes_max = {}, above which a connection ends. Raise it if \
                 you send larger messages",
                self.defaults.limits.packet_bytes_max
            );
            let given = self.settings.last("max_packet_size").map(|given| given.place.clone());
            self.findings.add(Weight::Differs, given.as_ref(), "max_packet_size", text);
        }
        if let Some((given, _)) = self.number("message_size_limit").filter(|(_, bytes)| *bytes > 0) {
            let text = "a limit on payloads alone is not there; one on whole packets is, which ends the connection, where \
                        Mosquitto drops the message (limits.packet_bytes_max)";
            self.tell(Weight::Missing, &given, "message_size_limit", text);
        }
    }

    fn queues(&mut self) {
        let limits = self.defaults.limits.clone();
        let messages = i64::try_from(limits.queued_messages_max).unwrap_or(i64::MAX);
        let bytes = i64::try_from(limits.queued_bytes_max).unwrap_or(i64::MAX);
        let flying = [("in_flight_max", "max_inflight_messages"), ("receive_max", "max_inflight_messages")];
        let queued = [("queued_messages_max", "max_queued_messages"), ("queued_bytes_max", "max_queued_bytes")];
        let least = [i64::from(u16::MAX), i64::from(u16::MAX), messages, bytes];
        for ((key, option), unlimited) in flying.into_iter().chain(queued).zip(least) {
            let Some((given, limit)) = self.number(option) else { continue };
            if limit > 0 {
                let limit =
                    if key.ends_with("_bytes_max") || key.starts_with("queued") { limit } else { limit.min(65_535) };
                self.put("limits", key, limit, &given, option);
                continue;
            }
            let text = format!("there is always a limit; it is limits.{key} = {unlimited}");
            self.tell(Weight::Differs, &given, option, text);
            if key.ends_with("in_flight_max") || key == "receive_max" {
                self.put("limits", key, unlimited, &given, option);
            }
        }
        for option in ["max_queued_messages", "max_queued_bytes"] {
            let Some(given) = self.settings.last(option).cloned() else { continue };
            let text = "Mosquitto drops in silence what a full queue cannot take; here its publisher is told (0x97), if no \
                        session that is kept took it. queue.on_full = \"drop_newest\" drops, and counts";
            self.tell(Weight::Differs, &given, option, text);
        }
    }

    fn protocol(&mut self, mosquitto: &Mosquitto) {
        if let Some((given, seconds)) = self.number("max_keepalive") {
            // 0 is no limit there, and none here is the largest.
            let seconds = if seconds <= 0 { 65_535 } else { seconds.min(65_535) };
            self.put("limits", "keep_alive_s_max", seconds, &given, "max_keepalive");
        }
        if let Some(given) = self.settings.last("retain_available").cloned() {
            let retain = truth(&given.value).unwrap_or(true);
            self.draft.put("mqtt", Entry::from("retain", retain, &given.place, "retain_available", &given.value));
        }
        if let Some((given, seconds)) = self.number("sys_interval") {
            self.put("sys", "interval_s", seconds.max(0), &given, "sys_interval");
        }
        self.of_all_listeners(mosquitto, "max_qos", "mqtt", "maximum_qos", 2);
        self.of_all_listeners(mosquitto, "max_topic_alias", "limits", "topic_aliases_max", 65_535);
    }

    /// A setting of listeners that is one for the whole broker here: the widest of them.
    fn of_all_listeners(&mut self, from: &Mosquitto, option: &str, table: &'static str, key: &'static str, most: i64) {
        let given: Vec<_> = from.listeners.iter().map(|section| section.settings.last(option)).collect();
        let Some(first) = given.iter().flatten().next().copied() else { return };
        let widest =
            given.iter().flatten().filter_map(|given| Some((number(&given.value)?, *given))).max_by_key(|pair| pair.0);
        let is_same = given.iter().all(|other| other.is_some_and(|other| other.value == first.value));
        if !is_same {
            let text =
                format!("it holds for the whole broker ({table}.{key}), and not for each listener; the widest counts");
            self.tell(Weight::Differs, first, option, text);
        }
        // A listener that says nothing lets all QoS in; of aliases it has fewer than any that is worth telling.
        let is_unlimited = option == "max_qos" && given.iter().any(Option::is_none);
        if let Some((value, given)) = widest.filter(|_| !is_unlimited) {
            self.put(table, key, value.clamp(0, most), given, option);
        }
    }

    fn log(&mut self) {
        const LEVELS: [(&str, &str); 10] = [
            ("none", "off"),
            ("error", "error"),
            ("warning", "warn"),
            ("notice", "info"),
            ("information", "info"),
            ("subscribe", "debug"),
            ("unsubscribe", "debug"),
            ("websockets", "info"),
            ("debug", "debug"),
            ("all", "debug"),
        ];
        let order = ["off", "error", "warn", "info", "debug"];
        let mut chosen: Option<(&str, Given)> = None;
        for given in self.settings.all("log_type").to_vec() {
            let Some((_, level)) = LEVELS.iter().find(|(name, _)| *name == given.value) else {
                self.tell(
                    Weight::Mistake,
                    &given,
                    "log_type",
                    format!("\"{}\" is no type of log message", given.value),
                );
                continue;
            };
            let rank = |level: &str| order.iter().position(|known| *known == level);
            if chosen.as_ref().is_none_or(|(other, _)| rank(other) < rank(level)) {
                chosen = Some((level, given));
            }
        }
        if let Some((level, given)) = chosen {
            self.draft.put("log", Entry::from("level", level, &given.place, "log_type", &given.value));
        }
        for given in self.settings.all("log_dest").to_vec() {
            if given.value == "stderr" {
                continue;
            }
            let text = match given.value.split_whitespace().next() {
                Some("topic") => {
                    "nothing is logged to topics; $SYS/broker/# has counters, and the log goes to standard error"
                }
                Some("none") => "the log goes to standard error; log.level = \"off\" ends it",
                _ => "the log goes to standard error, from where systemd (journalctl -u vowmq) or a container takes it",
            };
            self.tell(Weight::Differs, &given, &format!("log_dest {}", given.value), text);
        }
    }

    fn plugins(&mut self) {
        for option in ["plugin", "auth_plugin", "global_plugin"] {
            for given in self.settings.all(option).to_vec() {
                let text = if given.value.contains("dynamic_security") {
                    "there are no plugins; users of dynamic security go to a password file (vowmq passwd), roles to access \
                     rules (docs/ACCESS.md)"
                } else {
                    "there are no plugins; a web service can decide who is let in (kind = \"http\", docs/AUTHENTICATION.md)"
                };
                self.tell(Weight::Missing, &given, option, text);
            }
        }
    }

    /// Defaults of Mosquitto's that were in force and are others here.
    fn defaults(&mut self) {
        let limits = self.defaults.limits.clone();
        for (option, value, text) in [
            ("max_inflight_messages", "20", format!("limits.in_flight_max and receive_max = {}", limits.in_flight_max)),
            ("max_queued_messages", "1000", format!("limits.queued_messages_max = {}", limits.queued_messages_max)),
            ("max_queued_bytes", "no limit", format!("limits.queued_bytes_max = {}", limits.queued_bytes_max)),
        ] {
            if self.settings.last(option).is_none() {
                let text = format!("it was not given, which was {value} there; here it is {text}");
                self.findings.add(Weight::Differs, None, option, text);
            }
        }
    }
}

/// The largest packet there can be.
const PACKET_MAX: i64 = 268_435_460;
/// What may stand before a payload: a fixed header, a topic, a packet identifier, and few properties.
const HEADER_MAX: i64 = 65_535 + 1024;

/// A directory of our own beside Mosquitto's.
fn data_dir(location: &str) -> String {
    let location = location.trim_end_matches('/');
    if location.split('/').any(|part| part == "mosquitto") {
        let parts: Vec<_> = location.split('/').map(|part| if part == "mosquitto" { "vowmq" } else { part }).collect();
        return parts.join("/");
    }
    format!("{location}/vowmq")
}

/// `14d`, `2m` and so on.
fn seconds(duration: &str) -> Option<i64> {
    const DAY: i64 = 86_400;
    let unit = duration.chars().last()?;
    let count: i64 = duration.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        'h' => 3600,
        'd' => DAY,
        'w' => 7 * DAY,
        'm' => 30 * DAY,
        'y' => 365 * DAY,
        _ => return None,
    };
    // The largest number stands for ever.
    (count > 0).then(|| count.saturating_mul(seconds).min(i64::from(u32::MAX) - 1))
}
