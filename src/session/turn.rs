//! What one batch of input asks of the world.
use super::{AuthenticationStep, Close, Delivery, Dropped, OutgoingPublish, Released};
use crate::packet::{Ack, AckType, Packet, PublishQoS, SubscriptionOptions};
use crate::types::{Message, PacketId, ReasonCode, TopicFilter};
use std::num::NonZeroU32;
use std::sync::Arc;

/// Collects the effects of the inputs handled since it was last emptied. Reused, so that steady traffic allocates nothing.
#[derive(Debug, Default)]
pub struct Turn {
    /// Packets to write, in order.
    pub send: Vec<Outgoing>,
    /// What the broker shall do, in order; it answers with one [`Outcome`] each.
    pub asks: Vec<Ask>,
    /// Changes of a durable session to be persisted together with what the asks bring about.
    pub changes: Vec<Change>,
    /// Queue space given back.
    pub released: Released,
    /// Deliveries given up.
    pub dropped: Vec<Dropped>,
    /// Deliveries on the store's shelf that made room for newer ones.
    pub dropped_unseen: u64,
    /// Deliveries by shared subscriptions that the client may not have any more, for other members.
    pub orphans: Vec<Delivery>,
    /// A step of a re-authentication that has to be checked.
    pub authentication: Option<AuthenticationStep>,
    /// The network connection is to be closed, after `send` has been written.
    pub close: Option<Close>,
}

impl Turn {
    pub fn packet(&mut self, packet: Packet) {
        self.send.push(Outgoing::Packet(Box::new(packet)));
    }

    pub fn ack(&mut self, ack_type: AckType, ack: Ack) {
        self.send.push(Outgoing::Ack(ack_type, ack));
    }

    /// Whether nothing is left in it.
    pub fn is_idle(&self) -> bool {
        let Self { send, asks, changes, released, dropped, dropped_unseen, orphans, authentication, close } = self;
        let is_empty = send.is_empty() && asks.is_empty() && changes.is_empty() && orphans.is_empty();
        let has_none = released.messages == 0 && dropped.is_empty() && *dropped_unseen == 0;
        is_empty && has_none && authentication.is_none() && close.is_none()
    }

    /// The first reason to close stands.
    pub fn close(&mut self, close: Close) {
        self.close.get_or_insert(close);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    Publish(OutgoingPublish),
    Ack(AckType, Ack),
    /// What is rare.
    Packet(Box<Packet>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Publish(Publication),
    Subscribe(Subscribing),
    Unsubscribe(Vec<TopicFilter>),
}

/// A message that a client, or its will, publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Not shared with anybody yet, but made for it: it is passed on many times on its way.
    pub message: Arc<Message>,
    /// How it came: a QoS 2 identifier is stored with the message, in one record.
    pub qos: PublishQoS,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribing {
    pub subscription_id: Option<NonZeroU32>,
    pub filters: Vec<Requested>,
}

/// One filter of a SUBSCRIBE, after the session's own checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    pub filter: TopicFilter,
    pub options: SubscriptionOptions,
    /// Whether the session has no subscription with this filter yet.
    pub is_new: bool,
    /// Granted QoS, or why it is refused; the broker may turn a grant into a refusal.
    pub code: ReasonCode,
}

/// What became of an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Of a publication: Success, No matching subscribers, or the reason why it was not taken.
    Published(ReasonCode),
    /// Of a subscribe: one code per filter.
    Subscribed(Vec<ReasonCode>),
    /// Of an unsubscribe.
    Unsubscribed,
}

/// A change of a durable session's state. Applying one again does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The delivery at this position is finished or given up.
    Done { position: u64 },
    /// The receiver has it (PUBREC): from now on only PUBREL may be sent for this position.
    Received { position: u64 },
    /// The sender released this QoS 2 identifier (PUBREL).
    InboundReleased { id: PacketId },
}

impl Change {
    /// Whether something waits for this change to be durable; the others ride along.
    pub const fn is_awaited(self) -> bool {
        match self {
            Self::Done { .. } => false,
            Self::Received { .. } | Self::InboundReleased { .. } => true,
        }
    }
}
