//! From the configuration to what each floor needs.
use crate::abuse::{Pattern, Rate, Rules};
use crate::broker::{AbuseSettings, MailboxLimits, Marks, QueueRule, QueueSettings, Rates, Settings};
use crate::codec;
use crate::config;
use crate::config::Config;
use crate::machine;
use crate::routing::Strategy;
use crate::session::{Denied311, Features, Limits, OnFull, Refused311};
use crate::store::Options;
use crate::types::QoS;
use std::time::Duration;

/// Limits of the connection loop.
#[derive(Debug, Clone)]
pub(crate) struct LinkLimits {
    pub decoding: codec::Limits,
    pub connect_timeout: Duration,
    /// Bytes written but not taken by the peer above which nothing more is prepared for it.
    pub write_buffer_bytes_max: usize,
    /// How long the peer may take none of them.
    pub write_stall_timeout: Duration,
    /// Whether a client goes when what it was let in by is taken back.
    pub disconnect_removed: bool,
}

pub(super) fn link(config: &Config) -> LinkLimits {
    let limits = &config.limits;
    LinkLimits {
        decoding: decoding(config),
        connect_timeout: Duration::from_millis(limits.connect_timeout_ms),
        write_buffer_bytes_max: limits.write_buffer_bytes_max,
        write_stall_timeout: Duration::from_millis(limits.write_stall_timeout_ms),
        disconnect_removed: config.authentication.disconnect_removed,
    }
}

fn decoding(config: &Config) -> codec::Limits {
    let limits = &config.limits;
    codec::Limits {
        packet_bytes_max: limits.packet_bytes_max,
        connect_bytes_max: limits.connect_bytes_max,
        user_properties_max: limits.user_properties_max,
        topic_bytes_max: limits.topic_bytes_max,
        topic_levels_max: limits.topic_levels_max,
    }
}

pub(super) fn broker(config: &Config, seed: u64) -> Settings {
    let (limits, mqtt) = (&config.limits, &config.mqtt);
    Settings {
        limits: Limits {
            packet_bytes_max: limits.packet_bytes_max,
            client_id_bytes_max: limits.client_id_bytes_max,
            topic_bytes_max: limits.topic_bytes_max,
            topic_levels_max: limits.topic_levels_max,
            subscriptions_max: limits.subscriptions_per_session_max,
            receive_max: limits.receive_max,
            in_flight_max: limits.in_flight_max,
            queued_messages_max: limits.queued_messages_max,
            queued_bytes_max: limits.queued_bytes_max,
            topic_aliases_max: limits.topic_aliases_max,
            topic_aliases_outbound_max: limits.topic_aliases_outbound_max,
            session_expiry_s_max: limits.session_expiry_s_max,
            session_expiry_311_s: mqtt.session_expiry_311_s,
            keep_alive_s_max: limits.keep_alive_s_max,
            on_full: on_full(config.queue.on_full),
            refused_311: refused_311(config.queue.refused_311),
            denied_311: denied_311(config.access.on_denied_publish),
        },
        features: Features {
            maximum_qos: QoS::from_bits(mqtt.maximum_qos).unwrap_or(QoS::ExactlyOnce),
            retain: mqtt.retain,
            wildcard_subscriptions: mqtt.wildcard_subscriptions,
            subscription_identifiers: mqtt.subscription_identifiers,
            shared_subscriptions: mqtt.shared_subscriptions,
            durability: mqtt.durability_property.then_some(durability(config)),
            has_shelf: config.persistence,
        },
        mailbox_limits: MailboxLimits {
            messages_max: limits.mailbox_messages_max,
            bytes_max: limits.mailbox_bytes_max,
        },
        queue: queue(config),
        retained_messages_max: limits.retained_messages_max,
        retained_bytes_max: limits.retained_bytes_max,
        retained_memory_bytes_max: usize::try_from(config.storage.retained_memory_mib << 20).unwrap_or(usize::MAX),
        shared_strategy: strategy(mqtt.shared_strategy),
        abuse: abuse(&config.abuse),
        memory_marks: marks(&config.memory, machine::memory_bytes_max()),
        seed,
    }
}

