//! The deliveries of one session: queue and send window in one line of positions.
//!
//! The front of the line is loaded: its deliveries are in memory. Where a store keeps them, the rest of the line may be
//! on its shelf, known by number and bytes only, and is loaded page by page ahead of the window.
//!
//! Position `p` is sent under the Packet Identifier [`PacketId::of_position`], the same after any restart. Entries are
//! sent in order of their positions, finished in any order, and leave the line from its front.
mod giving_up;

use super::{Change, Clearance, Delivery, DropReason, Dropped, Released};
use crate::types::{Now, PacketId, Position, QoS, Rare, ReasonCode};
use giving_up::is_forbidden;
pub(super) use look::awaited;
use look::awaited_counts;
use sendings::Sendings;
use shelf::Shelf;
use std::collections::VecDeque;

mod look;
mod places;
mod sendings;
mod shelf;

/// Positions sent at once lie within this span of the oldest unfinished one, so that identifiers stay unique
/// [MQTT-2.2.1-4].
const SPAN: u64 = 65_535;

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
    /// Entries before the cursor that are not finished: no more than the window, which a Receive Maximum is.
    in_flight: u16,
    /// Those of them for which PUBREC is due, and those for which PUBCOMP is.
    awaiting_pubrec: u16,
    awaiting_pubcomp: u16,
    /// The position after the highest ever sent.
    sent_below: u64,
    occupied: Released,
    /// Whether a store keeps the deliveries, so that they need not be in memory.
    has_shelf: bool,
    /// What of the line is not in memory; nothing for clients that are quick, and for most sessions.
    shelf: Rare<Shelf>,
    released: Released,
    given_up: Rare<GivenUp>,
    sendings: Sendings,
}

/// Deliveries that will not be sent here.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    pub dropped: Vec<Dropped>,
    /// For other members of the shared subscriptions that they came by.
    pub orphans: Vec<Delivery>,
    /// Shelved deliveries that made room for newer ones: their messages were not at hand.
    pub dropped_unseen: u64,
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
    /// A line of a new session that a store will keep.
    pub fn with_shelf() -> Self {
        Self { has_shelf: true, ..Self::default() }
    }

    /// Positions below this may have been sent.
    pub fn sent_below(&self) -> u64 {
        self.sent_below
    }

    /// The position after the last.
    pub fn end(&self) -> u64 {
        self.loaded_end.max(self.shelf_end())
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
        window: u16,
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
            self.shelve_all();
        }
    }

    /// What was given up since it was last taken.
    pub fn take_given_up(&mut self) -> Option<Box<GivenUp>> {
        self.given_up.take_some()
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
            self.in_flight -= u16::from(is_finished);
            let (pubrec, pubcomp) = awaited_counts(&old);
            self.awaiting_pubrec = self.awaiting_pubrec + pubrec_now - pubrec;
            self.awaiting_pubcomp = self.awaiting_pubcomp + pubcomp_now - pubcomp;
        }
        old
    }
}
