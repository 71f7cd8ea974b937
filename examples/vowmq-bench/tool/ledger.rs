//! What a run has seen: who got what, how old it was, how much came while it was measured.
use super::checker::{Faults, Tally};
use super::stamp::{BYTES_MIN, Stamp, filler};
use hdrhistogram::Histogram;
use std::ops::Range;

pub struct Ledger {
    tallies: Vec<Tally>,
    pub streams: Vec<Stream>,
    pub faults: Faults,
    /// Ages in nanoseconds of messages that were due while it was measured.
    pub ages: Histogram<u64>,
    /// Streams below this one count for ages.
    pub timed: u32,
    /// The time that counts, by the tool's clock.
    pub measured: Range<u64>,
    /// Arrivals while it was measured.
    pub arrivals: u64,
    pub arrivals_in_all: u64,
    pub last_arrival_ns: u64,
    /// Streams of which something has arrived since this was last emptied.
    pub woken: Vec<u32>,
    filler: Vec<u8>,
}

/// One publisher's messages.
#[derive(Debug, Default, Clone)]
pub struct Stream {
    pub sent: u32,
    pub delivered: u64,
    is_woken: bool,
}

const AGE_NS_MAX: u64 = 600_000_000_000;
const DIGITS: u8 = 3;

impl Ledger {
    pub fn new(streams: u32, tallies: usize, payload_bytes: usize) -> Self {
        Self {
            tallies: std::iter::repeat_with(Tally::default).take(tallies).collect(),
            streams: vec![Stream::default(); streams as usize],
            faults: Faults::default(),
            ages: Histogram::new_with_bounds(1, AGE_NS_MAX, DIGITS).expect("these bounds are allowed"),
            timed: streams,
            measured: 0..u64::MAX,
            arrivals: 0,
            arrivals_in_all: 0,
            last_arrival_ns: 0,
            woken: Vec::new(),
            filler: filler(payload_bytes),
        }
    }

    /// The stamp of a payload, every other byte of which is as it was sent.
    #[inline]
    pub fn read(&self, payload: &[u8]) -> Option<Stamp> {
        let stamp = Stamp::read(payload)?;
        (payload[BYTES_MIN..] == self.filler[..]).then_some(stamp)
    }

    #[inline]
    pub fn note(&mut self, tally: usize, stamp: Stamp, is_in_order: bool, now_ns: u64) {
        let stream = &mut self.streams[stamp.stream as usize];
        if stamp.sequence >= stream.sent {
            self.faults.damaged += 1;
            return;
        }
        self.last_arrival_ns = now_ns;
        if !self.tallies[tally].note(stamp.sequence) {
            self.faults.doubled += 1;
            return;
        }
        self.faults.disordered += u64::from(!is_in_order);
        self.arrivals_in_all += 1;
        stream.delivered += 1;
        if !stream.is_woken {
            stream.is_woken = true;
            self.woken.push(stamp.stream);
        }
        if self.measured.contains(&now_ns) {
            self.arrivals += 1;
        }
        if stamp.stream < self.timed && self.measured.contains(&stamp.at_ns) {
            self.ages.saturating_record(now_ns.saturating_sub(stamp.at_ns));
        }
    }

    /// The streams of which something arrived, each once.
    pub fn take_woken(&mut self, into: &mut Vec<u32>) {
        into.clear();
        std::mem::swap(into, &mut self.woken);
        for stream in into {
            self.streams[*stream as usize].is_woken = false;
        }
    }

    /// Deliveries there ought to be when each tally has all of its stream.
    pub fn lost(&self, tally_streams: &[u32]) -> u64 {
        let missing = |(tally, stream): (&Tally, &u32)| {
            u64::from(self.streams[*stream as usize].sent).saturating_sub(tally.received())
        };
        self.tallies.iter().zip(tally_streams).map(missing).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new(2, 2, 64);
        ledger.streams[0].sent = 10;
        ledger.streams[1].sent = 3;
        ledger
    }

    fn stamp(stream: u32, sequence: u32) -> Stamp {
        Stamp { stream, sequence, at_ns: 100 }
    }

    #[test]
    fn loss_doubling_and_strangers_are_told_apart() {
        let mut ledger = ledger();
        for sequence in 0..9 {
            ledger.note(0, stamp(0, sequence), true, 200);
        }
        ledger.note(0, stamp(0, 4), false, 200);
        ledger.note(1, stamp(1, 7), true, 200);
        assert_eq!(ledger.lost(&[0, 1]), 1 + 3);
        assert_eq!(ledger.faults, Faults { doubled: 1, damaged: 1, ..Faults::default() });
        assert_eq!(ledger.arrivals_in_all, 9);
    }

    #[test]
    fn only_what_is_measured_counts_for_rate_and_age() {
        let mut ledger = ledger();
        ledger.measured = 150..250;
        ledger.note(0, Stamp { stream: 0, sequence: 0, at_ns: 100 }, true, 200);
        ledger.note(0, Stamp { stream: 0, sequence: 1, at_ns: 160 }, true, 260);
        assert_eq!((ledger.arrivals, ledger.arrivals_in_all), (1, 2));
        assert_eq!((ledger.ages.len(), ledger.ages.max()), (1, 100));
    }

    #[test]
    fn a_payload_with_one_wrong_byte_is_not_read() {
        let ledger = ledger();
        let mut payload = vec![0; BYTES_MIN];
        payload.extend(filler(64));
        assert!(ledger.read(&payload).is_some());
        payload[40] ^= 1;
        assert!(ledger.read(&payload).is_none());
        assert!(ledger.read(&payload[..30]).is_none());
    }

    #[test]
    fn a_stream_wakes_its_publisher_once() {
        let mut ledger = ledger();
        ledger.note(0, stamp(0, 0), true, 1);
        ledger.note(0, stamp(0, 1), true, 1);
        let mut woken = Vec::new();
        ledger.take_woken(&mut woken);
        assert_eq!(woken, [0]);
        ledger.note(0, stamp(0, 2), true, 1);
        ledger.take_woken(&mut woken);
        assert_eq!(woken, [0]);
    }
}
