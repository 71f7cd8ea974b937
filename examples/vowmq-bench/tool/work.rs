//! What a case does with a broker, and what comes of it.
use super::brokers::{Broker, Kind};
use super::checker::Faults;
use super::clock::Clock;
use super::crowd::{Churn, Idle};
use super::offline::Offline;
use super::plan::{Plan, Shape};
use super::problem::Tried;
use super::retained::Retained;
use super::run::{Found, Length, run};
use super::secure::Secure;
use super::start::Start;
use super::subscriptions::Subscriptions;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use vowmq::packet::Version;
use vowmq::types::QoS;

#[derive(Debug, Clone)]
pub enum Work {
    Load(Loaded),
    Start(Start),
    Idle(Idle),
    Churn(Churn),
    Subscriptions(Subscriptions),
    Offline(Offline),
    Retained(Retained),
}

/// Load for some seconds.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub plan: Plan,
    /// The age that counts; none where the rate does.
    pub age: Option<Age>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    P50,
    P99,
    Both,
}

/// Where a case is played.
pub struct Scene<'a> {
    /// One that runs all the while.
    pub broker: &'a Broker,
    pub program: &'a Path,
    pub cpus: Option<&'a str>,
    pub directory: &'a Path,
    pub clock: Clock,
    /// Keeps topics and clients of one run apart from all others.
    pub tag: String,
    pub measured: Duration,
}

/// What came of it: a value for each of the case's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub values: Vec<f64>,
    pub found: Option<Found>,
    pub faults: Faults,
    pub is_sound: bool,
}

impl Outcome {
    /// One of a case in which no messages are checked.
    pub fn plain(values: Vec<f64>) -> Self {
        Self { values, found: None, faults: Faults::default(), is_sound: true }
    }

    /// One of a case with several runs.
    pub fn of_runs(values: Vec<f64>, runs: &[Found]) -> Self {
        let mut faults = Faults::default();
        runs.iter().for_each(|found| faults.add(found.faults));
        Self { values, found: None, faults, is_sound: runs.iter().all(|found| found.is_sound) }
    }
}

impl Scene<'_> {
    /// Another broker of the same kind, with nothing in it.
    pub fn fresh(&self) -> Tried<Broker> {
        Broker::start(self.broker.kind, self.program, self.cpus, self.directory)
    }

    /// The same, and it listens with TLS as well.
    pub fn fresh_with(&self, secure: &Secure) -> Tried<Broker> {
        Broker::start_with(self.broker.kind, self.program, self.cpus, self.directory, Some(secure))
    }

    pub fn version(&self) -> Version {
        self.broker.kind.version()
    }
}

impl Work {
    /// Whether this can be asked of that.
    pub fn is_for(&self, kind: Kind) -> bool {
        let keeps_sessions = !matches!(kind, Kind::Relay | Kind::Rmqttd | Kind::Rumqttd);
        match self {
            Self::Load(Loaded { plan, .. }) if kind == Kind::Relay => {
                // It tells packet identifiers of several publishers apart at QoS 1 only.
                !plan.durable && (plan.shape == Shape::P2p || plan.qos != QoS::ExactlyOnce)
            }
            Self::Load(Loaded { plan, .. }) => !plan.durable || keeps_sessions,
            Self::Idle(Idle { tls: true, .. }) => kind.has_tls_settings(),
            Self::Start(_) | Self::Idle(_) | Self::Churn(_) | Self::Subscriptions(_) | Self::Retained(_) => {
                kind != Kind::Relay
            }
            Self::Offline(_) => keeps_sessions,
        }
    }

    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        match self {
            Self::Load(loaded) => loaded.play(scene),
            Self::Start(start) => start.play(scene),
            Self::Idle(idle) => idle.play(scene),
            Self::Churn(churn) => churn.play(scene),
            Self::Subscriptions(subscriptions) => subscriptions.play(scene),
            Self::Offline(offline) => offline.play(scene),
            Self::Retained(retained) => retained.play(scene),
        }
    }
}

impl Loaded {
    fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let plan = Plan { version: scene.version(), ..self.plan.clone() };
        let mut engine = plan.engine()?;
        let address = scene.broker.address;
        plan.open_subscribers(&mut engine, address, &scene.tag, false)?;
        plan.open_publishers(&mut engine, address, &scene.tag)?;
        let length = Length::For { warm: scene.measured / 3, measured: scene.measured };
        let found = run(&mut engine, &plan, length, scene.clock, &scene.broker.usage())?;
        let values = match self.age {
            None => vec![found.rate],
            Some(Age::P50) => vec![found.p50_us],
            Some(Age::P99) => vec![found.p99_us],
            Some(Age::Both) => vec![found.p50_us, found.p99_us],
        };
        let (faults, is_sound) = (found.faults, found.is_sound);
        Ok(Outcome { values, found: Some(found), faults, is_sound })
    }
}
