//! What a broker did that it had promised not to do.
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Acknowledged to its publisher, never received by a subscriber whose subscription was acknowledged before.
    MessageLost,
    /// QoS 2, received twice.
    MessageDoubled,
    /// First arrivals of one publisher, topic and QoS, not in the order of publication.
    MessageReordered,
    /// Sent again with DUP 0.
    DupUnset,
    /// Not what was sent, or not what was subscribed to.
    MessageAltered,
    /// Session Present 0 for a session that was acknowledged and has not expired.
    SessionLost,
    /// Session Present 1 for a client that never came.
    SessionInvented,
    /// A retained message that is older than the last acknowledged one, or gone.
    RetainedLost,
    /// The will of an acknowledged connection that broke, never received.
    WillLost,
    /// A will received before its delay had passed.
    WillEarly,
    /// A handshake that stands still, or a packet with no place in it.
    HandshakeBroken,
    /// A connection closed by a broker that was not killed.
    ConnectionCut,
    /// The broker did not start again.
    NotStarted,
}

/// How many examples of each are described.
const EXAMPLES: u64 = 5;

#[derive(Debug, Default)]
pub struct Faults {
    counts: BTreeMap<Fault, u64>,
    examples: Vec<String>,
}

impl Faults {
    pub fn note(&mut self, fault: Fault, describe: impl FnOnce() -> String) {
        let count = self.counts.entry(fault).or_insert(0);
        *count += 1;
        if *count <= EXAMPLES {
            self.examples.push(format!("{fault:?}: {}", describe()));
        }
    }

    pub fn count(&self, fault: Fault) -> u64 {
        self.counts.get(&fault).copied().unwrap_or(0)
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub fn describe(&self) -> String {
        format!("{:?}\n{}", self.counts, self.examples.join("\n"))
    }
}
