//! What arrived, held against what was published.
use super::payload::Number;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Arrivals of any number of streams.
#[derive(Debug, Default)]
pub struct Ledger {
    streams: BTreeMap<u32, Stream>,
    received: u64,
    doubled: u64,
    disordered: u64,
    damaged: u64,
}

#[derive(Debug, Default)]
struct Stream {
    /// One more than the highest number that arrived.
    next: u64,
    /// Lower numbers that did not arrive yet.
    missing: BTreeSet<u64>,
}

/// The sum of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    pub received: u64,
    pub lost: u64,
    pub doubled: u64,
    pub disordered: u64,
    pub damaged: u64,
}

impl Ledger {
    /// Takes an arrival down.
    pub fn note(&mut self, payload: &[u8]) {
        let Some(Number { stream, number }) = Number::read(payload) else {
            self.damaged += 1;
            return;
        };
        let stream = self.streams.entry(stream).or_default();
        if number >= stream.next {
            stream.missing.extend(stream.next..number);
            stream.next = number + 1;
        } else if stream.missing.remove(&number) {
            self.disordered += 1;
        } else {
            self.doubled += 1;
            return;
        }
        self.received += 1;
    }

    /// Different messages that arrived.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The sum, given how many messages each stream had.
    pub fn sum(&self, published: impl IntoIterator<Item = (u32, u64)>) -> Sum {
        let mut sum = Sum {
            received: self.received,
            lost: 0,
            doubled: self.doubled,
            disordered: self.disordered,
            damaged: self.damaged,
        };
        let mut strangers: BTreeSet<u32> = self.streams.keys().copied().collect();
        for (name, count) in published {
            strangers.remove(&name);
            let (next, missing) = self.streams.get(&name).map_or((0, 0), |found| (found.next, found.missing.len()));
            sum.lost += count.saturating_sub(next) + missing as u64;
            sum.damaged += next.saturating_sub(count);
        }
        // Messages for somebody else are as bad as damaged ones.
        sum.damaged += strangers.len() as u64;
        sum
    }
}

impl Sum {
    pub fn add(&mut self, other: Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.disordered += other.disordered;
        self.damaged += other.damaged;
    }

    pub fn is_sound(&self) -> bool {
        (self.lost, self.doubled, self.disordered, self.damaged) == (0, 0, 0, 0)
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, lost, doubled, disordered, damaged } = self;
        write!(
            formatter,
            "{received} received: {lost} lost, {doubled} doubled, {disordered} out of order, {damaged} damaged or misled"
        )
    }
}
