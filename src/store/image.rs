//! What the records add up to: the durable state, as a restart finds it.
use super::{Record, Target};
use crate::packet::{SubscriptionOptions, Will};
use crate::types::{ClientId, Message, Now, PacketId, SessionKey, TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, Default)]
pub struct Image {
    pub sessions: BTreeMap<SessionKey, SessionImage>,
    pub retained: BTreeMap<TopicName, Arc<Message>>,
    /// The highest session number ever seen, so that none is given twice.
    pub last_session: u64,
    bytes: u64,
}

#[derive(Debug, Clone)]
pub struct SessionImage {
    pub client_id: ClientId,
    pub is_v5: bool,
    pub expiry_s: u32,
    pub will: Option<Box<Will>>,
    pub presence: Presence,
    pub subscriptions: BTreeMap<TopicFilter, (SubscriptionOptions, Option<u32>)>,
    /// QoS 2 identifiers that the client has not released.
    pub inbound: BTreeSet<PacketId>,
    pub queue: BTreeMap<u64, Queued>,
    /// The position after the highest ever given.
    pub next_position: u64,
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

#[derive(Debug, Clone)]
pub enum Queued {
    Message {
        message: Arc<Message>,
        target: Target,
    },
    /// The receiver has it; PUBCOMP is due.
    Received,
}

/// What an entry costs in the log besides its message.
const ENTRY_BYTES: u64 = 64;

impl Image {
    /// Applies one record. What concerns a session that is over changes nothing, nor does a record that came before.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::SessionBegun { session, client_id, is_v5 } => self.begin(*session, client_id, *is_v5),
            Record::SessionEnded { session } => {
                if let Some(ended) = self.sessions.remove(session) {
                    self.bytes -= ended.queue.values().map(Queued::bytes).sum::<u64>();
                }
            }
            Record::Published { message, inbound, is_retained, targets } => {
                if let Some((session, id)) = inbound {
                    self.change(*session, |session| {
                        session.inbound.insert(*id);
                    });
                }
                if *is_retained {
                    self.retain(message);
                }
                for target in targets {
                    self.enqueue(message, target);
                }
            }
            Record::Done { session, position } => self.finish(*session, *position),
            Record::Received { session, position } => self.receive(*session, *position),
            Record::SessionAttached { session, .. }
            | Record::SessionParked { session, .. }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::InboundReleased { session, .. }
            | Record::InboundOpen { session, .. } => self.change(*session, |found| found.apply(record)),
        }
    }

    /// Bytes that the image takes in the log, about.
    pub fn bytes(&self) -> u64 {
        self.bytes + ENTRY_BYTES * (self.sessions.len() as u64)
    }

    /// The records that make this image out of nothing, in an order that does.
    pub fn records(&self, put: &mut impl FnMut(Record)) {
        for (session, image) in &self.sessions {
            image.records(*session, put);
        }
        for message in self.retained.values() {
            let message = message.clone();
            put(Record::Published { message, inbound: None, is_retained: true, targets: Vec::new() });
        }
    }

    fn begin(&mut self, session: SessionKey, client_id: &ClientId, is_v5: bool) {
        self.last_session = self.last_session.max(session.0);
        self.sessions.entry(session).or_insert_with(|| SessionImage {
            client_id: client_id.clone(),
            is_v5,
            expiry_s: 0,
            will: None,
            presence: Presence::Attached,
            subscriptions: BTreeMap::new(),
            inbound: BTreeSet::new(),
            queue: BTreeMap::new(),
            next_position: 0,
        });
    }

    fn change(&mut self, session: SessionKey, change: impl FnOnce(&mut SessionImage)) {
        if let Some(session) = self.sessions.get_mut(&session) {
            change(session);
        }
    }

    fn retain(&mut self, message: &Arc<Message>) {
        let old = if message.payload.is_empty() {
            self.retained.remove(&message.topic)
        } else {
            self.bytes += message.cost_bytes() as u64;
            self.retained.insert(message.topic.clone(), message.clone())
        };
        self.bytes -= old.map_or(0, |old| old.cost_bytes() as u64);
    }

    fn enqueue(&mut self, message: &Arc<Message>, target: &Target) {
        let Some(session) = self.sessions.get_mut(&target.session) else { return };
        if target.position < session.next_position && !session.queue.contains_key(&target.position) {
            return;
        }
        session.next_position = session.next_position.max(target.position + 1);
        let queued = Queued::Message { message: message.clone(), target: target.clone() };
        session.queue.entry(target.position).or_insert_with(|| {
            self.bytes += queued.bytes();
            queued
        });
    }

    fn finish(&mut self, session: SessionKey, position: u64) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        session.next_position = session.next_position.max(position + 1);
        if let Some(queued) = session.queue.remove(&position) {
            self.bytes -= queued.bytes();
        }
    }

    fn receive(&mut self, session: SessionKey, position: u64) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        session.next_position = session.next_position.max(position + 1);
        self.bytes += ENTRY_BYTES;
        let old = session.queue.insert(position, Queued::Received);
        self.bytes -= old.map_or(0, |old| old.bytes());
    }
}

