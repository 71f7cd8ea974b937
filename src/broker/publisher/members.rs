//! Who of a shared group gets the next message (5.0 section 4.8.2).
use super::plan::fullness;
use super::routes::{CachedRoute, CachedTarget};
use super::{Publisher, cost_bytes};
use crate::broker::{Broker, Slot, SlotHandle};
use crate::routing::{Group, MemberState};
use crate::session::{Limits, Released};
use crate::types::{Message, QoS, SessionKey, SubscriptionIds, TopicFilter};
use smallvec::SmallVec;
use std::sync::Arc;

/// What one message takes of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// As published.
    pub qos: QoS,
    pub bytes: u64,
    pub rule: u8,
}

impl Publisher {
    /// The members of shared groups that get a message.
    pub(super) fn pick_members(
        &mut self,
        broker: &Broker,
        route: &CachedRoute,
        message: &Message,
    ) -> SmallVec<[CachedTarget; 1]> {
        let cost = Cost { qos: message.qos, bytes: cost_bytes(message), rule: route.rule };
        let mut picked = SmallVec::new();
        for (group, filter) in &route.groups {
            let target = self.pick(broker, group, filter, None, cost);
            // Without one that has room, one that has none decides what becomes of the message.
            let nothing = Cost { qos: QoS::AtMostOnce, ..cost };
            picked.extend(target.or_else(|| self.pick(broker, group, filter, None, nothing)));
        }
        picked
    }

    /// The member of a shared group that gets the next message: one that has room for it, a live one first.
    pub(super) fn pick(
        &mut self,
        broker: &Broker,
        group: &Group<SlotHandle>,
        filter: &Arc<TopicFilter>,
        exclude: Option<SessionKey>,
        cost: Cost,
    ) -> Option<CachedTarget> {
        self.choice = self.choice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let limits = self.limits.take().unwrap_or_else(|| broker.limits.load_full());
        let state = |handle: &SlotHandle| {
            let has_no_room = cost.qos != QoS::AtMostOnce && self.is_full(broker, &limits, &handle.0, cost);
            if has_no_room { MemberState::Gone } else { member_state(&handle.0) }
        };
        let member = group.pick(broker.shared_strategy, self.choice >> 33, exclude, state);
        self.limits = Some(limits);
        let member = member?;
        Some(CachedTarget {
            peer: self.peer(&member.subscriber),
            qos: member.options.qos,
            retain_as_published: member.options.retain_as_published,
            subscription_ids: SubscriptionIds::from(member.id),
            share: Some(filter.clone()),
        })
    }

    fn is_full(&self, broker: &Broker, limits: &Limits, slot: &Slot, cost: Cost) -> bool {
        let nothing = Released::default();
        let peer = self.by_key.get(&slot.key).and_then(|peer| self.peers.get(*peer));
        let reserved = peer.map_or(&nothing, |peer| &peer.reserved);
        fullness(broker, limits, slot, reserved, cost.rule, cost.bytes).is_some()
    }
}

fn member_state(slot: &Slot) -> MemberState {
    if slot.is_live() {
        MemberState::Live { in_flight: usize::try_from(slot.backlog().messages).unwrap_or(usize::MAX) }
    } else if slot.is_durable {
        MemberState::Away
    } else {
        MemberState::Gone
    }
}
