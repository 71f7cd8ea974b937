//! The settings themselves, with their defaults.
use super::{Admin, QueueFilter};
use crate::types::TopicName;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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
    pub storage: Storage,
    pub sys: Sys,
    pub admin: Admin,
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
            storage: Storage::default(),
            sys: Sys::default(),
            admin: Admin::default(),
            listeners: Listener::built_in(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    pub address: SocketAddr,
    #[serde(default)]
    pub allow_anonymous: bool,
}

impl Listener {
    /// Without any listener in the configuration the broker is there for this machine only.
    pub fn built_in() -> Vec<Self> {
        let here = [SocketAddr::from((Ipv4Addr::LOCALHOST, 1883)), SocketAddr::from((Ipv6Addr::LOCALHOST, 1883))];
        here.into_iter().map(|address| Self { address, allow_anonymous: true }).collect()
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
    /// A level (error, warn, info, debug, trace), or directives such as `info,vowmq::server=debug`.
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
            ("limits.receive_max", usize::from(limits.receive_max), 1, 65_535),
            ("limits.in_flight_max", usize::from(limits.in_flight_max), 1, 65_535),
            ("limits.write_buffer_bytes_max", limits.write_buffer_bytes_max, 1024, 1 << 40),
            ("mqtt.maximum_qos", usize::from(self.mqtt.maximum_qos), 0, 2),
            ("worker_threads", self.worker_threads, 0, 1024),
        ] {
            if value < least || value > most {
                fault(key, format!("{value} is out of range"), &format!("choose a value from {least} to {most}"));
            }
        }
        let storage = &self.storage;
        for (key, value, least, most) in [
            ("storage.memory_mib", storage.memory_mib, 1, 1 << 20),
            ("storage.retained_memory_mib", storage.retained_memory_mib, 1, 1 << 20),
            ("storage.log_mib", storage.log_mib, 1, 1 << 20),
            ("storage.segment_mib", storage.segment_mib, 1, 2048),
        ] {
            if value < least || value > most {
                fault(key, format!("{value} is out of range"), &format!("choose a value from {least} to {most} MiB"));
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
        if tracing_subscriber::EnvFilter::try_new(&self.log.level).is_err() {
            let what = format!("\"{}\" is no log level", self.log.level);
            fault("log.level", what, "choose error, warn, info, debug or trace");
        }
        for (index, listener) in self.listeners.iter().enumerate() {
            if self.listeners.iter().take(index).any(|other| other.address == listener.address) {
                let what = format!("{} is there twice", listener.address);
                fault("listener.address", what, "give each listener an address of its own");
            }
            if listener.allow_anonymous && !listener.address.ip().is_loopback() {
                let what = format!("{} would let anybody in from anywhere", listener.address);
                let fix = "listen on 127.0.0.1 or [::1]; public listeners need authentication, which is not there yet";
                fault("listener.allow_anonymous", what, fix);
            }
        }
        faults.extend(self.admin.faults());
        faults.extend(self.queue.dead_letter_fault());
        faults.extend(super::filters::faults(&self.queue.filters, self.queue.on_full));
        faults
    }

    /// What is allowed, but is hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let closed = self.listeners.iter().filter(|listener| !listener.allow_anonymous);
        let warn = |listener: &Listener| {
            let address = listener.address;
            format!(
                "listener.allow_anonymous: {address} refuses every client, as there is no authentication yet; set it to true"
            )
        };
        // What fits in half a file of the log.
        let stored_bytes_max = usize::try_from(self.storage.segment_mib.min(2048) << 19).unwrap_or(usize::MAX);
        let too_large = self.persistence && self.limits.packet_bytes_max > stored_bytes_max;
        let too_large = too_large.then(|| {
            let bytes = self.limits.packet_bytes_max;
            format!("limits.packet_bytes_max: of {bytes} bytes only messages up to {stored_bytes_max} can be stored; larger ones are refused where they would be")
        });
        closed.map(warn).chain(too_large).collect()
    }
}
