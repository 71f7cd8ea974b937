//! What passes between the broker and its clients, counted batch by batch.
use super::Counter;
use super::histogram::Histogram;
use crate::packet::Version;
use crate::types::{QoS, Stamp};

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Traffic {
    pub received: ByKind,
    pub sent: ByKind,
    /// Packets of any kind and their bytes, on connections that have a session.
    pub packets_received: Counter,
    pub packets_sent: Counter,
    pub bytes_received: Counter,
    pub bytes_sent: Counter,
    /// Payloads of PUBLISHes.
    pub payload_bytes_received: Counter,
    pub payload_bytes_sent: Counter,
}

/// PUBLISHes by the version of the connection and their QoS.
#[derive(Debug, Default)]
pub struct ByKind {
    v3: [Counter; 3],
    v5: [Counter; 3],
}

/// PUBLISHes by QoS: what one batch gathers before it is counted.
pub type ByQoS = [u64; 3];

/// The place of a QoS in what is counted by it.
pub const fn place(qos: QoS) -> usize {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}

impl ByKind {
    pub fn add(&self, version: Version, counts: ByQoS) {
        for (counter, count) in self.of(version).iter().zip(counts) {
            counter.add(count);
        }
    }

    /// Counts of the 5.0 or of the older connections, by QoS.
    pub fn values(&self, is_v5: bool) -> ByQoS {
        let counters = if is_v5 { &self.v5 } else { &self.v3 };
        counters.each_ref().map(Counter::value)
    }

    fn of(&self, version: Version) -> &[Counter; 3] {
        if version.is_v5() { &self.v5 } else { &self.v3 }
    }
}

/// How the store keeps up, group by group.
#[derive(Debug)]
pub struct Commits {
    /// Microseconds that the store took to make a group durable.
    pub commit_us: Histogram,
    /// Microseconds from the first submission of a group until all of it had been handed out.
    pub wait_us: Histogram,
    /// Records of a group.
    pub records: Histogram,
}

/// How long messages take.
#[derive(Debug)]
pub struct Deliveries {
    /// Microseconds from a PUBLISH's arrival until it was written for a receiver, of one PUBLISH in each read and of
    /// receivers that were there when it came.
    pub delivery_us: Histogram,
}

impl Default for Deliveries {
    fn default() -> Self {
        Self { delivery_us: Histogram::new(US) }
    }
}

impl Deliveries {
    /// Notes that a message is written now for a receiver that has been there since `opened`.
    pub fn observe(&self, received: Stamp, opened: Stamp) {
        if let (Some(received), Some(opened)) = (received.us(), opened.us())
            && received >= opened
            && let Some(now) = crate::clock::stamp().us()
        {
            self.delivery_us.observe(now.saturating_sub(received));
        }
    }
}

const US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];
const RECORDS: &[u64] = &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000];

impl Default for Commits {
    fn default() -> Self {
        Self { commit_us: Histogram::new(US), wait_us: Histogram::new(US), records: Histogram::new(RECORDS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_receivers_that_were_there_count_for_the_time_of_delivery() {
        let deliveries = Deliveries::default();
        let [before, between] = [crate::clock::stamp(), crate::clock::stamp()];
        let after = Stamp::new(between.us().unwrap() + 1);
        deliveries.observe(between, after);
        deliveries.observe(Stamp::default(), before);
        assert_eq!(deliveries.delivery_us.distribution().count(), 0);
        deliveries.observe(between, before);
        assert_eq!(deliveries.delivery_us.distribution().count(), 1);
    }
}
