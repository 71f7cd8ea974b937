//! Which broker a case runs on, and which cases stay out of a run.

use std::time::Duration;

use serde::Deserialize;

use super::case::Case;
use super::script::Step;

/// Configuration for the brokers that serve cases with needs of their own. The first one serves all the rest.
pub const BROKERS: [(&str, &str); 11] = [
    ("", ""),
    // Goes on in the table of the listener.
    (WEBSOCKET, "websocket = true"),
    ("maximum QoS 0", "[mqtt]\nmaximum_qos = 0"),
    ("retain off", "[mqtt]\nretain = false"),
    ("wildcard subscriptions off", "[mqtt]\nwildcard_subscriptions = false"),
    ("subscription identifiers off", "[mqtt]\nsubscription_identifiers = false"),
    ("shared subscriptions off", "[mqtt]\nshared_subscriptions = false"),
    ("maximum packet size 1024", "[limits]\npacket_bytes_max = 1024"),
    (
        "denied/ closed to this client",
        concat!("[access]\nfile = \"", env!("CARGO_MANIFEST_DIR"), "/tests/data/access-denied.toml\""),
    ),
    (
        "denied/ closed to this client for writing",
        concat!("[access]\nfile = \"", env!("CARGO_MANIFEST_DIR"), "/tests/data/access-read-only.toml\""),
    ),
    ("SCRAM-SHA-256 with user \"user\"", SCRAM),
];

/// What cases that speak it need.
const WEBSOCKET: &str = "a WebSocket listener";

const SCRAM: &str = concat!(
    "[[authenticator]]\nname = \"wire\"\nkind = \"scram\"\nfile = \"",
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/scram-users\""
);

/// Needs the default configuration meets.
const MET_BY_DEFAULT: [&str; 4] =
    ["", "anonymous access", "topic alias maximum of at least 1", "topic alias maximum below 65535"];

/// A group of cases that is not run yet, by the start of its area or of its needs: a row of wire-left-out.csv.
#[derive(Debug, Deserialize)]
pub struct LeftOut {
    pub start: String,
    pub reason: String,
}

const LONG: Duration = Duration::from_secs(60);

pub enum Place {
    /// Index into `BROKERS`.
    Broker(usize),
    Skipped(String),
}

/// `run_long` also takes the cases that wait a minute.
pub fn place(case: &Case, left_out: &[LeftOut], run_long: bool) -> Result<Place, String> {
    let (area, needs) = (case.row.area.as_str(), case.row.needs.as_str());
    if let Some(group) = left_out.iter().find(|group| area.starts_with(&group.start) || needs.starts_with(&group.start))
    {
        return Ok(Place::Skipped(group.reason.clone()));
    }
    if !run_long && case.sent.iter().any(|step| matches!(step, Step::Wait(time) if *time >= LONG)) {
        return Ok(Place::Skipped("waits a minute or more; VOWMQ_LONG=1 runs it".to_owned()));
    }
    let speaks_websocket = case.sent.iter().any(|step| matches!(step, Step::Upgrade { .. }));
    let needs = if speaks_websocket { WEBSOCKET } else { needs };
    if MET_BY_DEFAULT.contains(&needs) {
        return Ok(Place::Broker(0));
    }
    let broker = BROKERS.iter().position(|(serves, _)| *serves == needs);
    broker.map(Place::Broker).ok_or_else(|| format!("{}: no broker is set up for `{needs}`", case.row.id))
}
