//! Queue space: how much deliveries take, in all and for each rule of the broker that limits some topics.
use super::Delivery;
use crate::types::Rare;

/// Queue space that deliveries take, or no longer take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Released {
    pub messages: u64,
    pub bytes: u64,
    /// The part of it that rules count.
    pub by_rule: ByRule,
}

impl Released {
    /// What one delivery takes.
    pub fn of(delivery: &Delivery) -> Self {
        let mut space = Self::default();
        space.add(delivery);
        space
    }

    pub fn add(&mut self, delivery: &Delivery) {
        let bytes = delivery.cost_bytes();
        self.messages += 1;
        self.bytes += bytes;
        self.by_rule.add(delivery.rule, Room { messages: 1, bytes });
    }

    pub fn remove(&mut self, delivery: &Delivery) {
        let bytes = delivery.cost_bytes();
        self.messages -= 1;
        self.bytes -= bytes;
        self.by_rule.remove(delivery.rule, Room { messages: 1, bytes });
    }

    /// What of `other` is in here.
    #[must_use]
    pub fn part(&self, other: &Self) -> Self {
        Self {
            messages: self.messages.min(other.messages),
            bytes: self.bytes.min(other.bytes),
            by_rule: self.by_rule.part(&other.by_rule),
        }
    }

    /// Takes off what is in here.
    pub fn subtract(&mut self, part: &Self) {
        self.messages -= part.messages;
        self.bytes -= part.bytes;
        self.by_rule.subtract(&part.by_rule);
    }

    pub fn merge(&mut self, other: &Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.by_rule.merge(&other.by_rule);
    }

    /// The same, and leaves nothing.
    pub fn take_in(&mut self, other: &mut Self) {
        self.messages += std::mem::take(&mut other.messages);
        self.bytes += std::mem::take(&mut other.bytes);
        if !other.by_rule.is_empty() {
            self.by_rule.merge(&std::mem::take(&mut other.by_rule));
        }
    }
}

/// Messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    pub messages: u64,
    pub bytes: u64,
}

/// Space by rule, rules counted from 1; 0 is no rule, and is not counted. Only rules that something is held of are in
/// it, in their order: most often one or none, so that without rules it is a pointer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByRule(Rare<Vec<(u8, Room)>>);

impl ByRule {
    pub fn of(&self, rule: u8) -> Room {
        self.rules().find(|(held, _)| *held == rule).map(|(_, room)| room).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }

    pub fn add(&mut self, rule: u8, room: Room) {
        if rule == 0 {
            return;
        }
        let rules = self.0.edit();
        let found = rules.binary_search_by_key(&rule, |(held, _)| *held);
        match found.map(|place| rules.get_mut(place)) {
            Ok(Some((_, sum))) => {
                sum.messages += room.messages;
                sum.bytes += room.bytes;
            }
            Ok(None) => {}
            Err(place) => rules.insert(place, (rule, room)),
        }
    }

    pub fn remove(&mut self, rule: u8, room: Room) {
        let Some(rules) = self.0.get_mut() else { return };
        let Some(place) = rules.iter().position(|(held, _)| *held == rule) else { return };
        let Some((_, sum)) = rules.get_mut(place) else { return };
        debug_assert!(sum.messages >= room.messages && sum.bytes >= room.bytes, "given back twice");
        sum.messages = sum.messages.saturating_sub(room.messages);
        sum.bytes = sum.bytes.saturating_sub(room.bytes);
        if sum.messages == 0 {
            rules.remove(place);
        }
        if rules.is_empty() {
            self.0.clear();
        }
    }

    pub fn merge(&mut self, other: &Self) {
        other.rules().for_each(|(rule, room)| self.add(rule, room));
    }

    fn part(&self, other: &Self) -> Self {
        let mut part = Self::default();
        for (rule, room) in other.rules() {
            let held = self.of(rule);
            let (messages, bytes) = (held.messages.min(room.messages), held.bytes.min(room.bytes));
            if messages > 0 {
                part.add(rule, Room { messages, bytes });
            }
        }
        part
    }

    pub fn subtract(&mut self, other: &Self) {
        other.rules().for_each(|(rule, room)| self.remove(rule, room));
    }

    fn rules(&self) -> impl Iterator<Item = (u8, Room)> {
        self.0.get().into_iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Room = Room { messages: 1, bytes: 10 };

    #[test]
    fn each_rule_is_counted_by_itself_and_no_rule_is_not() {
        let mut held = ByRule::default();
        held.add(0, ONE);
        assert!(held.is_empty());
        held.add(3, ONE);
        held.add(3, ONE);
        held.add(255, ONE);
        assert_eq!((held.of(3), held.of(255)), (Room { messages: 2, bytes: 20 }, ONE));
        assert_eq!((held.of(0), held.of(1)), (Room::default(), Room::default()));
    }

    #[test]
    fn what_is_given_back_is_no_longer_held() {
        let mut held = ByRule::default();
        held.add(2, ONE);
        let mut other = held.clone();
        other.add(1, ONE);
        held.merge(&other);
        assert_eq!((held.of(1), held.of(2).messages), (ONE, 2));
        held.subtract(&other);
        held.remove(2, ONE);
        assert_eq!((held.of(1), held.of(2)), (Room::default(), Room::default()));
        assert!(held.is_empty());
    }
}