impl SessionImage {
    fn apply(&mut self, record: &Record) {
        match record {
            Record::SessionAttached { expiry_s, will, .. } => {
                self.expiry_s = *expiry_s;
                self.will.clone_from(will);
                self.presence = Presence::Attached;
            }
            Record::SessionParked { expires_at, will_at, sent_below, .. } => {
                if will_at.is_none() {
                    self.will = None;
                }
                self.presence =
                    Presence::Parked { expires_at: *expires_at, will_at: *will_at, sent_below: *sent_below };
            }
            Record::Subscribed { filter, options, id, .. } => {
                self.subscriptions.insert(filter.clone(), (*options, *id));
            }
            Record::Unsubscribed { filter, .. } => {
                self.subscriptions.remove(filter);
            }
            Record::InboundReleased { id, .. } => {
                self.inbound.remove(id);
            }
            Record::InboundOpen { id, .. } => {
                self.inbound.insert(*id);
            }
            Record::SessionBegun { .. }
            | Record::SessionEnded { .. }
            | Record::Published { .. }
            | Record::Done { .. }
            | Record::Received { .. } => {}
        }
    }

    fn records(&self, session: SessionKey, put: &mut impl FnMut(Record)) {
        put(Record::SessionBegun { session, client_id: self.client_id.clone(), is_v5: self.is_v5 });
        put(Record::SessionAttached { session, expiry_s: self.expiry_s, will: self.will.clone() });
        if let Presence::Parked { expires_at, will_at, sent_below } = self.presence {
            put(Record::SessionParked { session, expires_at, will_at, sent_below });
        }
        for (filter, (options, id)) in &self.subscriptions {
            put(Record::Subscribed { session, filter: filter.clone(), options: *options, id: *id });
        }
        self.inbound.iter().for_each(|id| put(Record::InboundOpen { session, id: *id }));
        for (position, queued) in &self.queue {
            match queued {
                Queued::Message { message, target } => put(Record::Published {
                    message: message.clone(),
                    inbound: None,
                    is_retained: false,
                    targets: vec![target.clone()],
                }),
                Queued::Received => put(Record::Received { session, position: *position }),
            }
        }
        // Positions are never given twice, though all before be finished.
        if let Some(last) = self.next_position.checked_sub(1).filter(|last| !self.queue.contains_key(last)) {
            put(Record::Done { session, position: last });
        }
    }
}

impl Queued {
    fn bytes(&self) -> u64 {
        match self {
            Self::Message { message, .. } => message.cost_bytes() as u64 + ENTRY_BYTES,
            Self::Received => ENTRY_BYTES,
        }
    }
}
