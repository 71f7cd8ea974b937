//! The settings themselves, with their defaults.
use super::{
    Abuse, Admin, Authentication, Authenticator, Listener, MemoryMarks, NoLogLevel, QueueFilter, Traces, log_filter,
};
use crate::types::TopicName;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::PathBuf;

/// Everything an operator can set. The field names are the keys of the conf file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub data_dir: PathBuf,
    /// Whether acknowledged messages and sessions are kept on disk.
    pub persistence: bool,
    /// 0 is one per core.
    pub worker_threads: usize,
    pub shutdown_grace_ms: u64,
    pub log: Log,
    pub limits: Limits,
    pub mqtt: Mqtt,
    pub queue: Queue,
    pub access: Access,
    pub storage: Storage,
    pub sys: Sys,
    pub authentication: Authentication,
    /// In the order in which they are asked.
    #[serde(rename = "authenticator")]
    pub authenticators: Vec<Authenticator>,
    pub admin: Admin,
    pub abuse: Abuse,
    pub memory: MemoryMarks,
    pub traces: Traces,
    #[serde(rename = "listener")]
    pub listeners: Vec<Listener>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            persistence: true,
            worker_threads: 0,
            shutdown_grace_ms: 5000,
            log: Log::default(),
            limits: Limits::default(),
            mqtt: Mqtt::default(),
            queue: Queue::default(),
            access: Access::default(),
            storage: Storage::default(),
            sys: Sys::default(),
            authentication: Authentication::default(),
            authenticators: Vec::new(),
            admin: Admin::default(),
            abuse: Abuse::default(),
            memory: MemoryMarks::default(),
            traces: Traces::default(),
            listeners: Listener::built_in(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    pub on_damage: OnDamage,
    /// MiB of queued messages that may be in memory on their way to connected clients; the rest is read back from disk.
    pub memory_mib: u64,
    /// MiB of retained messages that may be in memory; the rest is read back from disk.
    pub retained_memory_mib: u64,
    /// MiB of the delivery log above which its oldest part is put in order.
    pub log_mib: u64,
    /// MiB of one file of the delivery log. A packet must fit in half of it.
    pub segment_mib: u64,
    /// MiB free on the disk below which new messages are refused.
    pub free_mib_min: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            on_damage: OnDamage::Stop,
            memory_mib: 256,
            retained_memory_mib: 256,
            log_mib: 128,
            segment_mib: 32,
            free_mib_min: 128,
        }
    }
}

/// What a start does with a damaged data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDamage {
    Stop,
    /// Repair it and go on, and tell.
    Salvage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// A level (error, warn, info, debug, trace, off), or with levels of parts, such as `info,vowmq::server=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Auto }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Human, with colours on a terminal.
    Auto,
    Human,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub packet_bytes_max: usize,
    pub connect_bytes_max: usize,
    pub connect_timeout_ms: u64,
    pub topic_bytes_max: usize,
    pub topic_levels_max: usize,
    pub client_id_bytes_max: usize,
    pub user_properties_max: usize,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub tls_handshakes_max: usize,
    pub subscriptions_per_session_max: usize,
    pub topic_aliases_max: u16,
    pub topic_aliases_outbound_max: u16,
    pub receive_max: u16,
    pub in_flight_max: u16,
    pub queued_messages_max: u64,
    pub queued_bytes_max: u64,
    pub retained_messages_max: usize,
    pub retained_bytes_max: usize,
    pub mailbox_messages_max: usize,
    pub mailbox_bytes_max: u64,
    pub write_buffer_bytes_max: usize,
    pub write_stall_timeout_ms: u64,
    pub session_expiry_s_max: u32,
    pub keep_alive_s_max: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            connect_bytes_max: 64 << 10,
            connect_timeout_ms: 10_000,
            topic_bytes_max: 65_535,
            topic_levels_max: 128,
            client_id_bytes_max: 256,
            user_properties_max: 64,
            connections_max: 100_000,
            connections_per_address_max: 0,
            tls_handshakes_max: 256,
            subscriptions_per_session_max: 10_000,
            topic_aliases_max: 64,
            topic_aliases_outbound_max: 64,
            receive_max: 1024,
            in_flight_max: 1024,
            queued_messages_max: 100_000,
            queued_bytes_max: 256 << 20,
            retained_messages_max: 1_000_000,
            retained_bytes_max: 1 << 30,
            mailbox_messages_max: 100_000,
            mailbox_bytes_max: 64 << 20,
            write_buffer_bytes_max: 1 << 20,
            write_stall_timeout_ms: 60_000,
            session_expiry_s_max: u32::MAX,
            keep_alive_s_max: u16::MAX,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mqtt {
    /// 0, 1 or 2.
    pub maximum_qos: u8,
    pub retain: bool,
    pub wildcard_subscriptions: bool,
    pub subscription_identifiers: bool,
    pub shared_subscriptions: bool,
    pub shared_strategy: SharedStrategy,
    pub session_expiry_311_s: u32,
    pub durability_property: bool,
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            maximum_qos: 2,
            retain: true,
            wildcard_subscriptions: true,
            subscription_identifiers: true,
            shared_subscriptions: true,
            shared_strategy: SharedStrategy::RoundRobin,
            session_expiry_311_s: u32::MAX,
            durability_property: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharedStrategy {
    RoundRobin,
    LeastInFlight,
    Sticky,
    Random,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    pub on_full: OnFull,
    pub refused_311: Refused,
    /// 0 is no limit.
    pub age_s_max: u32,
    /// Empty is none.
    pub dead_letter_topic: String,
    #[serde(rename = "filter")]
    pub filters: Vec<QueueFilter>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            on_full: OnFull::Refuse,
            refused_311: Refused::Withhold,
            age_s_max: 0,
            dead_letter_topic: String::new(),
            filters: Vec::new(),
        }
    }
}

