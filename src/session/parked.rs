//! A session between two network connections: it queues, and waits for its client, its will or its expiry.
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::state::{State, Subscribed, will_message, will_qos};
use super::{Ask, Cause, Change, Delivery, DropReason, Ended, Limits, Publication, Released, Turn};
use crate::packet::Will;
use crate::types::{ClientId, CommitSeq, Now, PacketId, QoS, SmallMap, TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub struct Parked {
    pub(super) state: State,
    /// When the will is due; `None` without a will.
    will_at: Option<Now>,
    /// When the session ends; `None` is never.
    expires_at: Option<Now>,
}

/// Session Expiry Interval of a session that never ends by itself (section 3.1.2.11.2).
const NEVER_EXPIRES: u32 = u32::MAX;

/// A session as the store found it at a start.
#[derive(Debug)]
pub struct Saved {
    pub client_id: ClientId,
    /// Session Expiry Interval, seconds.
    pub expiry_s: u32,
    pub expires_at: Option<Now>,
    pub will: Option<Will>,
    pub will_at: Option<Now>,
    pub subscriptions: SmallMap<TopicFilter, Subscribed>,
    pub scans: BTreeMap<TopicFilter, Option<TopicName>>,
    pub inbound: Vec<PacketId>,
    /// Positions below this are finished.
    pub head: u64,
    /// Positions below this may have been sent.
    pub sent_below: u64,
    /// The position after the highest ever given.
    pub next_position: u64,
    /// Deliveries not finished, and their bytes.
    pub occupied: Released,
}

impl Parked {
    /// A session from the store, waiting for its client.
    pub fn restore(saved: Saved, limits: Arc<Limits>) -> Self {
        let mut state = State::new(saved.client_id, limits, saved.expiry_s.max(1), true);
        state.expiry_s = saved.expiry_s;
        state.subscriptions = saved.subscriptions;
        saved.scans.into_iter().for_each(|(filter, after)| state.scan_at(filter, after));
        state.inbound = Inbound::restored(saved.inbound);
        state.will = saved.will.map(Box::new);
        state.outbound = Outbound::shelved(saved.head, saved.next_position, saved.sent_below, saved.occupied);
        Self { state, will_at: saved.will_at, expires_at: saved.expires_at }
    }

    /// Deliveries not finished, and their bytes.
    pub fn occupied(&self) -> Released {
        self.state.outbound.occupied().clone()
    }

    /// Queue positions below this may have been sent.
    pub fn sent_below(&self) -> u64 {
        self.state.outbound.sent_below()
    }

    /// Lets a session without its connection go on, or not.
    pub(super) fn park(mut state: State, cause: Cause, now: Now, turn: &mut Turn) -> Ended {
        state.inbound.disconnected();
        state.outbound.disconnected();
        if cause == Cause::Normal {
            // [MQTT-3.14.4-3], [MQTT-3.1.2-10] (5.0), [MQTT-3.14.4-3] (3.1.1)
            state.will = None;
        }
        let ends = cause == Cause::Discarded || state.expiry_s == 0;
        // [MQTT-3.1.2-8]: after its delay, or with the session, whichever is first.
        let will_at = state.will.as_ref().map(|will| if ends { now } else { now.plus_seconds(will.delay_s) });
        let expires_at = (state.expiry_s != NEVER_EXPIRES).then(|| now.plus_seconds(state.expiry_s));
        let mut parked = Self { state, will_at, expires_at };
        parked.publish_due_will(now, turn);
        parked.state.report(turn);
        if ends { Ended::Discarded(Box::new(parked)) } else { Ended::Parked(Box::new(parked)) }
    }

    /// A message for the absent client. QoS 0 is not kept (section 4.1.1 leaves it to the broker).
    pub fn handle_delivery(&mut self, delivery: Delivery, turn: &mut Turn) {
        if delivery.qos == QoS::AtMostOnce {
            return;
        }
        self.state.enqueue(delivery, !self.state.outbound.has_shelf(), turn);
        self.state.report(turn);
    }

    /// Counts deliveries that stayed on the shelf, the last at position `end` - 1.
    pub fn handle_shelved(&mut self, end: u64, added: &Released, turn: &mut Turn) {
        self.state.shelve(end, added, turn);
        self.state.report(turn);
    }

    /// Whether a store keeps the queue, so that it is not in memory while the client is away.
    pub fn has_shelf(&self) -> bool {
        self.state.outbound.has_shelf()
    }

    /// The first position that is on the store's shelf, if any is.
    pub fn first_shelved(&self) -> Option<u64> {
        self.state.outbound.first_shelved()
    }

    /// A delivery on the shelf has waited for too long. What may have been sent is not given up.
    pub fn give_up(&mut self, position: u64, reason: DropReason, delivery: &Delivery, turn: &mut Turn) {
        if self.state.outbound.give_up_shelved(position, reason, delivery) {
            self.state.change(turn, Change::Done { position });
        }
        self.state.report(turn);
    }

    /// A delivery on the shelf was finished: it expired, or moved to another receiver.
    pub fn finish_shelved(&mut self, position: u64, cost: &Released, turn: &mut Turn) {
        self.state.outbound.finish_shelved(cost);
        self.state.change(turn, Change::Done { position });
        self.state.report(turn);
    }

    /// Publishes the will if it is due; true when the session has come to its end [MQTT-4.1.0-2].
    pub fn handle_timeout(&mut self, now: Now, turn: &mut Turn) -> bool {
        let is_over = self.is_over(now);
        if is_over {
            self.will_at = self.will_at.map(|_| now);
        }
        self.publish_due_will(now, turn);
        is_over
    }

    /// Whether the session has come to its end.
    pub fn is_over(&self, now: Now) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    pub fn next_timeout(&self) -> Option<Now> {
        match (self.will_at, self.expires_at) {
            (Some(will_at), Some(expires_at)) => Some(will_at.min(expires_at)),
            (will_at, expires_at) => will_at.or(expires_at),
        }
    }

    /// Ends the session at once, as a Clean Start or an operator asks; its will is due then.
    pub fn discard(&mut self, now: Now, turn: &mut Turn) {
        self.will_at = self.will_at.map(|_| now);
        self.publish_due_will(now, turn);
    }

    /// Takes the shared deliveries that another member of their group can finish.
    pub fn take_shared(&mut self, may_move: impl FnMut(&Delivery) -> bool, turn: &mut Turn) -> Vec<Delivery> {
        let is_durable = self.state.is_durable;
        let taken = self.state.outbound.take_shared(may_move, |position| {
            super::state::changed(is_durable, turn, Change::Done { position });
        });
        self.state.report(turn);
        taken
    }

    /// When the session ends; `None` is never.
    pub fn expires_at(&self) -> Option<Now> {
        self.expires_at
    }

    /// When the will is due; `None` without a will.
    pub fn will_at(&self) -> Option<Now> {
        self.will_at
    }

    pub fn client_id(&self) -> &ClientId {
        &self.state.client_id
    }

    /// Takes a subscription away that the client may not have any more.
    pub fn revoke_subscription(&mut self, filter: &TopicFilter) {
        self.state.subscriptions.remove(filter);
        self.state.scan_over(filter);
    }

    /// Whether retained messages are on their way to a subscription.
    pub fn is_scanned(&self, filter: &TopicFilter) -> bool {
        self.state.scans.get().is_some_and(|scans| scans.contains_key(filter))
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = (&TopicFilter, &Subscribed)> {
        self.state.subscriptions.iter()
    }

    /// The last commit that holds a change of this session: nothing may be promised about it before that is durable.
    pub fn submitted(&self) -> CommitSeq {
        self.state.submitted
    }

    /// Notes a commit that holds changes which this session asked for.
    pub fn handle_submitted(&mut self, commit: Option<CommitSeq>) {
        self.state.submitted = self.state.submitted.max(commit.unwrap_or_default());
    }

    /// The client is back: its will is cancelled [MQTT-3.1.3-9].
    pub(super) fn into_state(mut self) -> State {
        self.state.will = None;
        self.state
    }

    fn publish_due_will(&mut self, now: Now, turn: &mut Turn) {
        if self.will_at.is_none_or(|due| due > now) {
            return;
        }
        self.will_at = None;
        if let Some(will) = self.state.will.take() {
            let qos = will_qos(will.qos);
            turn.asks.push(Ask::Publish(Publication { message: Arc::new(will_message(*will, now)), qos }));
        }
    }
}
