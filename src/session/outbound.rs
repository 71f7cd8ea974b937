//! The deliveries of one session: queue and send window in one line of positions.
//!
//! Position `p` is sent under the Packet Identifier [`PacketId::of_position`], the same after any restart. Entries are
//! sent in order of their positions, finished in any order, and leave the line from its front.
use super::{Delivery, DropReason, Dropped, Released};
use crate::types::{Now, PacketId, QoS, ReasonCode};
use std::collections::VecDeque;

/// Positions sent at once lie within this span of the oldest unfinished one, so that identifiers stay unique
/// [MQTT-2.2.1-4].
const SPAN: u64 = 65_535;

#[derive(Debug, Default)]
pub(super) struct Outbound {
    /// Position of the first entry.
    base: u64,
    entries: VecDeque<Entry>,
    /// The next position to send on this connection; all before it have been sent on it, or are finished.
    cursor: u64,
    /// Entries before the cursor that are not finished.
    in_flight: u64,
    /// The position after the highest ever sent.
    sent_below: u64,
    occupied: Released,
    released: Released,
    dropped: Vec<Dropped>,
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
    /// An empty line whose first delivery will stand at `position`.
    pub fn starting_at(position: u64) -> Self {
        Self { base: position, cursor: position, sent_below: position, ..Self::default() }
    }

    /// Puts a delivery back after a restart; `was_sent` if the receiver may have seen it.
    pub fn restore(&mut self, delivery: Delivery, was_sent: bool) {
        let position = delivery.position.unwrap_or(self.end());
        self.push(delivery);
        if was_sent && let Some(entry) = self.entry_mut(position) {
            *entry = match std::mem::replace(entry, Entry::Done) {
                Entry::Waiting(delivery) => Entry::Sent(delivery),
                other @ (Entry::Sent(_) | Entry::Received | Entry::Done) => other,
            };
        }
    }

    /// Puts a delivery back of which only PUBCOMP is missing.
    pub fn restore_received(&mut self, position: u64) {
        self.pad(position);
        if self.end() == position {
            self.entries.push_back(Entry::Received);
        }
    }

    /// Makes the next delivery stand at `position`, those before being finished.
    pub fn pad(&mut self, position: u64) {
        if self.entries.is_empty() {
            self.base = self.base.max(position);
            self.cursor = self.base;
        }
        while self.end() < position {
            self.entries.push_back(Entry::Done);
        }
    }

    /// Positions below this may have been sent.
    pub fn sent_below(&self) -> u64 {
        self.sent_below
    }

    /// The position after the last.
    pub fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    /// Deliveries not finished, and their bytes.
    pub fn occupied(&self) -> &Released {
        &self.occupied
    }

    /// Appends a delivery. One whose position was seen before is not taken again.
    pub fn push(&mut self, delivery: Delivery) {
        let position = delivery.position.unwrap_or(self.end());
        if position < self.end() {
            return;
        }
        self.pad(position);
        self.occupied.add(&delivery);
        self.entries.push_back(Entry::Waiting(delivery));
    }

    /// Gives the oldest unsent deliveries up until the rest fits; their positions go to `finished`.
    pub fn make_room(&mut self, messages_max: u64, bytes_max: u64, mut finished: impl FnMut(u64)) {
        let mut position = self.cursor;
        while (self.occupied.messages > messages_max || self.occupied.bytes > bytes_max) && position < self.end() {
            if matches!(self.entry(position), Some(Entry::Waiting(_))) {
                self.give_up(position, DropReason::QueueFull);
                finished(position);
            }
            position += 1;
        }
    }

    /// The next thing to send within `window` unfinished deliveries. Entries past their expiry are given up on the way
    /// [MQTT-3.3.2-5]; their positions go to `finished`.
    pub fn next_step(&mut self, window: u64, now: Now, mut finished: impl FnMut(u64)) -> Option<Step<'_>> {
        loop {
            // [MQTT-3.3.4-9], [MQTT-4.9.0-2]
            if self.in_flight >= window || self.cursor >= self.end() || self.cursor - self.base >= SPAN {
                return None;
            }
            let position = self.cursor;
            match self.entry(position) {
                Some(Entry::Waiting(delivery)) => {
                    let Some(reason) = delivery.is_over(now) else { break };
                    self.give_up(position, reason);
                    finished(position);
                }
                Some(Entry::Done) | None => self.cursor += 1,
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
    pub fn sent(&mut self) {
        let position = self.cursor;
        if let Some(entry) = self.entry_mut(position) {
            *entry = match std::mem::replace(entry, Entry::Done) {
                Entry::Waiting(delivery) | Entry::Sent(delivery) => Entry::Sent(delivery),
                other @ (Entry::Received | Entry::Done) => other,
            };
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

    pub fn pubrec(&mut self, id: PacketId, code: ReasonCode) -> Acknowledged {
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
        for position in self.base..self.end() {
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

    /// The connection ended: on the next one everything unfinished is sent again, in order.
    pub fn disconnected(&mut self) {
        self.cursor = self.base;
        self.in_flight = 0;
    }

    pub fn take_released(&mut self) -> Released {
        std::mem::take(&mut self.released)
    }

    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
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

    fn give_up(&mut self, position: u64, reason: DropReason) {
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = self.replace(position, Entry::Done) {
            self.dropped.push(Dropped::new(reason, &delivery));
        }
        self.trim();
    }

    /// Changes an entry and keeps the counts.
    fn replace(&mut self, position: u64, new: Entry) -> Entry {
        let is_before_cursor = position < self.cursor;
        let Some(entry) = self.entry_mut(position) else { return Entry::Done };
        let is_finished = matches!(new, Entry::Done);
        let old = std::mem::replace(entry, new);
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = &old {
            self.occupied.remove(delivery);
            self.released.add(delivery);
        }
        if is_before_cursor && is_finished && !matches!(old, Entry::Done) {
            self.in_flight -= 1;
        }
        old
    }

    fn trim(&mut self) {
        while matches!(self.entries.front(), Some(Entry::Done)) {
            self.entries.pop_front();
            self.base += 1;
        }
        self.cursor = self.cursor.max(self.base);
        // A line that was long once does not keep its room for ever.
        if self.entries.is_empty() && self.entries.capacity() > 4096 {
            self.entries.shrink_to(64);
        }
    }

    fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.base)?).ok()?)
    }

    fn entry_mut(&mut self, position: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(position.checked_sub(self.base)?).ok()?)
    }
}
