//! The deliveries of one session: queue and send window in one line of positions.
//!
//! The front of the line is loaded: its deliveries are in memory. Where a store keeps them, the rest of the line may be
//! on its shelf, known by number and bytes only, and is loaded page by page ahead of the window.
//!
//! Position `p` is sent under the Packet Identifier [`PacketId::of_position`], the same after any restart. Entries are
//! sent in order of their positions, finished in any order, and leave the line from its front.
mod giving_up;

use super::{Change, Clearance, Delivery, DropReason, Dropped, Released};
use crate::types::{Now, PacketId, Position, QoS, ReasonCode};
use giving_up::is_forbidden;
pub(super) use look::awaited;
use look::awaited_counts;
use sendings::Sendings;
use std::collections::VecDeque;

mod look;
mod places;
mod sendings;

/// Positions sent at once lie within this span of the oldest unfinished one, so that identifiers stay unique
/// [MQTT-2.2.1-4].
const SPAN: u64 = 65_535;
/// Loaded deliveries still to be sent, below which more are taken from the shelf: a wide window must not wait for pages.
const LOAD_BELOW: u64 = 1024;
/// Bytes of loaded deliveries above which no more are taken from it while there is anything to send.
const LOAD_BYTES: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Position of the first entry.
    base: u64,
    /// By position, in order. What was finished before it was loaded has none, however much that is.
    entries: VecDeque<(u64, Entry)>,
    /// The position after the last that is loaded.
    loaded_end: u64,
    /// The next position to send on this connection; all before it have been sent on it, or are finished.
    cursor: u64,
    /// Entries before the cursor that are not finished.
    in_flight: u64,
    /// Those of them for which PUBREC is due, and those for which PUBCOMP is.
    awaiting_pubrec: u64,
    awaiting_pubcomp: u64,
    /// The position after the highest ever sent.
    sent_below: u64,
    occupied: Released,
    /// Part of `occupied`: what is not in memory.
    shelved: Released,
    /// The position after the last that is on the shelf; not above the end of the entries if none is.
    shelved_end: u64,
    /// Shelved positions below this that were never sent have been given up.
    given_up_below: u64,
    /// Whether a store keeps the deliveries, so that they need not be in memory.
    has_shelf: bool,
    is_loading: bool,
    released: Released,
    dropped: Vec<Dropped>,
    /// Given up here, for other members of the shared subscriptions that they came by.
    orphans: Vec<Delivery>,
    /// Shelved deliveries that made room for newer ones: their messages were not at hand.
    dropped_unseen: u64,
    sendings: Sendings,
}

#[derive(Debug)]
enum Entry {
    /// Never sent.
    Waiting(Delivery),
    /// Sent, maybe on an earlier connection; PUBACK or PUBREC is due.
    Sent(Delivery),
    /// The receiver has it; PUBCOMP is due.
    Received,
    Done,
}

/// A delivery as it comes from the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shelved {
    Delivery(Delivery),
    /// The receiver has it; PUBCOMP is due.
    Received {
        position: u64,
    },
}

/// What to do for the entry under the cursor.
#[derive(Debug)]
pub(super) enum Step<'a> {
    Publish { delivery: &'a Delivery, id: PacketId, dup: bool },
    Release { id: PacketId },
}

/// How an acknowledgement stands to the deliveries in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// As expected; the position concerned.
    Finished(u64),
    Received(u64),
    /// PUBREC came again: PUBREL is due again, nothing changes.
    ReceivedAgain,
    /// No delivery in flight has this identifier.
    Unknown,
    /// The delivery in flight under this identifier is of another QoS.
    Mismatched,
}

impl Outbound {
    /// A line that a store keeps, as it found it: everything is on its shelf.
    pub fn shelved(head: u64, end: u64, sent_below: u64, occupied: Released) -> Self {
        Self {
            base: head,
            loaded_end: head,
            cursor: head,
            sent_below,
            shelved: occupied.clone(),
            occupied,
            shelved_end: end,
            has_shelf: true,
            ..Self::default()
        }
    }

    /// A line of a new session that a store will keep.
    pub fn with_shelf() -> Self {
        Self { has_shelf: true, ..Self::default() }
    }

    /// Whether a part of the line is on the shelf.
    fn is_shelved(&self) -> bool {
        self.shelved_end > self.loaded_end
    }

    pub fn has_shelf(&self) -> bool {
        self.has_shelf
    }

