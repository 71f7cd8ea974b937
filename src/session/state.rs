//! What of a session outlives a network connection (section 4.1).
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::{Change, Delivery, Limits, OnFull, Released, Turn};
use crate::packet::{SubscriptionOptions, Will};
use crate::types::{ClientId, CommitSeq, Message, Now, PacketId, QoS, Rare, SmallMap, Stamp, TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// A subscription as the session remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribed {
    pub options: SubscriptionOptions,
    pub id: Option<NonZeroU32>,
}

#[derive(Debug)]
pub(super) struct State {
    pub client_id: ClientId,
    pub limits: Arc<Limits>,
    /// Whether the session outlives its connection, so that its changes are persisted.
    pub is_durable: bool,
    pub subscriptions: SmallMap<TopicFilter, Subscribed>,
    /// Subscriptions to which retained messages are on their way, and the topic up to which they are in the queue.
    pub scans: Rare<BTreeMap<TopicFilter, Option<TopicName>>>,
    pub inbound: Inbound,
    pub outbound: Outbound,
    pub will: Option<Box<Will>>,
    /// Session Expiry Interval in force, seconds.
    pub expiry_s: u32,
    /// The last commit that holds a change of this session.
    pub submitted: CommitSeq,
}

impl State {
    pub fn new(client_id: ClientId, limits: Arc<Limits>, expiry_s: u32, has_shelf: bool) -> Self {
        let is_durable = expiry_s > 0;
        let outbound = if is_durable && has_shelf { Outbound::with_shelf() } else { Outbound::default() };
        Self {
            client_id,
            limits,
            is_durable,
            subscriptions: SmallMap::default(),
            scans: Rare::default(),
            inbound: Inbound::default(),
            outbound,
            will: None,
            expiry_s,
            submitted: CommitSeq::default(),
        }
    }

    /// Appends a delivery of QoS 1 or 2 to the queue; `may_hold` if there is room for it in memory.
    pub fn enqueue(&mut self, delivery: Delivery, may_hold: bool, turn: &mut Turn) {
        debug_assert_ne!(delivery.qos, QoS::AtMostOnce);
        self.outbound.push(delivery, may_hold);
        self.keep_limits(turn);
    }

    /// Appends deliveries that went to the shelf without coming by.
    pub fn shelve(&mut self, end: u64, added: &Released, turn: &mut Turn) {
        self.outbound.shelve(end, added);
        self.keep_limits(turn);
    }

    fn keep_limits(&mut self, turn: &mut Turn) {
        if self.limits.on_full == OnFull::DropOldest {
            let Limits { queued_messages_max, queued_bytes_max, .. } = *self.limits;
            let is_durable = self.is_durable;
            self.outbound.make_room(queued_messages_max, queued_bytes_max, |position| {
                changed(is_durable, turn, Change::Done { position });
            });
        }
    }

    /// Remembers how far the retained messages for a subscription have come.
    pub fn scan_at(&mut self, filter: TopicFilter, after: Option<TopicName>) {
        self.scans.edit().insert(filter, after);
    }

    pub fn scan_over(&mut self, filter: &TopicFilter) {
        let is_last = self.scans.get_mut().is_some_and(|scans| {
            scans.remove(filter);
            scans.is_empty()
        });
        if is_last {
            self.scans.clear();
        }
    }

    pub fn change(&self, turn: &mut Turn, change: Change) {
        changed(self.is_durable, turn, change);
    }

    /// Hands over what the queue gave up and gave back.
    pub fn report(&mut self, turn: &mut Turn) {
        self.outbound.hand_released_to(&mut turn.released);
        if let Some(mut given_up) = self.outbound.take_given_up() {
            turn.dropped.append(&mut given_up.dropped);
            turn.orphans.append(&mut given_up.orphans);
            turn.dropped_unseen += given_up.dropped_unseen;
        }
    }
}

/// Only durable sessions have something to persist.
pub(super) fn changed(is_durable: bool, turn: &mut Turn, change: Change) {
    if is_durable {
        turn.changes.push(change);
    }
}

/// The message that a will becomes when its time has come.
pub(super) fn will_message(will: Will, now: Now) -> Message {
    Message {
        expires_at: will.properties.expiry_s.map(|expiry_s| now.plus_seconds(expiry_s)),
        received: Stamp::default(),
        topic: will.topic,
        payload: will.payload,
        qos: will.qos,
        // [MQTT-3.1.2-14], [MQTT-3.1.2-15]
        retain: will.retain,
        // [MQTT-3.1.3-10]
        forward: will.properties.forward,
    }
}

/// The way a will is published: nobody acknowledges it, so the identifier says nothing.
pub(super) fn will_qos(qos: QoS) -> crate::packet::PublishQoS {
    use crate::packet::PublishQoS;
    let id = PacketId::of_position(0);
    match qos {
        QoS::AtMostOnce => PublishQoS::AtMostOnce,
        QoS::AtLeastOnce => PublishQoS::AtLeastOnce(id),
        QoS::ExactlyOnce => PublishQoS::ExactlyOnce(id),
    }
}
