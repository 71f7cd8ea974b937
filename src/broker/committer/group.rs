//! The records of one commit, and whom what they hold is for.
use super::Submission;
use super::batch::Item;
use crate::broker::loads::Load;
use crate::broker::{Slot, Tracer, Waypoint};
use crate::session::Delivery;
use crate::store::{Record, Target};
use crate::types::{CommitSeq, Position, SessionKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The records of one commit, and what is handed out after it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) records: Vec<Record>,
    pub(super) deliveries: Deliveries,
    pub(super) submitters: Vec<(Arc<Slot>, CommitSeq)>,
    pub(super) loads: Vec<Load>,
    pub(super) last: CommitSeq,
}

impl Group {
    pub(super) fn add(&mut self, submission: Submission) {
        for item in submission.batch.items {
            match item {
                Item::Record(record) => self.records.push(record),
                Item::Publish { message, inbound, is_retained, targets } => {
                    let targets = targets.into_iter().map(|(slot, delivery)| self.target(slot, delivery)).collect();
                    self.records.push(Record::Published { message, inbound, is_retained, targets });
                }
            }
        }
        self.loads.extend(submission.batch.loads);
        if let Some(submitter) = submission.submitter {
            self.submitters.push((submitter, submission.seq));
        }
    }

    /// Tells who follows messages that these are durable.
    pub(super) fn trace(&self, tracer: &Tracer) {
        for Addressed { slot, deliveries } in &self.deliveries.sessions {
            for delivery in deliveries {
                let position = delivery.position.map_or(0, Position::value);
                tracer.note(&slot.client_id, &delivery.message, Waypoint::Stored { position });
            }
        }
    }

    /// Gives a delivery its queue position.
    fn target(&mut self, slot: Arc<Slot>, delivery: Delivery) -> Target {
        let position = slot.take_position();
        let target = Target {
            session: slot.key,
            position,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids.clone(),
            share: delivery.share.clone(),
            give_up_at: delivery.give_up_at,
        };
        self.deliveries.push(slot, Delivery { position: Some(Position::new(position)), ..delivery });
        target
    }
}

/// What a commit hands out, by session.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// Where each session stands in `sessions`.
    places: BTreeMap<SessionKey, usize>,
    sessions: Vec<Addressed>,
    /// The one that got the last: a turn of a publisher is for the same few, message after message.
    last: usize,
}

#[derive(Debug)]
pub(super) struct Addressed {
    pub(super) slot: Arc<Slot>,
    pub(super) deliveries: Vec<Delivery>,
}

impl Deliveries {
    fn push(&mut self, slot: Arc<Slot>, delivery: Delivery) {
        if self.sessions.get(self.last).is_none_or(|last| last.slot.key != slot.key) {
            let end = self.sessions.len();
            self.last = *self.places.entry(slot.key).or_insert(end);
            if self.last == end {
                self.sessions.push(Addressed { slot, deliveries: Vec::new() });
            }
        }
        if let Some(last) = self.sessions.get_mut(self.last) {
            last.deliveries.push(delivery);
        }
    }

    /// In the order of their keys: the same commits are handed out the same way, whatever a message was for first.
    pub(super) fn into_sessions(mut self) -> impl Iterator<Item = (SessionKey, Addressed)> {
        self.sessions.sort_unstable_by_key(|addressed| addressed.slot.key);
        self.sessions.into_iter().map(|addressed| (addressed.slot.key, addressed))
    }
}