    /// Bytes of the deliveries in memory.
    pub fn loaded_bytes(&self) -> u64 {
        self.occupied.bytes - self.shelved.bytes
    }

    /// From where a page should be loaded: there is more on the shelf, and little left to send before it. Until it comes
    /// no other is asked for.
    pub fn ask_for_page(&mut self) -> Option<u64> {
        let unsent = self.loaded_end - self.cursor;
        let is_enough = unsent > LOAD_BELOW || (unsent > 0 && self.loaded_bytes() > LOAD_BYTES);
        if self.is_loading || !self.is_shelved() || is_enough {
            return None;
        }
        self.is_loading = true;
        Some(self.loaded_end)
    }

    /// Takes a page of the shelf: every unfinished delivery from `from` to `next`.
    pub fn load(&mut self, from: u64, next: u64, deliveries: impl IntoIterator<Item = Shelved>) {
        if !std::mem::take(&mut self.is_loading) || from != self.loaded_end {
            return;
        }
        for shelved in deliveries {
            match shelved {
                Shelved::Delivery(delivery) => self.load_one(delivery),
                // What is beyond the end is on its way here as well.
                Shelved::Received { position } if position < self.loaded_end || position >= self.shelved_end => {}
                Shelved::Received { position } => {
                    self.append(position, Entry::Received);
                }
            }
        }
        self.pad(next.min(self.shelved_end));
        if !self.is_shelved() {
            // What was counted and is not there was finished while nobody looked: it expired, or moved on.
            let rest = std::mem::take(&mut self.shelved);
            self.occupied.subtract(&rest);
            self.released.merge(&rest);
        }
        self.trim();
    }

    fn load_one(&mut self, mut delivery: Delivery) {
        let position = delivery.position.map_or(self.loaded_end, Position::value);
        let is_given_up = position >= self.sent_below && position < self.given_up_below;
        if position < self.loaded_end || position >= self.shelved_end || is_given_up {
            return;
        }
        if self.shelved.by_rule.of(delivery.rule).messages == 0 {
            // It was queued before a restart, or under other rules: none has counted it.
            delivery.rule = 0;
        }
        let cost = Released::of(&delivery);
        let counted = self.shelved.part(&cost);
        self.shelved.subtract(&counted);
        self.occupied.subtract(&counted);
        self.occupied.merge(&cost);
        // [MQTT-3.3.1-1]: what may have been sent on an earlier connection goes with DUP.
        let was_sent = position < self.sent_below;
        self.append(position, if was_sent { Entry::Sent(delivery) } else { Entry::Waiting(delivery) });
    }

    /// Counts deliveries that went to the shelf without coming by, the last at `end` - 1.
    pub fn shelve(&mut self, end: u64, added: &Released) {
        if end <= self.end() {
            return;
        }
        self.shelved_end = end;
        self.shelved.merge(added);
        self.occupied.merge(added);
    }

    /// A shelved delivery was finished without having been loaded: it moved to another receiver.
    pub fn finish_shelved(&mut self, cost: &Released) {
        let counted = self.shelved.part(cost);
        self.forget_shelved(&counted);
    }

    pub fn first_shelved(&self) -> Option<u64> {
        self.is_shelved().then_some(self.loaded_end)
    }

    /// A shelved delivery has waited for too long. False if it may have been sent, or is none of ours.
    pub fn give_up_shelved(&mut self, position: u64, reason: DropReason, delivery: &Delivery) -> bool {
        let first = self.loaded_end.max(self.sent_below).max(self.given_up_below);
        if position < first || position >= self.shelved_end || self.shelved.messages == 0 {
            return false;
        }
        self.finish_shelved(&Released::of(delivery));
        self.dropped.push(Dropped::new(reason, delivery));
        true
    }

    fn forget_shelved(&mut self, counted: &Released) {
        self.shelved.subtract(counted);
        self.occupied.subtract(counted);
        self.released.merge(counted);
    }

    /// Positions below this may have been sent.
    pub fn sent_below(&self) -> u64 {
        self.sent_below
    }

    /// The position after the last.
    pub fn end(&self) -> u64 {
        self.loaded_end.max(self.shelved_end)
    }

    /// Deliveries not finished, and their bytes.
    pub fn occupied(&self) -> &Released {
        &self.occupied
    }

