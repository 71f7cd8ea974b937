//! What is written so that a crash loses nothing that was acknowledged.
use crate::packet::{SubscriptionOptions, Will};
use crate::types::{ClientId, Identity, Message, Now, PacketId, QoS, SessionKey, TopicFilter, TopicName};
use std::sync::Arc;

/// Queue positions are at most this: at a million a second, for a hundred thousand years.
pub const POSITIONS_MAX: u64 = 1 << 62;

/// One change to the durable state. Every record carries its decision, so that applying it twice changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    SessionBegun {
        session: SessionKey,
        client_id: ClientId,
        is_v5: bool,
    },
    /// Whom the session belongs to, as it was known at the last CONNECT. Sessions begun before this was kept have none.
    SessionOwned {
        session: SessionKey,
        owner: Arc<Identity>,
    },
    /// The client connected; until it leaves, the connection counts as open, and as broken after a crash.
    SessionAttached {
        session: SessionKey,
        expiry_s: u32,
        will: Option<Box<Will>>,
    },
    /// The connection ended. Deadlines are absolute; `None` is never. Positions below `sent_below` may have been sent.
    SessionParked {
        session: SessionKey,
        expires_at: Option<Now>,
        will_at: Option<Now>,
        sent_below: u64,
    },
    SessionEnded {
        session: SessionKey,
    },
    Subscribed {
        session: SessionKey,
        filter: TopicFilter,
        options: SubscriptionOptions,
        id: Option<u32>,
    },
    Unsubscribed {
        session: SessionKey,
        filter: TopicFilter,
    },
    /// Retained messages are on their way to a subscription: those of topics up to `after` are in the queue.
    ScanAt {
        session: SessionKey,
        filter: TopicFilter,
        after: Option<TopicName>,
    },
    /// All of them are, or need not be any more.
    ScanOver {
        session: SessionKey,
        filter: TopicFilter,
    },
    Published {
        message: Arc<Message>,
        /// The publisher's session and QoS 2 identifier, if both are to be remembered.
        inbound: Option<(SessionKey, PacketId)>,
        /// Whether the message becomes, or with an empty payload removes, its topic's retained message.
        is_retained: bool,
        targets: Vec<Target>,
    },
    /// The delivery at this position is finished or given up.
    Done {
        session: SessionKey,
        position: u64,
    },
    /// PUBREC came for this position.
    Received {
        session: SessionKey,
        position: u64,
    },
    /// A QoS 2 identifier is open, whose message has been dealt with long ago; written with an image only.
    InboundOpen {
        session: SessionKey,
        id: PacketId,
    },
    /// PUBREL came for this identifier.
    InboundReleased {
        session: SessionKey,
        id: PacketId,
    },
}

/// One durable session that a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub session: SessionKey,
    pub position: u64,
    pub qos: QoS,
    pub retain: bool,
    pub subscription_ids: Option<Arc<[u32]>>,
    /// The shared subscription it came by.
    pub share: Option<Arc<TopicFilter>>,
    /// When it is given up, if it was not sent; `None` is never.
    pub give_up_at: Option<Now>,
}