impl Queue {
    pub fn dead_letter_prefix(&self) -> Option<TopicName> {
        TopicName::try_from(self.dead_letter_topic.as_str()).ok()
    }

    fn dead_letter_fault(&self) -> Option<(String, String, String)> {
        let topic = &self.dead_letter_topic;
        let told = |what: &str| {
            let fix = "write e.g. dead_letter_topic = \"$dead\", or \"\" for none".to_owned();
            Some(("queue.dead_letter_topic".to_owned(), format!("\"{topic}\" {what}"), fix))
        };
        if topic.is_empty() {
            return None;
        }
        if self.dead_letter_prefix().is_none() || topic.ends_with('/') {
            return told("is no topic, or ends with a slash");
        }
        let first = topic.split('/').next();
        if first == Some("$SYS") || first == Some("$share") {
            return told("has a meaning already");
        }
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    Refuse,
    DropNewest,
    DropOldest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    Withhold,
    Disconnect,
}

/// Who may publish and subscribe to what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Rules in VowMQ's own form; empty is none.
    pub file: PathBuf,
    /// Rules in the form of Mosquitto's `acl_file`; empty is none.
    pub mosquitto_file: PathBuf,
    pub on_denied_publish: OnDenied,
}

impl Access {
    fn fault(&self) -> Option<(String, String, String)> {
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        (is_set(&self.file) && is_set(&self.mosquitto_file)).then(|| {
            let what = "set together with access.file, and one file of rules is all there may be";
            ("access.mosquitto_file".to_owned(), what.to_owned(), "keep one of the two".to_owned())
        })
    }
}

/// What a 3.1.1 client is told that publishes what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDenied {
    #[default]
    Ack,
    Disconnect,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sys {
    pub interval_s: u64,
}

impl Default for Sys {
    fn default() -> Self {
        Self { interval_s: 10 }
    }
}

/// What is wrong with a number that has to lie in a range, and what to do.
fn misfit<N: PartialOrd + Display>(value: N, least: N, most: N, unit: &str) -> Option<(String, String)> {
    if (&least..=&most).contains(&&value) {
        return None;
    }
    Some((format!("{value} is out of range"), format!("choose a value from {least} to {most}{unit}")))
}

