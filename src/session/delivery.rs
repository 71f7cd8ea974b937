//! A message on its way to one session, and the PUBLISH it becomes.
use crate::packet::{PublishFrame, PublishQoS};
use crate::types::{Message, Now, Position, QoS, SubscriptionIds, TopicFilter};
use std::sync::Arc;

/// One message for one session, decided at routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub message: Arc<Message>,
    /// The lower of the published and the granted level [MQTT-3.8.4-8].
    pub qos: QoS,
    /// The RETAIN flag to send.
    pub retain: bool,
    /// Identifiers of all subscriptions that matched.
    pub subscription_ids: SubscriptionIds,
    /// The queue position that the store gave it; `None` where nothing is stored, and the session counts for itself.
    pub position: Option<Position>,
    /// The shared subscription it came by.
    pub share: Option<Arc<TopicFilter>>,
    /// When it has waited for long enough and is given up, if it was not sent; `None` is never.
    pub give_up_at: Option<Now>,
    /// What it counts for against queue limits, see [`Message::cost_bytes`]: kept here, for the message itself is far
    /// away in memory by the time it is acknowledged.
    pub cost_bytes: u32,
    /// The broker's rule for its topic that counts it while it waits; 0 is none.
    pub rule: u8,
}

impl Delivery {
    /// What a message counts for.
    pub fn cost_of(message: &Message) -> u32 {
        // A packet has 256 MiB at most.
        u32::try_from(message.cost_bytes()).unwrap_or(u32::MAX)
    }

    pub fn cost_bytes(&self) -> u64 {
        u64::from(self.cost_bytes)
    }

    /// The PUBLISH to send, as far as it does not depend on the receiver's connection.
    pub(super) fn publish(&self, qos: PublishQoS) -> OutgoingPublish {
        OutgoingPublish::new(self.message.clone(), self.retain, self.subscription_ids.clone(), qos)
    }

    pub(super) fn into_publish(self, qos: PublishQoS) -> OutgoingPublish {
        OutgoingPublish::new(self.message, self.retain, self.subscription_ids, qos)
    }
}

/// A PUBLISH to write. Its parts are shared with every other receiver of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingPublish {
    pub message: Arc<Message>,
    pub dup: bool,
    pub qos: PublishQoS,
    pub retain: bool,
    pub topic_alias: Option<u16>,
    /// Whether the alias is known to the receiver, so that the topic stays out.
    pub alias_only: bool,
    pub expiry_s: Option<u32>,
    pub subscription_ids: SubscriptionIds,
}

impl OutgoingPublish {
    const fn new(message: Arc<Message>, retain: bool, subscription_ids: SubscriptionIds, qos: PublishQoS) -> Self {
        Self {
            message,
            dup: false,
            qos,
            retain,
            topic_alias: None,
            alias_only: false,
            expiry_s: None,
            subscription_ids,
        }
    }

    pub fn frame(&self) -> PublishFrame<'_> {
        PublishFrame {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: if self.alias_only { &[] } else { self.message.topic.as_bytes() },
            topic_alias: self.topic_alias,
            expiry_s: self.expiry_s,
            subscription_ids: self.subscription_ids.as_slice(),
            forward: &self.message.forward,
            payload: &self.message.payload,
        }
    }
}
