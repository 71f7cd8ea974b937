//! Every case of tests/data/wire-cases.csv against the broker: exact bytes in, exact reaction out.
//!
//! Environment: `WIRE_ONLY=W3-001,W5-002` picks cases, `VOWMQ_LONG=1` adds those that wait a minute,
//! `VOWMQ_BROKER_PORT=1883` takes a broker that already runs (and is empty) instead of starting one,
//! `WIRE_VERBOSE=1` lists every case with its result.

mod common;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::broker::Broker;
use wire::case::{Case, Exception, Row, rows};
use wire::plan::{BROKERS, LeftOut, Place, place};
use wire::play::{Outcome, play};

/// Cases spend their time waiting for silence, so many more fit at once than there are cores.
const CASES_AT_ONCE: usize = 64;

#[test]
fn every_wire_case_gets_the_reaction_the_standard_asks_for() {
    let external =
        std::env::var("VOWMQ_BROKER_PORT").ok().map(|port| port.parse().expect("VOWMQ_BROKER_PORT is a port"));
    let (planned, skipped) = plan(external.is_some());
    let brokers = start_brokers(&planned, external);
    let outcomes = play_all(&planned, &brokers.addresses);
    let report = Report::new(&planned, &outcomes, &skipped);
    report.print();
    assert!(report.failed.is_empty(), "{} wire cases failed, see the list above", report.failed.len());
}

struct Planned {
    case: Case,
    broker: usize,
}

/// Cases to run, and the reason of each one that is not.
fn plan(broker_runs_already: bool) -> (Vec<Planned>, Vec<(String, String)>) {
    let only = std::env::var("WIRE_ONLY").ok();
    let only: Option<BTreeSet<&str>> = only.as_deref().map(|ids| ids.split(',').map(str::trim).collect());
    let run_long = std::env::var("VOWMQ_LONG").is_ok_and(|value| value == "1");
    let left_out: Vec<LeftOut> = rows("wire-left-out.csv");
    let (mut planned, mut skipped) = (Vec::new(), Vec::new());
    for row in rows::<Row>("wire-cases.csv") {
        if only.as_ref().is_some_and(|ids| !ids.contains(row.id.as_str())) {
            continue;
        }
        let case = Case::parse(row).unwrap_or_else(|why| panic!("{why}"));
        match place(&case, &left_out, run_long).unwrap_or_else(|why| panic!("{why}")) {
            Place::Skipped(reason) => skipped.push((case.row.id, reason)),
            Place::Broker(1..) if broker_runs_already => {
                skipped.push((case.row.id, "needs a broker set up for it, and the broker was given".to_owned()));
            }
            Place::Broker(broker) => planned.push(Planned { case, broker }),
        }
    }
    assert!(!planned.is_empty() || !skipped.is_empty(), "WIRE_ONLY names no case");
    (planned, skipped)
}

struct Brokers {
    /// By index into `BROKERS`.
    addresses: BTreeMap<usize, SocketAddr>,
    /// Held for its Drop, which ends the processes.
    _running: Vec<Broker>,
}

fn start_brokers(planned: &[Planned], external: Option<u16>) -> Brokers {
    if let Some(port) = external {
        return Brokers { addresses: [(0, (Ipv4Addr::LOCALHOST, port).into())].into(), _running: Vec::new() };
    }
    let wanted: BTreeSet<usize> = planned.iter().map(|planned| planned.broker).collect();
    let (mut addresses, mut running) = (BTreeMap::new(), Vec::new());
    for index in wanted {
        let broker = Broker::start(BROKERS[index].1);
        addresses.insert(index, broker.address);
        running.push(broker);
    }
    Brokers { addresses, _running: running }
}

fn play_all(planned: &[Planned], addresses: &BTreeMap<usize, SocketAddr>) -> BTreeMap<usize, Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..CASES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(planned) = planned.get(index) else { return };
                    let outcome = play(&planned.case, addresses[&planned.broker]);
                    outcomes.lock().expect("no case panics while it stores its outcome").insert(index, outcome);
                }
            });
        }
    });
    outcomes.into_inner().expect("no case panics while it stores its outcome")
}

#[derive(Default)]
struct Report {
    passed: usize,
    otherwise: Vec<String>,
    excused: Vec<String>,
    failed: Vec<String>,
    skipped: BTreeMap<String, usize>,
    every_case: Vec<String>,
}

impl Report {
    fn new(planned: &[Planned], outcomes: &BTreeMap<usize, Outcome>, skipped: &[(String, String)]) -> Report {
        let exceptions: Vec<Exception> = rows("wire-exceptions.csv");
        let mut report = Report::default();
        for (index, planned) in planned.iter().enumerate() {
            let row = &planned.case.row;
            let outcome = &outcomes[&index];
            let exception = exceptions.iter().find(|exception| exception.id == row.id);
            let named = |what: &str| format!("{} {} | {what}", row.id, row.title);
            report.every_case.push(named(&format!("{outcome:?}")));
            match (outcome, exception) {
                (Outcome::Failed(why), None) => report.failed.push(named(why)),
                (Outcome::Failed(why), Some(Exception { reason, statement, .. })) => {
                    report.excused.push(named(&format!("{reason} ({statement} allows it): {why}")));
                }
                (Outcome::Passed | Outcome::PassedOtherwise(_), Some(_)) => {
                    report.failed.push(named("passes now: take it out of wire-exceptions.csv"));
                }
                (Outcome::Passed, None) => report.passed += 1,
                (Outcome::PassedOtherwise(reaction), None) => {
                    report.passed += 1;
                    report.otherwise.push(format!("{} {reaction}", row.id));
                }
            }
        }
        for (_, reason) in skipped {
            *report.skipped.entry(reason.clone()).or_default() += 1;
        }
        report
    }

    /// Past the capture of the test harness: the numbers are worth seeing when all is well, too.
    fn print(&self) {
        let mut lines = Vec::new();
        if std::env::var("WIRE_VERBOSE").is_ok() {
            lines.extend(self.every_case.iter().cloned());
        }
        lines.extend(self.skipped.iter().map(|(reason, count)| format!("skipped {count}: {reason}")));
        lines.extend(self.excused.iter().map(|case| format!("excused {case}")));
        lines.extend(self.failed.iter().map(|case| format!("failed {case}")));
        let skipped: usize = self.skipped.values().sum::<usize>() + self.excused.len();
        lines.push(format!("{} passed with a reaction the standard leaves open", self.otherwise.len()));
        lines.push(format!("wire cases: {} passed, {} failed, {skipped} skipped", self.passed, self.failed.len()));
        let text = lines.join("\n") + "\n";
        std::io::stderr().write_all(text.as_bytes()).expect("standard error takes the report");
    }
}
