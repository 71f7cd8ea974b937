//! Loss, doubling and order: what arrived, held against what was published.
use serde::Serialize;

/// Arrivals of one stream at one subscriber, or at one group of subscribers that share it: one bit for each message.
#[derive(Debug, Default)]
pub struct Tally {
    seen: Vec<u64>,
    received: u64,
}

impl Tally {
    /// Whether this message had not arrived before.
    pub fn note(&mut self, sequence: u32) -> bool {
        let (word, bit) = (sequence as usize / 64, 1_u64 << (sequence % 64));
        if word >= self.seen.len() {
            self.seen.resize((word + 1).next_power_of_two(), 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        self.received += u64::from(is_new);
        is_new
    }

    pub fn received(&self) -> u64 {
        self.received
    }
}

/// The order in which one subscriber meets the messages of one stream.
#[derive(Debug, Default, Clone, Copy)]
pub struct Order {
    next: u32,
}

impl Order {
    /// Whether this message comes before none that has come already.
    pub fn note(&mut self, sequence: u32) -> bool {
        let is_in_order = sequence >= self.next;
        self.next = self.next.max(sequence.saturating_add(1));
        is_in_order
    }
}

/// The sum of a run. Loss is a fault above QoS 0 only; the others always are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub disordered: u64,
    /// Payloads that are not what was published.
    pub damaged: u64,
    /// Publishes that the broker answered with a failure.
    pub refused: u64,
}

impl Faults {
    pub fn is_sound(&self, may_lose: bool) -> bool {
        let Self { lost, doubled, disordered, damaged, refused } = *self;
        (may_lose || lost == 0) && (doubled, disordered, damaged, refused) == (0, 0, 0, 0)
    }

    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.damaged += other.damaged;
        self.refused += other.refused;
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { lost, doubled, disordered, damaged, refused } = self;
        if *self == Self::default() {
            return formatter.write_str("none lost, doubled or out of order");
        }
        write!(
            formatter,
            "{lost} lost, {doubled} doubled, {disordered} out of order, {damaged} damaged, {refused} refused"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_twice_is_noticed_and_counted_once() {
        let mut tally = Tally::default();
        assert!([0, 1, 2, 700].into_iter().all(|sequence| tally.note(sequence)));
        assert!(!tally.note(1));
        assert!(!tally.note(700));
        assert_eq!(tally.received(), 4);
    }

    #[test]
    fn what_arrives_late_is_new_but_out_of_order() {
        let (mut tally, mut order) = (Tally::default(), Order::default());
        for (sequence, is_in_order) in [(0, true), (2, true), (1, false), (3, true)] {
            assert!(tally.note(sequence));
            assert_eq!(order.note(sequence), is_in_order, "{sequence}");
        }
        assert_eq!(tally.received(), 4);
    }

    #[test]
    fn loss_is_a_fault_unless_it_is_allowed() {
        let faults = Faults { lost: 3, ..Faults::default() };
        assert!(faults.is_sound(true));
        assert!(!faults.is_sound(false));
        assert!(!Faults { doubled: 1, ..Faults::default() }.is_sound(true));
    }
}