impl Config {
    /// What is wrong with values that are of the right type: key, fault, fix.
    pub(super) fn faults(&self) -> Vec<(String, String, String)> {
        let mut faults = Vec::new();
        let mut fault = |key: &str, what: String, fix: &str| faults.push((key.to_owned(), what, fix.to_owned()));
        let limits = &self.limits;
        for (key, value, least, most) in [
            ("limits.packet_bytes_max", limits.packet_bytes_max, 1024, 268_435_460),
            ("limits.connect_bytes_max", limits.connect_bytes_max, 256, 268_435_460),
            ("limits.topic_bytes_max", limits.topic_bytes_max, 1, 65_535),
            ("limits.topic_levels_max", limits.topic_levels_max, 1, 65_535),
            ("limits.client_id_bytes_max", limits.client_id_bytes_max, 23, 65_535),
            ("limits.connections_max", limits.connections_max, 1, 10_000_000),
            ("limits.tls_handshakes_max", limits.tls_handshakes_max, 1, 1_000_000),
            ("limits.receive_max", usize::from(limits.receive_max), 1, 65_535),
            ("limits.in_flight_max", usize::from(limits.in_flight_max), 1, 65_535),
            ("limits.write_buffer_bytes_max", limits.write_buffer_bytes_max, 1024, 1 << 40),
            ("mqtt.maximum_qos", usize::from(self.mqtt.maximum_qos), 0, 2),
            ("worker_threads", self.worker_threads, 0, 1024),
            ("authentication.threads", self.authentication.threads, 1, 1024),
            ("authentication.queued_logins_max", self.authentication.queued_logins_max, 1, 1_000_000),
        ] {
            if let Some((what, fix)) = misfit(value, least, most, "") {
                fault(key, what, &fix);
            }
        }
        for (key, value, least, most) in self.abuse.ranges() {
            if let Some((what, fix)) = misfit(value, least, most, "") {
                fault(key, what, &fix);
            }
        }
        let storage = &self.storage;
        for (key, value, least, most) in [
            ("storage.memory_mib", storage.memory_mib, 1, 1 << 20),
            ("storage.retained_memory_mib", storage.retained_memory_mib, 1, 1 << 20),
            ("storage.log_mib", storage.log_mib, 1, 1 << 20),
            ("storage.segment_mib", storage.segment_mib, 1, 2048),
        ] {
            if let Some((what, fix)) = misfit(value, least, most, " MiB") {
                fault(key, what, &fix);
            }
        }
        for (key, value) in [
            ("limits.connect_timeout_ms", limits.connect_timeout_ms),
            ("limits.write_stall_timeout_ms", limits.write_stall_timeout_ms),
        ] {
            if value == 0 {
                fault(key, "0 would close every connection at once".into(), "choose a time in milliseconds");
            }
        }
        if let Err(NoLogLevel { word }) = log_filter(&self.log.level) {
            fault("log.level", format!("\"{word}\" is no log level"), NoLogLevel::FIX);
        }
        faults.extend(self.access.fault());
        faults.extend(self.admin.faults());
        faults.extend(self.traces.faults());
        faults.extend(Listener::faults(&self.listeners));
        faults.extend(self.queue.dead_letter_fault());
        faults.extend(super::filters::faults(&self.queue.filters, self.queue.on_full));
        faults.extend(super::authenticators::faults(&self.authenticators, &self.listeners));
        faults
    }

    /// What is allowed, but is hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let asks_nobody = |listener: &&Listener| match &listener.authenticators {
            Some(names) => names.is_empty(),
            None => self.authenticators.is_empty(),
        };
        let closed = self.listeners.iter().filter(|listener| !listener.allow_anonymous).filter(asks_nobody);
        let warn = |listener: &Listener| {
            format!(
                "listener.authenticators: {listener} refuses every client, as it has no authenticator; write an \
                 [[authenticator]], or set allow_anonymous to true"
            )
        };
        let open = self.listeners.iter().filter_map(Listener::warning);
        // What fits in half a file of the log.
        let stored_bytes_max = usize::try_from(self.storage.segment_mib.min(2048) << 19).unwrap_or(usize::MAX);
        let too_large = self.persistence && self.limits.packet_bytes_max > stored_bytes_max;
        let too_large = too_large.then(|| {
            let bytes = self.limits.packet_bytes_max;
            format!("limits.packet_bytes_max: of {bytes} bytes only messages up to {stored_bytes_max} can be stored; larger ones are refused where they would be")
        });
        let unsafe_sources = super::authenticators::warnings(&self.authenticators);
        closed
            .map(warn)
            .chain(open)
            .chain(self.admin.warning())
            .chain(self.traces.warning())
            .chain(too_large)
            .chain(unsafe_sources)
            .collect()
    }
}
