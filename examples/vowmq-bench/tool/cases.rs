//! The cases of a comparison, and the figures that count.
use super::crowd::{Churn, Idle};
use super::offline::Offline;
use super::plan::{Plan, Shape};
use super::retained::Retained;
use super::start::Start;
use super::subscriptions::Subscriptions;
use super::work::{Age, Loaded, Work};
use vowmq::types::QoS;

#[derive(Debug, Clone)]
pub struct Case {
    /// How it is chosen and called, such as `p2p-qos1`.
    pub name: &'static str,
    pub what: &'static str,
    pub work: Work,
    /// What it tells, a row of the report each.
    pub figures: &'static [Figure],
    /// Whether it is among the few of a quick comparison.
    pub is_quick: bool,
}

/// One value that a case tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Behind the case's name, where there are several.
    pub name: &'static str,
    pub unit: &'static str,
    /// Whether more is better.
    pub is_gain: bool,
}

const RATE: Figure = Figure { name: "", unit: "messages/s", is_gain: true };
const P50: Figure = Figure { name: "", unit: "us at p50", is_gain: false };
const P99: Figure = Figure { name: "", unit: "us at p99", is_gain: false };
const BOTH: &[Figure] = &[Figure { name: "p50", ..P50 }, Figure { name: "p99", ..P99 }];
pub const IDLE: &[Figure] = &[
    Figure { name: "rate", unit: "connects/s", is_gain: true },
    Figure { name: "memory", unit: "B/connection", is_gain: false },
];
pub const CHURN: &[Figure] = &[Figure { unit: "connects/s", ..RATE }];
pub const SUBSCRIPTIONS: &[Figure] = &[
    Figure { name: "rate", unit: "filters/s", is_gain: true },
    Figure { name: "memory", unit: "B/filter", is_gain: false },
];
pub const START: &[Figure] = &[
    Figure { name: "time", unit: "ms", is_gain: false },
    Figure { name: "memory", unit: "MiB", is_gain: false },
    Figure { name: "binary", unit: "MiB", is_gain: false },
];
pub const IN_AND_OUT: &[Figure] = &[Figure { name: "in", ..RATE }, Figure { name: "out", ..RATE }];
pub const SET_AND_DRAIN: &[Figure] = &[Figure { name: "set", ..RATE }, Figure { name: "drain", ..RATE }];

impl Case {
    /// The name of one of its rows.
    pub fn row(&self, figure: &Figure) -> String {
        if figure.name.is_empty() { self.name.to_owned() } else { format!("{}-{}", self.name, figure.name) }
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
    cases.extend(crowds());
    cases.extend(stores());
    cases
}

fn rate(name: &'static str, what: &'static str, plan: Plan) -> Case {
    let work = Work::Load(Loaded { plan, age: None });
    Case { name, what, work, figures: &[RATE], is_quick: false }
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
    let durable =
        |publishers, window, qos| Plan { durable: true, window, ..Plan::new(Shape::P2p, publishers, publishers, qos) };
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
    let timed = |name, what, plan, age| {
        let figures: &[Figure] = match age {
            Age::P50 => &[P50],
            Age::P99 => &[P99],
            Age::Both => BOTH,
        };
        Case { work: Work::Load(Loaded { plan, age: Some(age) }), figures, ..rate(name, what, one(Q0)) }
    };
    let paced = Plan { rate: Some(5000.0), ..Plan::new(Shape::P2p, 50, 50, Q1) };
    let what = "5,000 messages/s over 50 pairs, QoS 1, from the time each was due";
    vec![
        Case { is_quick: true, ..timed("round-trip-qos0", "one message at a time, QoS 0", one(Q0), Age::P50) },
        timed("round-trip-qos1", "one message at a time, QoS 1", one(Q1), Age::P50),
        Case { is_quick: true, ..timed("paced-5000", what, paced.clone(), Age::P99) },
        timed("paced-durable", "the same to durable sessions", Plan { durable: true, ..paced }, Age::Both),
    ]
}

fn other(name: &'static str, what: &'static str, work: Work, figures: &'static [Figure]) -> Case {
    Case { name, what, work, figures, is_quick: false }
}

fn crowds() -> Vec<Case> {
    let idle = |connections, tls| Work::Idle(Idle { connections, tls });
    let subscriptions = |count| Work::Subscriptions(Subscriptions { count, clients: 20 });
    vec![
        other("start", "to the first connection, memory then, size of the program", Work::Start(Start), START),
        other("idle", "10,000 connections with a subscription that do nothing", idle(10_000, false), IDLE),
        other("idle-tls", "2,000 of them with TLS", idle(2_000, true), IDLE),
        other("churn", "clients that connect, are welcomed and go", Work::Churn(Churn { at_once: 64 }), CHURN),
        other("subscriptions-100k", "one in ten with wildcards", subscriptions(100_000), SUBSCRIPTIONS),
        other("subscriptions-1m", "one in ten with wildcards", subscriptions(1_000_000), SUBSCRIPTIONS),
    ]
}

fn stores() -> Vec<Case> {
    let offline = |qos| Work::Offline(Offline { sessions: 20, messages: 10_000, qos });
    let what = "20 durable sessions that are away, 10,000 messages of 64 B for each, then back";
    let retained = Work::Retained(Retained { topics: 100_000 });
    vec![
        other("offline-qos1", what, offline(Q1), IN_AND_OUT),
        other("offline-qos2", "the same, QoS 2", offline(Q2), IN_AND_OUT),
        other("retained-100k", "100,000 topics set at QoS 1, then one wildcard", retained, SET_AND_DRAIN),
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
        assert!(cases.iter().all(|case| !case.figures.is_empty()));
    }
}
