//! Who of a shared group gets the next message (5.0 section 4.8.2).
use super::plan::fullness;
use super::routes::{CachedGroup, CachedRoute, CachedTarget};
use super::{Peer, Publisher, cost_bytes};
use crate::broker::Broker;
use crate::routing::MemberState;
use crate::session::Limits;
use crate::types::{Message, QoS, SessionKey};
use smallvec::SmallVec;

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
    pub(super) fn pick_members<'r>(
        &mut self,
        broker: &Broker,
        route: &'r CachedRoute,
        message: &Message,
    ) -> SmallVec<[&'r CachedTarget; 1]> {
        let mut picked = SmallVec::new();
        if route.groups.is_empty() {
            return picked;
        }
        let cost = Cost { qos: message.qos, bytes: cost_bytes(message), rule: route.rule };
        for group in &route.groups {
            let target = self.pick(broker, group, None, cost);
            // Without one that has room, one that has none decides what becomes of the message.
            let nothing = Cost { qos: QoS::AtMostOnce, ..cost };
            picked.extend(target.or_else(|| self.pick(broker, group, None, nothing)));
        }
        picked
    }

    /// The member of a shared group that gets the next message: one that has room for it, a live one first.
    pub(super) fn pick<'g>(
        &mut self,
        broker: &Broker,
        CachedGroup { group, members }: &'g CachedGroup,
        exclude: Option<SessionKey>,
        cost: Cost,
    ) -> Option<&'g CachedTarget> {
        self.choice = self.choice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let limits = self.limits.take().unwrap_or_else(|| broker.limits.load_full());
        let state = |place: usize| {
            let peer = members.get(place).and_then(|member| self.peers.get(member.peer));
            peer.map_or(MemberState::Gone, |peer| member_state(broker, &limits, peer, cost))
        };
        let picked = group.pick(broker.shared_strategy, self.choice >> 33, exclude, state);
        self.limits = Some(limits);
        members.get(picked?)
    }
}

fn member_state(broker: &Broker, limits: &Limits, Peer { slot, reserved, .. }: &Peer, cost: Cost) -> MemberState {
    if cost.qos != QoS::AtMostOnce && fullness(broker, limits, slot, reserved, cost.rule, cost.bytes).is_some() {
        return MemberState::Gone;
    }
    if slot.is_live() {
        MemberState::Live { in_flight: usize::try_from(slot.backlog().messages).unwrap_or(usize::MAX) }
    } else if slot.is_durable {
        MemberState::Away
    } else {
        MemberState::Gone
    }
}
