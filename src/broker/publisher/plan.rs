//! Who takes a message and who does not, found out before anybody gets it: a message that is refused to its publisher
//! reaches nobody, so that it comes once when it is sent again.
use super::routes::CachedTarget;
use super::{Publisher, cost_bytes};
use crate::broker::{Broker, Slot};
use crate::session::{DropReason, Limits, OnFull, Released, Room};
use crate::types::{Message, QoS};
use std::sync::Arc;

/// Why a queue takes no more, and what becomes of the message then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    reason: DropReason,
    on_full: OnFull,
}

/// A receiver that does not get the message.
#[derive(Debug)]
pub(super) struct Missed {
    /// Its place among the receivers.
    pub place: usize,
    pub reason: DropReason,
    pub slot: Arc<Slot>,
}

/// The receivers of one message. Deliveries of QoS 0 promise nothing, and are not in it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    durable: Tally,
    others: Tally,
    /// Bytes that the durable targets take in the message's record.
    target_bytes: u64,
    /// In order of their places.
    missed: Vec<Missed>,
}

#[derive(Debug, Default)]
struct Tally {
    taken: usize,
    refused: usize,
    dropped: usize,
}

impl Plan {
    fn note(&mut self, place: usize, slot: &Arc<Slot>, full: Option<Full>) {
        let tally = if slot.is_durable { &mut self.durable } else { &mut self.others };
        tally.count(full.map(|full| full.on_full));
        self.missed.extend(full.map(|full| Missed { place, reason: full.reason, slot: slot.clone() }));
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

    /// Bytes that they take in the message's record.
    pub fn target_bytes(&self) -> u64 {
        self.target_bytes
    }

    pub fn missed(&self) -> &[Missed] {
        &self.missed
    }
}

impl Tally {
    fn count(&mut self, on_full: Option<OnFull>) {
        match on_full {
            None => self.taken += 1,
            Some(OnFull::Refuse) => self.refused += 1,
            Some(OnFull::DropNewest | OnFull::DropOldest) => self.dropped += 1,
        }
    }
}

impl Publisher {
    /// Looks at the queues of all who shall have the message.
    pub(super) fn plan<'t>(
        &mut self,
        broker: &Broker,
        targets: impl Iterator<Item = &'t CachedTarget>,
        rule: u8,
        message: &Message,
    ) -> Plan {
        let mut plan = Plan::default();
        if message.qos == QoS::AtMostOnce {
            return plan;
        }
        let bytes = cost_bytes(message);
        let limits = self.limits.take().unwrap_or_else(|| broker.limits.load_full());
        for (place, target) in targets.enumerate() {
            let Some(peer) = self.peers.get(target.peer).filter(|_| target.qos != QoS::AtMostOnce) else { continue };
            if peer.slot.is_durable {
                plan.target_bytes += record_bytes(target);
            }
            plan.note(place, &peer.slot, fullness(broker, &limits, &peer.slot, &peer.reserved, rule, bytes));
        }
        self.limits = Some(limits);
        plan
    }
}

/// At most as much as the store writes for one target.
fn record_bytes(target: &CachedTarget) -> u64 {
    const FIXED: usize = 40;
    let ids = size_of_val(target.subscription_ids.as_slice());
    let share = target.share.as_ref().map_or(0, |filter| filter.as_str().len());
    (FIXED + ids + share) as u64
}

/// Why a session's queue does not take one more message, if so. `reserved` is what this turn took of it already.
/// Publishers reserve batch by batch, so that the limits hold to within one read batch of each publisher.
pub(super) fn fullness(
    broker: &Broker,
    limits: &Limits,
    slot: &Slot,
    reserved: &Released,
    rule: u8,
    bytes: u64,
) -> Option<Full> {
    if let Some(rule_limits) = broker.queue.rule(rule) {
        let (held, more) = (slot.allowance.held(rule), reserved.by_rule.of(rule));
        let held = Room { messages: held.messages + more.messages, bytes: held.bytes + more.bytes };
        if !rule_limits.has_room(held, Room { messages: 1, bytes }) {
            return Some(Full { reason: DropReason::FilterFull, on_full: rule_limits.on_full });
        }
    }
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

    const REFUSES: Option<OnFull> = Some(OnFull::Refuse);
    const DROPS: Option<OnFull> = Some(OnFull::DropNewest);

    fn is_refused(receivers: &[(bool, Option<OnFull>)]) -> bool {
        let mut plan = Plan::default();
        for (is_durable, on_full) in receivers {
            if *is_durable { &mut plan.durable } else { &mut plan.others }.count(*on_full);
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