    /// Appends a delivery; one whose position was seen before is not taken again. Where it may stay on the shelf and
    /// `may_hold` is not given, it does.
    pub fn push(&mut self, delivery: Delivery, may_hold: bool) {
        let position = delivery.position.map_or(self.end(), Position::value);
        if position < self.end() {
            return;
        }
        if self.has_shelf && (self.is_shelved() || !may_hold) {
            self.shelve(position + 1, &Released::of(&delivery));
            return;
        }
        self.occupied.add(&delivery);
        self.append(position, Entry::Waiting(delivery));
    }

    /// The next thing to send within `window` unfinished deliveries. Entries past their expiry, and those that the client
    /// may not have, are given up on the way [MQTT-3.3.2-5]; `changed` is told.
    pub fn next_step(
        &mut self,
        window: u64,
        clearance: Option<&Clearance>,
        now: Now,
        mut changed: impl FnMut(Change),
    ) -> Option<Step<'_>> {
        loop {
            // [MQTT-3.3.4-9], [MQTT-4.9.0-2]
            if self.in_flight >= window || self.cursor >= self.loaded_end || self.cursor - self.base >= SPAN {
                return None;
            }
            let position = self.cursor;
            match self.entry(position) {
                Some(Entry::Waiting(delivery) | Entry::Sent(delivery)) if is_forbidden(clearance, delivery) => {
                    changed(self.withdraw(position));
                }
                Some(Entry::Waiting(delivery)) => {
                    let Some(reason) = delivery.is_over(now) else { break };
                    self.give_up(position, reason);
                    changed(Change::Done { position });
                }
                Some(Entry::Done) | None => self.cursor = self.next_from(position + 1),
                Some(Entry::Sent(_) | Entry::Received) => break,
            }
        }
        let id = PacketId::of_position(self.cursor);
        match self.entry(self.cursor) {
            Some(Entry::Waiting(delivery)) => Some(Step::Publish { delivery, id, dup: false }),
            // [MQTT-3.3.1-1], [MQTT-4.4.0-1]: what may have been sent is sent again with DUP.
            Some(Entry::Sent(delivery)) => Some(Step::Publish { delivery, id, dup: true }),
            // [MQTT-4.3.3-5], [MQTT-4.3.3-6]
            Some(Entry::Received) => Some(Step::Release { id }),
            Some(Entry::Done) | None => None,
        }
    }

    /// The step was taken: its packet leaves.
    pub fn sent(&mut self, now: Now) {
        let position = self.cursor;
        self.sendings.sent(position, now);
        if let Some(entry) = self.entry_mut(position) {
            *entry = match std::mem::replace(entry, Entry::Done) {
                Entry::Waiting(delivery) | Entry::Sent(delivery) => Entry::Sent(delivery),
                other @ (Entry::Received | Entry::Done) => other,
            };
            let (pubrec, pubcomp) = awaited_counts(entry);
            self.awaiting_pubrec += pubrec;
            self.awaiting_pubcomp += pubcomp;
        }
        self.in_flight += 1;
        self.cursor += 1;
        self.sent_below = self.sent_below.max(self.cursor);
    }

    /// The step cannot be taken: the packet is larger than the receiver takes, and counts as sent [MQTT-3.1.2-25].
    pub fn too_large(&mut self) -> u64 {
        let position = self.cursor;
        self.give_up(position, DropReason::TooLarge);
        position
    }

    pub fn puback(&mut self, id: PacketId) -> Acknowledged {
        self.acknowledge(id, |entry| match entry {
            Entry::Sent(delivery) if delivery.qos == QoS::AtLeastOnce => Some(true),
            Entry::Sent(_) | Entry::Received => Some(false),
            Entry::Waiting(_) | Entry::Done => None,
        })
    }

    pub fn pubcomp(&mut self, id: PacketId) -> Acknowledged {
        self.acknowledge(id, |entry| match entry {
            Entry::Received => Some(true),
            Entry::Sent(_) => Some(false),
            Entry::Waiting(_) | Entry::Done => None,
        })
    }

    pub fn pubrec(&mut self, id: PacketId, code: ReasonCode, now: Now) -> Acknowledged {
        let Some(position) = self.position_of(id) else { return Acknowledged::Unknown };
        match self.entry(position) {
            Some(Entry::Received) => Acknowledged::ReceivedAgain,
            Some(Entry::Sent(delivery)) if delivery.qos != QoS::ExactlyOnce => Acknowledged::Mismatched,
            // [MQTT-4.4.0-2]: a failure ends the delivery.
            Some(Entry::Sent(_)) if code.is_failure() => {
                self.finish(position);
                Acknowledged::Finished(position)
            }
            Some(Entry::Sent(_)) => {
                self.replace(position, Entry::Received);
                self.sendings.received(position, now);
                Acknowledged::Received(position)
            }
            Some(Entry::Waiting(_) | Entry::Done) | None => Acknowledged::Unknown,
        }
    }

    /// Takes the shared deliveries that another member of their group may finish: all that were not sent, and those of
    /// QoS 1 that were. QoS 2 stays with the receiver that began it [MQTT-4.8.2-4].
    pub fn take_shared(
        &mut self,
        mut may_move: impl FnMut(&Delivery) -> bool,
        mut finished: impl FnMut(u64),
    ) -> Vec<Delivery> {
        let mut taken = Vec::new();
        let mut next = self.base;
        while let Some(position) = self.entry_from(next) {
            next = position + 1;
            let moves = match self.entry(position) {
                Some(Entry::Waiting(delivery)) => delivery.share.is_some() && may_move(delivery),
                Some(Entry::Sent(delivery)) => {
                    delivery.share.is_some() && delivery.qos == QoS::AtLeastOnce && may_move(delivery)
                }
                Some(Entry::Received | Entry::Done) | None => false,
            };
            if !moves {
                continue;
            }
            if let Entry::Waiting(delivery) | Entry::Sent(delivery) = self.replace(position, Entry::Done) {
                taken.push(Delivery { position: None, ..delivery });
                finished(position);
            }
        }
        self.trim();
        taken
    }

    /// The connection ended: on the next one everything unfinished is sent again, in order. What a store keeps leaves
    /// the memory.
    pub fn disconnected(&mut self) {
        self.cursor = self.base;
        (self.in_flight, self.awaiting_pubrec, self.awaiting_pubcomp) = (0, 0, 0);
        if self.has_shelf {
            self.shelved_end = self.end();
            self.shelved = self.occupied.clone();
            self.entries = VecDeque::new();
            self.loaded_end = self.base;
            self.is_loading = false;
        }
    }

    /// Whether anything was given up since it was last taken.
    pub fn has_given_up(&self) -> bool {
        !self.dropped.is_empty() || !self.orphans.is_empty() || self.dropped_unseen > 0
    }

    /// Hands over what was given back since.
    pub fn hand_released_to(&mut self, released: &mut Released) {
        if self.released.messages > 0 {
            released.take_in(&mut self.released);
        }
    }

    fn acknowledge(&mut self, id: PacketId, expected: impl Fn(&Entry) -> Option<bool>) -> Acknowledged {
        let Some(position) = self.position_of(id) else { return Acknowledged::Unknown };
        match self.entry(position).and_then(expected) {
            Some(true) => {
                self.finish(position);
                Acknowledged::Finished(position)
            }
            Some(false) => Acknowledged::Mismatched,
            None => Acknowledged::Unknown,
        }
    }

    /// The position before the cursor that bears this identifier.
    fn position_of(&self, id: PacketId) -> Option<u64> {
        let first = PacketId::of_position(self.base).value();
        let offset = (u64::from(id.value()) + SPAN - u64::from(first)) % SPAN;
        let position = self.base + offset;
        (position < self.cursor).then_some(position)
    }

    fn finish(&mut self, position: u64) {
        self.replace(position, Entry::Done);
        self.trim();
    }

    /// Changes an entry and keeps the counts.
    fn replace(&mut self, position: u64, new: Entry) -> Entry {
        let is_before_cursor = position < self.cursor;
        let Some(entry) = self.entry_mut(position) else { return Entry::Done };
        let is_finished = matches!(new, Entry::Done);
        let (pubrec_now, pubcomp_now) = awaited_counts(&new);
        let old = std::mem::replace(entry, new);
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = &old {
            self.occupied.remove(delivery);
            self.released.add(delivery);
        }
        if is_before_cursor && !matches!(old, Entry::Done) {
            self.in_flight -= u64::from(is_finished);
            let (pubrec, pubcomp) = awaited_counts(&old);
            self.awaiting_pubrec = self.awaiting_pubrec + pubrec_now - pubrec;
            self.awaiting_pubcomp = self.awaiting_pubcomp + pubcomp_now - pubcomp;
        }
        old
    }
}
