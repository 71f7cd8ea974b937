//! What one session may use, and which options the broker offers it.
use crate::types::QoS;

/// Limits of one session. See conf/vowmq.toml for why each is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet a client may send, in bytes; announced to 5.0 clients.
    pub packet_bytes_max: usize,
    pub client_id_bytes_max: usize,
    pub topic_bytes_max: usize,
    pub topic_levels_max: usize,
    pub subscriptions_max: usize,
    /// QoS 1 and 2 publishes a client may have unacknowledged: our Receive Maximum.
    pub receive_max: u16,
    /// Deliveries unacknowledged at once, within the client's own Receive Maximum.
    pub in_flight_max: u16,
    /// Deliveries waiting or in flight for one session.
    pub queued_messages_max: u64,
    pub queued_bytes_max: u64,
    pub topic_aliases_max: u16,
    pub topic_aliases_outbound_max: u16,
    /// Upper bound of Session Expiry Interval, seconds; `u32::MAX` sets none.
    pub session_expiry_s_max: u32,
    /// How long a 3.1.1 session with Clean Session 0 is kept after its connection, seconds; `u32::MAX` is for ever.
    pub session_expiry_311_s: u32,
    /// Upper bound of the keep-alive, seconds; below 65,535 it also bounds clients that ask for none.
    pub keep_alive_s_max: u16,
    pub on_full: OnFull,
    pub refused_311: Refused311,
    pub denied_311: Denied311,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            client_id_bytes_max: 256,
            topic_bytes_max: 65_535,
            topic_levels_max: 128,
            subscriptions_max: 10_000,
            receive_max: 1024,
            in_flight_max: 1024,
            queued_messages_max: 100_000,
            queued_bytes_max: 256 << 20,
            topic_aliases_max: 64,
            topic_aliases_outbound_max: 64,
            session_expiry_s_max: u32::MAX,
            session_expiry_311_s: u32::MAX,
            keep_alive_s_max: u16::MAX,
            on_full: OnFull::Refuse,
            refused_311: Refused311::Withhold,
            denied_311: Denied311::Acknowledge,
        }
    }
}

/// What happens to a message that meets a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// The message is not taken; if no other target took it, its publisher is told.
    #[default]
    Refuse,
    /// The message is dropped and counted; its publisher is told nothing.
    DropNewest,
    /// The oldest message not yet sent makes room.
    DropOldest,
}

/// How a 3.1.1 publisher, whose acknowledgements carry no code, learns that its message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Refused311 {
    /// No acknowledgement: the client keeps the message and sends it again when it reconnects.
    #[default]
    Withhold,
    Disconnect,
}

/// How a 3.1.1 publisher is answered whose message it may not publish [MQTT-3.3.5-2].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denied311 {
    /// Acknowledged, and dropped.
    #[default]
    Acknowledge,
    Disconnect,
}

/// Options of the protocol that an operator may switch off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    pub maximum_qos: QoS,
    pub retain: bool,
    pub wildcard_subscriptions: bool,
    pub subscription_identifiers: bool,
    pub shared_subscriptions: bool,
    /// The value of the CONNACK user property `durability`; `None` leaves it out.
    pub durability: Option<&'static str>,
    /// Whether a store keeps the queues of sessions that outlive their connections, so that they need not be in memory.
    pub has_shelf: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            maximum_qos: QoS::ExactlyOnce,
            retain: true,
            wildcard_subscriptions: true,
            subscription_identifiers: true,
            shared_subscriptions: true,
            durability: None,
            has_shelf: false,
        }
    }
}
