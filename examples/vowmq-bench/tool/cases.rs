//! The cases of a comparison: one plan each, and the figure that counts.
use super::plan::{Plan, Shape};
use vowmq::types::QoS;

#[derive(Debug, Clone)]
pub struct Case {
    /// How it is chosen and called, such as `p2p-qos1`.
    pub name: &'static str,
    pub what: &'static str,
    pub plan: Plan,
    pub figure: Figure,
    /// Whether it is among the few of a quick comparison.
    pub is_quick: bool,
}

/// Which figure of a run counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Deliveries per second; more is better.
    Rate,
    /// Microseconds; less is better.
    P50,
    P99,
}

impl Figure {
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Rate => "messages/s",
            Self::P50 => "us at p50",
            Self::P99 => "us at p99",
        }
    }
}

const Q0: QoS = QoS::AtMostOnce;
const Q1: QoS = QoS::AtLeastOnce;
const Q2: QoS = QoS::ExactlyOnce;

/// The whole set.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(live());
    cases.extend(payloads());
    cases.extend(durable());
    cases.extend(times());
    cases
}

fn rate(name: &'static str, what: &'static str, plan: Plan) -> Case {
    Case { name, what, plan, figure: Figure::Rate, is_quick: false }
}

fn quick(name: &'static str, what: &'static str, plan: Plan) -> Case {
    Case { is_quick: true, ..rate(name, what, plan) }
}

fn live() -> Vec<Case> {
    use Shape::{FanIn, FanOut, P2p, Shared};
    let pairs = Plan { window: 4, ahead: 40, ..Plan::new(P2p, 500, 500, Q1) };
    // One publisher alone: let it run as far ahead as ten do in p2p.
    let fan_out = |qos, subscribers| Plan { window: 100, ahead: 100, ..Plan::new(FanOut, 1, subscribers, qos) };
    vec![
        quick("p2p-qos0", "10 publishers to 10 subscribers, 64 B, window 100", Plan::new(P2p, 10, 10, Q0)),
        quick("p2p-qos1", "the same, QoS 1", Plan::new(P2p, 10, 10, Q1)),
        quick("p2p-qos2", "the same, QoS 2", Plan::new(P2p, 10, 10, Q2)),
        quick("fan-out-qos0", "1 publisher to 100 subscribers, 64 B, window 100", fan_out(Q0, 100)),
        quick("fan-out-qos1", "the same, QoS 1", fan_out(Q1, 100)),
        quick("fan-in-qos0", "50 publishers to 1 subscriber, 64 B, window 100", Plan::new(FanIn, 50, 1, Q0)),
        quick("fan-in-qos1", "the same, QoS 1", Plan::new(FanIn, 50, 1, Q1)),
        quick("shared-qos1", "50 publishers to a group of 10, 64 B, QoS 1, window 100", Plan::new(Shared, 50, 10, Q1)),
        rate("pairs-500-qos1", "500 pairs, 64 B, QoS 1, window 4", pairs),
    ]
}

fn payloads() -> Vec<Case> {
    let plan = |payload_bytes| Plan { payload_bytes, ..Plan::new(Shape::P2p, 10, 10, Q0) };
    vec![
        rate("payload-1k", "p2p, 1 KiB, QoS 0", plan(1 << 10)),
        rate("payload-16k", "p2p, 16 KiB, QoS 0", plan(16 << 10)),
    ]
}

fn durable() -> Vec<Case> {
    let durable = |publishers, window, qos| Plan {
        durable: true,
        window,
        ..Plan::new(Shape::P2p, publishers, publishers, qos)
    };
    let live = |publishers, window, qos| Plan { durable: false, ..durable(publishers, window, qos) };
    vec![
        quick("durable-qos1", "p2p with durable subscribers, 10 pairs, QoS 1, window 100", durable(10, 100, Q1)),
        quick("durable-qos2", "the same, QoS 2", durable(10, 100, Q2)),
        rate("durable-qos1-w20", "100 pairs, durable, QoS 1, window 20", durable(100, 20, Q1)),
        rate("live-qos1-w20", "the same, live only", live(100, 20, Q1)),
        rate("durable-qos2-w20", "100 pairs, durable, QoS 2, window 20", durable(100, 20, Q2)),
        rate("live-qos2-w20", "the same, live only", live(100, 20, Q2)),
    ]
}

fn times() -> Vec<Case> {
    let one = |qos| Plan { window: 1, ahead: 1, spins: true, ..Plan::new(Shape::P2p, 1, 1, qos) };
    let trip = |name, what, qos| Case { figure: Figure::P50, ..rate(name, what, one(qos)) };
    let paced = Plan { rate: Some(5000.0), ..Plan::new(Shape::P2p, 50, 50, Q1) };
    vec![
        Case { is_quick: true, ..trip("round-trip-qos0", "one message at a time, QoS 0", Q0) },
        trip("round-trip-qos1", "one message at a time, QoS 1", Q1),
        Case {
            figure: Figure::P99,
            ..quick("paced-5000", "5,000 messages/s over 50 pairs, QoS 1, from the time each was due", paced)
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn cases_have_names_of_their_own() {
        let cases = all();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().any(|case| case.is_quick));
    }
}
