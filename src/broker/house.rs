//! What the broker does on nobody's connection: sessions that end, wills that come due, shared deliveries that move on.
use super::committer::Receivers;
use super::loads::{Load, Purpose, shelved};
use super::slot::Place;
use super::{Batch, Broker, Origin, Publisher, Slot};
use crate::access::{Rights, Subject};
use crate::session::{Ask, Delivery, DropReason, Dropped, Parked, Shelved, Turn};
use crate::store::{Record, Shelf, StoreError};
use crate::types::{CommitSeq, Now, SessionKey, TopicFilter};
use std::sync::Arc;

impl Broker {
    /// Publishes the wills and ends the sessions whose time has come.
    pub fn handle_timeouts(&self, now: Now) {
        while let Some(slot) = self.timers.take_due(now) {
            self.handle_timeout(&slot, now);
        }
    }

    /// Gives up what has waited for too long, as the store noticed. Connected clients' sessions look for themselves.
    pub fn give_up(&self, due: Vec<(SessionKey, u64)>, shelf: &dyn Shelf, now: Now) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (session, position) in due {
            let Some(slot) = self.durable.get(&session).map(|found| found.value().clone()) else { continue };
            let page = shelf.page(session, position, 1, u64::MAX)?;
            let queued = page.deliveries.into_iter().next().filter(|queued| queued.position() == position);
            let Some(Shelved::Delivery(delivery)) = queued.map(|queued| shelved(queued, &self.queue)) else { continue };
            let Some(reason) = delivery.is_over(now) else { continue };
            let mut turn = Turn::default();
            if let Place::Parked(parked) = &mut slot.lock().place {
                parked.give_up(position, reason, &delivery, &mut turn);
            }
            slot.give_back(std::mem::take(&mut turn.released));
            self.counters.dropped(&slot.client_id, std::mem::take(&mut turn.dropped));
            turn.changes.into_iter().for_each(|change| batch.change(session, change));
        }
        self.committer.submit(batch, None);
        Ok(())
    }

    /// Lets retained messages go from memory that the store has, while there are too many.
    pub fn shelve_retained(&self) {
        self.retained.shelve(&self.committer);
    }

    /// Lets publishers go on that had to wait for the disk, because it was full, or what was taken in not in order yet.
    pub fn release_waiting(&self) {
        if self.committer.may_go_on() {
            for entry in &self.registry {
                entry.value().nudge();
            }
        }
    }

    /// The next deadline of a session whose client is away.
    pub fn next_timeout(&self) -> Option<Now> {
        self.timers.next()
    }

    /// Waits until [`Self::next_timeout`] is earlier than before.
    pub fn poll_earlier_timeout(&self, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.timers.poll_earlier(context)
    }

    fn handle_timeout(&self, slot: &Arc<Slot>, now: Now) {
        let mut turn = Turn::default();
        let mut inbox = slot.lock();
        // The client may have come back in between.
        let Place::Parked(parked) = &mut inbox.place else { return };
        let is_over = parked.handle_timeout(now, &mut turn);
        let next = parked.next_timeout();
        let sent_below = parked.sent_below();
        let ended = if is_over { std::mem::replace(&mut inbox.place, Place::Gone) } else { Place::Gone };
        drop(inbox);
        match ended {
            Place::Parked(parked) => {
                self.counters.sessions_expired.add(1);
                self.bury(slot, parked, turn, now);
            }
            Place::Live | Place::Gone => {
                self.timers.set(slot, next);
                self.in_house(|broker, house, batch| {
                    if slot.is_durable && !turn.asks.is_empty() {
                        let session = slot.key;
                        batch.record(Record::SessionParked { session, expires_at: next, will_at: None, sent_below });
                    }
                    broker.publish_wills(slot, &mut turn, house, batch, now);
                });
            }
        }
    }

    /// Publishes the will of a session whose client is back, if it was due before: a timer may be late.
    pub(super) fn publish_due_will(&self, slot: &Arc<Slot>, parked: &mut Parked, now: Now) {
        let mut turn = Turn::default();
        parked.handle_timeout(now, &mut turn);
        if turn.asks.is_empty() {
            return;
        }
        let commit = self.in_house(|broker, house, batch| {
            broker.publish_wills(slot, &mut turn, house, batch, now);
            if slot.is_durable {
                let (expires_at, sent_below) = (parked.expires_at(), parked.sent_below());
                batch.record(Record::SessionParked { session: slot.key, expires_at, will_at: None, sent_below });
            }
        });
        parked.handle_submitted(commit);
    }

    /// Ends a parked session at a Clean Start.
    pub(super) fn discard(&self, slot: &Arc<Slot>, mut parked: Box<Parked>, now: Now) {
        let mut turn = Turn::default();
        parked.discard(now, &mut turn);
        self.bury(slot, parked, turn, now);
    }

    /// A connection leaves its session to be parked: publishes its will if due, and records what has changed.
    pub(super) fn record_parked(
        &self,
        slot: &Arc<Slot>,
        parked: &Parked,
        turn: &mut Turn,
        now: Now,
    ) -> Option<CommitSeq> {
        slot.give_back(std::mem::take(&mut turn.released));
        self.in_house(|broker, house, batch| {
            broker.publish_wills(slot, turn, house, batch, now);
            for change in turn.changes.drain(..) {
                batch.change(slot.key, change);
            }
            if slot.is_durable && broker.committer.is_durable() {
                let (expires_at, will_at) = (parked.expires_at(), parked.will_at());
                let sent_below = parked.sent_below();
                batch.record(Record::SessionParked { session: slot.key, expires_at, will_at, sent_below });
            }
        })
    }

    /// Moves what a parked session holds of shared subscriptions to members that are there.
    pub(super) fn offer_shared(&self, slot: &Arc<Slot>) {
        let filters: Vec<_> = match &slot.lock().place {
            Place::Parked(parked) => {
                let shared = parked.subscriptions().filter(|(filter, _)| filter.is_shared());
                shared.map(|(filter, _)| filter.clone()).collect()
            }
            Place::Live | Place::Gone => return,
        };
        for filter in filters {
            if self.has_live_member(&filter, slot) {
                self.claim_from(slot, &filter);
            }
        }
    }

    /// A connection left and its session with it. `undelivered` had not reached it yet.
    pub(super) fn end_with(
        &self,
        slot: &Arc<Slot>,
        parked: Box<Parked>,
        turn: Turn,
        undelivered: Vec<Delivery>,
        now: Now,
    ) {
        self.bury(slot, parked, turn, now);
        let orphans = undelivered.into_iter().filter(|delivery| delivery.share.is_some());
        let orphans: Vec<_> = orphans.collect();
        if !orphans.is_empty() {
            self.in_house(|broker, house, batch| {
                for delivery in orphans {
                    broker.pass_on(slot, delivery, house, batch);
                }
            });
        }
    }

    /// Gives what an ended session leaves of a shared subscription to another member. If none of them has room, it is
    /// lost, and told of.
    pub(super) fn pass_on(&self, slot: &Slot, delivery: Delivery, house: &mut Publisher, batch: &mut Batch) {
        let Some(left) = house.redistribute(self, delivery, slot.key, batch) else { return };
        let has_members = left.share.as_ref().is_some_and(|filter| self.tree.read().group(filter).is_some());
        if has_members {
            self.counters.dropped(&slot.client_id, vec![Dropped::new(DropReason::QueueFull, &left)]);
        }
    }

    pub(super) fn has_live_member(&self, filter: &TopicFilter, left: &Arc<Slot>) -> bool {
        let Some(group) = self.tree.read().group(filter) else { return false };
        let others = group.members().iter().map(|member| &member.subscriber.0).filter(|slot| slot.key != left.key);
        others.into_iter().any(|slot| slot.is_live())
    }

    /// Asks every connection to close; true while some have not.
    pub fn close_all(&self, close: crate::session::Close) -> bool {
        let mut is_anyone_left = false;
        for entry in &self.registry {
            if entry.value().is_live() {
                is_anyone_left = true;
                entry.value().ask_to_close(close);
            }
        }
        is_anyone_left
    }

    /// Asks the connections that came through a listener to close.
    pub fn close_listener(&self, name: &Arc<str>, code: crate::types::ReasonCode) {
        for entry in &self.registry {
            let slot = entry.value();
            let listener = slot.visit_notes().0.and_then(|visit| visit.listener.clone());
            if slot.is_live() && listener.is_some_and(|listener| Arc::ptr_eq(&listener, name)) {
                slot.ask_to_close(crate::session::Close::Administrative(code));
            }
        }
    }

    /// Removes all that others hold of an ended session. Its slot is `Gone` already. The turn holds its will, if due.
    pub(super) fn bury(
        &self,
        slot: &Arc<Slot>,
        mut parked: Box<Parked>,
        mut turn: Turn,
        now: Now,
    ) -> Option<CommitSeq> {
        self.timers.set(slot, None);
        self.registry.remove_if(parked.client_id(), |_, found| Arc::ptr_eq(found, slot));
        self.durable.remove(&slot.key);
        let has_shared = parked.subscriptions().any(|(filter, _)| filter.is_shared());
        let sent_below = parked.sent_below();
        let orphans_from = parked.first_shelved().filter(|_| has_shared);
        if let (Some(_), Some(shelf)) = (orphans_from, self.shelf.get()) {
            shelf.hold(slot.key);
        }
        if parked.subscriptions().next().is_some() {
            self.change_tree(|tree| {
                for (filter, _) in parked.subscriptions() {
                    tree.unsubscribe(filter, slot.key);
                }
            });
        }
        // [MQTT-4.8.2-5]: what QoS 2 began ends with the session; the rest goes to other members.
        let orphans = parked.take_shared(|_| true, &mut turn);
        self.in_house(|broker, house, batch| {
            broker.publish_wills(slot, &mut turn, house, batch, now);
            for delivery in orphans {
                broker.pass_on(slot, delivery, house, batch);
            }
            if slot.is_durable {
                batch.record(Record::SessionEnded { session: slot.key });
            }
            if let Some(from) = orphans_from {
                let purpose = Purpose::Orphans { sent_below };
                batch.load(Load { slot: slot.clone(), from, visit: slot.visit(), purpose });
            }
        })
    }

    /// Moves what a parked session holds of a shared subscription to members that are there.
    pub(super) fn claim_from(&self, slot: &Arc<Slot>, filter: &TopicFilter) {
        let mut turn = Turn::default();
        let taken = match &mut slot.lock().place {
            Place::Parked(parked) if parked.has_shelf() => {
                let Some(from) = parked.first_shelved() else { return };
                if !self.committer.loads.begin_claim(slot.key, filter) {
                    return;
                }
                let purpose = Purpose::Claim(filter.clone());
                let mut batch = Batch::default();
                batch.load(Load { slot: slot.clone(), from, visit: slot.visit(), purpose });
                self.committer.submit(batch, None);
                return;
            }
            Place::Parked(parked) => {
                parked.take_shared(|delivery| delivery.share.as_deref() == Some(filter), &mut turn)
            }
            Place::Live | Place::Gone => return,
        };
        self.settle(slot, turn, taken);
    }

    /// Hands shared deliveries that a session gave up to other members. What nobody takes comes back to it.
    pub(super) fn settle(&self, slot: &Arc<Slot>, mut turn: Turn, taken: Vec<Delivery>) {
        slot.give_back(std::mem::take(&mut turn.released));
        self.counters.dropped(&slot.client_id, std::mem::take(&mut turn.dropped));
        if taken.is_empty() && turn.changes.is_empty() {
            return;
        }
        self.in_house(|broker, house, batch| {
            let mut kept = Vec::new();
            for delivery in taken {
                kept.extend(house.redistribute(broker, delivery, slot.key, batch));
            }
            for change in turn.changes.drain(..) {
                batch.change(slot.key, change);
            }
            for delivery in &kept {
                slot.reserve(crate::session::Released::of(delivery));
            }
            if slot.is_durable && broker.committer.is_durable() {
                for delivery in kept {
                    batch.publish(
                        delivery.message.clone(),
                        None,
                        false,
                        Receivers::from_buf([(slot.clone(), delivery)]),
                    );
                }
            } else {
                slot.deliver(&mut kept, broker.mailbox_limits, &broker.counters, &broker.committer.memory);
            }
        });
    }

    /// Publishes what the turn of an absent client asks for: its will.
    pub(super) fn publish_wills(
        &self,
        slot: &Slot,
        turn: &mut Turn,
        house: &mut Publisher,
        batch: &mut Batch,
        now: Now,
    ) {
        for ask in turn.asks.drain(..) {
            match ask {
                Ask::Publish(publication) => {
                    let message = publication.message;
                    // The rules may have changed since CONNECT.
                    if self.rights_of(slot).publish(&message.topic, message.qos, message.retain).is_allowed {
                        house.publish(self, message, Origin::House, batch, now);
                    } else {
                        self.counters.wills_denied.add(1);
                        let (client_id, topic) = (slot.client_id.as_str(), message.topic.as_str());
                        tracing::warn!(client_id, topic, "a will was not published, as the access rules deny it now");
                    }
                }
                Ask::Subscribe(_) | Ask::Unsubscribe(_) => {}
            }
        }
        self.counters.dropped(&slot.client_id, std::mem::take(&mut turn.dropped));
    }

    /// The rights of an absent client.
    pub(super) fn rights_of(&self, slot: &Slot) -> Rights {
        let owner = slot.owner().unwrap_or_default();
        self.access.rights(Subject { identity: &owner, client_id: &slot.client_id })
    }

    /// Runs one turn of the house's own publisher.
    pub(super) fn in_house(&self, work: impl FnOnce(&Self, &mut Publisher, &mut Batch)) -> Option<CommitSeq> {
        let mut house = self.house.lock();
        let mut batch = Batch::default();
        work(self, &mut house, &mut batch);
        let commit = self.committer.submit(batch, None);
        house.flush(self);
        commit
    }
}