fn abuse(abuse: &config::Abuse) -> AbuseSettings {
    let ms = |seconds: u32| u64::from(seconds) * 1000;
    let rates = |rates: config::Rates| {
        let rate = |per_second| Rate::new(per_second, abuse.burst_s);
        Rates {
            connects: rate(rates.connects_per_second_max),
            messages: rate(rates.messages_per_second_max),
            bytes: rate(rates.bytes_per_second_max),
            subscriptions: rate(rates.subscriptions_per_second_max),
        }
    };
    AbuseSettings {
        exempt: abuse.exempt.clone(),
        rules: Rules {
            failures_max: abuse.failed_logins_max,
            address_failures_max: abuse.failed_logins_per_address_max,
            window_ms: ms(abuse.failed_logins_window_s),
            ban_ms: ms(abuse.ban_s),
            ban_ms_max: ms(abuse.ban_s_max.max(abuse.ban_s)),
        },
        pattern: Pattern {
            connects_max: abuse.client_connects_max,
            window_ms: ms(abuse.client_connects_window_s),
            refused_ms: ms(abuse.client_refused_s),
        },
        remembered_max: abuse.remembered_max,
        address: rates(abuse.address),
        user: rates(abuse.user),
        client: rates(abuse.client),
    }
}

/// Marks that are not set are parts of what the process may have; where that is not known there are none.
fn marks(memory: &config::MemoryMarks, bytes_max: Option<u64>) -> Marks {
    let mark = |mib: u64, percent: u64| match (mib, bytes_max) {
        (0, Some(bytes)) => bytes / 100 * percent,
        (0, None) => u64::MAX,
        (mib, _) => mib.saturating_mul(1 << 20),
    };
    let slow_publishers_at = mark(memory.slow_publishers_at_mib, 70);
    let refuse_connects_at = mark(memory.refuse_connects_at_mib, 85).max(slow_publishers_at);
    let mib = |bytes: u64| bytes >> 20;
    let (slow_mib, refuse_mib) = (mib(slow_publishers_at), mib(refuse_connects_at));
    tracing::info!(slow_mib, refuse_mib, "memory above these marks slows publishers, and refuses new clients");
    Marks { slow_publishers_at, refuse_connects_at }
}

/// How the store is laid out.
pub(super) fn store(config: &Config) -> Options {
    let storage = &config.storage;
    Options {
        segment_bytes: storage.segment_mib << 20,
        log_bytes_max: storage.log_mib << 20,
        ..Options::new(crate::clock::seed())
    }
}

fn queue(config: &Config) -> QueueSettings {
    let queue = &config.queue;
    let rules = queue.filters.iter().filter_map(|entry| {
        Some(QueueRule {
            filter: entry.parsed()?,
            messages_max: entry.messages_max.unwrap_or(u64::MAX),
            bytes_max: entry.bytes_max.unwrap_or(u64::MAX),
            age_s_max: entry.age_s_max.unwrap_or(queue.age_s_max),
            on_full: on_full(entry.on_full.unwrap_or(queue.on_full)),
        })
    });
    QueueSettings {
        age_s_max: queue.age_s_max,
        rules: rules.collect(),
        dead_letter_topic: queue.dead_letter_prefix(),
        // What half a segment holds fits in a group of the log with room to spare.
        record_bytes_max: config.storage.segment_mib << 19,
        ..QueueSettings::default()
    }
}

/// What an acknowledgement is worth.
pub(super) fn durability(config: &Config) -> &'static str {
    if config.persistence { "fsync" } else { "memory" }
}

fn on_full(setting: config::OnFull) -> OnFull {
    match setting {
        config::OnFull::Refuse => OnFull::Refuse,
        config::OnFull::DropNewest => OnFull::DropNewest,
        config::OnFull::DropOldest => OnFull::DropOldest,
    }
}

fn refused_311(setting: config::Refused) -> Refused311 {
    match setting {
        config::Refused::Withhold => Refused311::Withhold,
        config::Refused::Disconnect => Refused311::Disconnect,
    }
}

fn denied_311(setting: config::OnDenied) -> Denied311 {
    match setting {
        config::OnDenied::Ack => Denied311::Acknowledge,
        config::OnDenied::Disconnect => Denied311::Disconnect,
    }
}

fn strategy(setting: config::SharedStrategy) -> Strategy {
    match setting {
        config::SharedStrategy::RoundRobin => Strategy::RoundRobin,
        config::SharedStrategy::LeastInFlight => Strategy::LeastInFlight,
        config::SharedStrategy::Sticky => Strategy::Sticky,
        config::SharedStrategy::Random => Strategy::Random,
    }
}
