//! The durable state as a restart finds it, but for the messages themselves.
use crate::packet::{SubscriptionOptions, Will};
use crate::types::{ClientId, Identity, Now, PacketId, TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub struct SessionImage {
    pub client_id: ClientId,
    pub is_v5: bool,
    /// `None` for a session begun before owners were kept.
    pub owner: Option<Arc<Identity>>,
    pub expiry_s: u32,
    pub will: Option<Box<Will>>,
    pub presence: Presence,
    pub subscriptions: BTreeMap<TopicFilter, (SubscriptionOptions, Option<u32>)>,
    /// Subscriptions to which retained messages are on their way, and the topic up to which they are in the queue.
    pub scans: BTreeMap<TopicFilter, Option<TopicName>>,
    /// QoS 2 identifiers that the client has not released.
    pub inbound: BTreeSet<PacketId>,
    pub queue: QueueImage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The connection was open: after a crash it counts as broken at the restart.
    Attached,
    Parked {
        expires_at: Option<Now>,
        will_at: Option<Now>,
        sent_below: u64,
    },
}

/// A queue from outside. What it holds is read in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueImage {
    /// Everything before is finished.
    pub head: u64,
    /// The position after the highest ever given.
    pub next_position: u64,
    /// Deliveries waiting or sent. After a crash the bytes are an estimate, and exact again once the queue is empty.
    pub messages: u64,
    pub bytes: u64,
}

impl SessionImage {
    pub(super) fn new(client_id: ClientId, is_v5: bool) -> Self {
        Self {
            client_id,
            is_v5,
            owner: None,
            expiry_s: 0,
            will: None,
            presence: Presence::Attached,
            subscriptions: BTreeMap::new(),
            scans: BTreeMap::new(),
            inbound: BTreeSet::new(),
            queue: QueueImage::default(),
        }
    }
}
