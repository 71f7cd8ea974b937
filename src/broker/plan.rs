//! Who takes a message and who does not, found out before anybody gets it: a message that is refused to its publisher
//! reaches nobody, so that it comes once when it is sent again.
use super::{Broker, Slot};
use crate::session::{DropReason, OnFull, Released, Room};

/// A receiver whose queue does not take the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub reason: DropReason,
    on_full: OnFull,
}

/// The receivers of one message. Deliveries of QoS 0 promise nothing, and are not in it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    durable: Tally,
    others: Tally,
    /// Those who do not take it, by their place among the receivers.
    full: Vec<(usize, Full)>,
}

#[derive(Debug, Default)]
struct Tally {
    taken: usize,
    refused: usize,
    dropped: usize,
}

impl Plan {
    pub fn note(&mut self, place: usize, is_durable: bool, full: Option<Full>) {
        let tally = if is_durable { &mut self.durable } else { &mut self.others };
        match full.map(|full| full.on_full) {
            None => tally.taken += 1,
            Some(OnFull::Refuse) => tally.refused += 1,
            Some(OnFull::DropNewest | OnFull::DropOldest) => tally.dropped += 1,
        }
        self.full.extend(full.map(|full| (place, full)));
    }

    /// Whether the message is to be refused: none of those took it for whom it would be kept, and one of them refused.
    /// Where all receivers live with their connections, what these take counts.
    pub fn is_refused(&self) -> bool {
        let Tally { taken, refused, dropped } = self.durable;
        let decisive = if taken + refused + dropped > 0 { &self.durable } else { &self.others };
        decisive.taken == 0 && decisive.refused > 0
    }

    /// Sessions that take it and outlive their connections.
    pub fn durable_targets(&self) -> usize {
        self.durable.taken
    }

    pub fn full(&self) -> &[(usize, Full)] {
        &self.full
    }
}

/// Why a session's queue does not take one more message, if so. `reserved` is what this turn took of it already.
/// Publishers reserve batch by batch, so that the limits hold to within one read batch of each publisher.
pub(super) fn fullness(broker: &Broker, slot: &Slot, reserved: &Released, rule: u8, bytes: u64) -> Option<Full> {
    if let Some(limits) = broker.queue.rule(rule) {
        let (held, more) = (slot.allowance.held(rule), reserved.by_rule.of(rule));
        let held = Room { messages: held.messages + more.messages, bytes: held.bytes + more.bytes };
        if !limits.has_room(held, Room { messages: 1, bytes }) {
            return Some(Full { reason: DropReason::FilterFull, on_full: limits.on_full });
        }
    }
    let limits = &broker.limits;
    // The session itself makes room.
    if limits.on_full == OnFull::DropOldest {
        return None;
    }
    let backlog = slot.backlog();
    let has_room = backlog.messages + reserved.messages < limits.queued_messages_max
        && backlog.bytes + reserved.bytes + bytes <= limits.queued_bytes_max;
    (!has_room).then_some(Full { reason: DropReason::QueueFull, on_full: limits.on_full })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFUSES: Option<Full> = Some(Full { reason: DropReason::QueueFull, on_full: OnFull::Refuse });
    const DROPS: Option<Full> = Some(Full { reason: DropReason::FilterFull, on_full: OnFull::DropNewest });

    fn is_refused(receivers: &[(bool, Option<Full>)]) -> bool {
        let mut plan = Plan::default();
        for (place, (is_durable, full)) in receivers.iter().enumerate() {
            plan.note(place, *is_durable, *full);
        }
        plan.is_refused()
    }

    #[test]
    fn a_message_is_refused_when_nobody_keeps_it_and_somebody_would_have() {
        assert!(is_refused(&[(true, REFUSES)]));
        assert!(is_refused(&[(true, REFUSES), (true, DROPS)]));
        assert!(is_refused(&[(true, REFUSES), (false, None)]));
        assert!(is_refused(&[(false, REFUSES)]));
        assert!(!is_refused(&[]));
        assert!(!is_refused(&[(true, DROPS)]));
        assert!(!is_refused(&[(true, REFUSES), (true, None)]));
        assert!(!is_refused(&[(true, DROPS), (false, REFUSES)]));
        assert!(!is_refused(&[(false, REFUSES), (false, None)]));
    }
}
