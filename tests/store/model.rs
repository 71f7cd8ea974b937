//! What the records add up to, kept whole and in memory: what a store must find again.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use vowmq::packet::{SubscriptionOptions, Will};
use vowmq::store::{Presence, Record, Target};
use vowmq::types::{ClientId, Identity, Message, PacketId, SessionKey, TopicFilter, TopicName};

#[derive(Debug, Clone, Default)]
pub struct Image {
    pub sessions: BTreeMap<SessionKey, SessionImage>,
    pub retained: BTreeMap<TopicName, Arc<Message>>,
    /// The highest session number ever seen, so that none is given twice.
    pub last_session: u64,
}

#[derive(Debug, Clone)]
pub struct SessionImage {
    pub client_id: ClientId,
    pub is_v5: bool,
    pub owner: Option<Arc<Identity>>,
    pub expiry_s: u32,
    pub will: Option<Box<Will>>,
    pub presence: Presence,
    pub subscriptions: BTreeMap<TopicFilter, (SubscriptionOptions, Option<u32>)>,
    pub scans: BTreeMap<TopicFilter, Option<TopicName>>,
    /// QoS 2 identifiers that the client has not released.
    pub inbound: BTreeSet<PacketId>,
    pub queue: BTreeMap<u64, Queued>,
    /// The position after the highest ever given.
    pub next_position: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    Message {
        message: Arc<Message>,
        target: Target,
    },
    /// The receiver has it; PUBCOMP is due.
    Received,
}

impl Image {
    /// Applies one record. What concerns a session that is over changes nothing, nor does a record that came before.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::SessionBegun { session, client_id, is_v5 } => self.begin(*session, client_id, *is_v5),
            Record::SessionEnded { session } => {
                self.sessions.remove(session);
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
            Record::Done { session, position, count } => {
                (*position..).take((*count).into()).for_each(|position| self.finish(*session, position));
            }
            Record::Received { session, position, count } => {
                (*position..).take((*count).into()).for_each(|position| self.receive(*session, position));
            }
            Record::SessionOwned { session, .. }
            | Record::SessionAttached { session, .. }
            | Record::SessionParked { session, .. }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::InboundReleased { session, .. }
            | Record::ScanAt { session, .. }
            | Record::ScanOver { session, .. }
            | Record::InboundOpen { session, .. } => self.change(*session, |found| found.apply(record)),
        }
    }

    fn begin(&mut self, session: SessionKey, client_id: &ClientId, is_v5: bool) {
        self.last_session = self.last_session.max(session.0);
        self.sessions.entry(session).or_insert_with(|| SessionImage {
            client_id: client_id.clone(),
            is_v5,
            owner: None,
            expiry_s: 0,
            will: None,
            presence: Presence::Attached,
            subscriptions: BTreeMap::new(),
            scans: BTreeMap::new(),
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
        if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(message.topic.clone(), message.clone());
        }
    }

    fn enqueue(&mut self, message: &Arc<Message>, target: &Target) {
        let Some(session) = self.sessions.get_mut(&target.session) else { return };
        if target.position < session.next_position {
            return;
        }
        session.next_position = target.position + 1;
        session.queue.insert(target.position, Queued::Message { message: message.clone(), target: target.clone() });
    }

    fn finish(&mut self, session: SessionKey, position: u64) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        session.next_position = session.next_position.max(position + 1);
        session.queue.remove(&position);
    }

    fn receive(&mut self, session: SessionKey, position: u64) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        if let Some(queued) = session.queue.get_mut(&position) {
            *queued = Queued::Received;
        }
    }
}

impl SessionImage {
    /// A will whose time has been settled otherwise is no will.
    pub fn pending_will(&self) -> Option<&Will> {
        let is_settled = matches!(self.presence, Presence::Parked { will_at: None, .. });
        self.will.as_deref().filter(|_| !is_settled)
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::SessionOwned { owner, .. } => self.owner = Some(owner.clone()),
            Record::SessionAttached { expiry_s, will, .. } => {
                self.expiry_s = *expiry_s;
                self.will.clone_from(will);
                self.presence = Presence::Attached;
            }
            Record::SessionParked { expires_at, will_at, sent_below, .. } => {
                self.presence =
                    Presence::Parked { expires_at: *expires_at, will_at: *will_at, sent_below: *sent_below };
            }
            Record::Subscribed { filter, options, id, .. } => {
                self.subscriptions.insert(filter.clone(), (*options, *id));
            }
            Record::Unsubscribed { filter, .. } => {
                self.subscriptions.remove(filter);
            }
            Record::ScanAt { filter, after, .. } => {
                self.scans.insert(filter.clone(), after.clone());
            }
            Record::ScanOver { filter, .. } => {
                self.scans.remove(filter);
            }
            Record::InboundReleased { id, count, .. } => {
                self.inbound.retain(|open| !(0..*count).contains(&open.value().wrapping_sub(id.value())));
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
}
