//! How much some clients suffer from what others do: the same paced pairs alone, and beside each of three nuisances.
use super::brokers::{Broker, Kind};
use super::clock::Clock;
use super::engine::Engine;
use super::ledger::Ledger;
use super::link::{Hello, Link};
use super::plan::{Plan, Shape};
use super::problem::Tried;
use super::publisher::{Limits, Pace, Publisher};
use super::report::number;
use super::run::{Found, Length, run as run_plan};
use super::scenario::Stage;
use super::stamp::filler;
use super::subscriber::Subscriber;
use super::table::Table;
use super::wire::{DIGITS, Template};
use std::time::Duration;
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The brokers to start
    #[arg(long, value_delimiter = ',', value_enum, default_value = "vowmq,mosquitto")]
    brokers: Vec<Kind>,
    /// Seconds of each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Messages per second of the pairs, in all
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Messages per second of the nuisance; deliveries where it is a fan-out
    #[arg(long, default_value_t = 20_000.0)]
    nuisance_rate: f64,
    /// Subscribers of the fan-out
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nuisance {
    None,
    StalledSubscriber,
    FanOut,
    Retained,
}

const PAIRS: u32 = 5;
const STALLED_PAYLOAD_BYTES: usize = 1024;
const NUISANCES: [(Nuisance, &str); 4] = [
    (Nuisance::None, "alone"),
    (Nuisance::StalledSubscriber, "beside a subscriber that does not read"),
    (Nuisance::FanOut, "beside a wide fan-out"),
    (Nuisance::Retained, "beside a flood of retained messages"),
];

/// Whether everything that arrived was as it should be.
pub fn run(arguments: &Arguments, stage: &Stage) -> Tried<bool> {
    let mut table = Table::new(["nuisance", "broker", "p50 us", "p99 us", "p99.9 us"].map(str::to_owned).into());
    let cpus = stage.place.broker();
    stage.place.bind_tool()?;
    let clock = Clock::start();
    let mut is_sound = true;
    for kind in &arguments.brokers {
        let Some(program) = kind.program(&stage.vowmq) else { continue };
        for (nuisance, what) in NUISANCES {
            let found = {
                // A broker for each, so that no nuisance outlives its run.
                let broker = Broker::start(*kind, &program, cpus.as_deref(), &stage.directory)?;
                arguments.measure(&broker, nuisance, clock)?
            };
            is_sound &= found.is_sound;
            let figures = [found.p50_us, found.p99_us, found.p999_us].map(number);
            table.row([what, kind.name()].map(str::to_owned).into_iter().chain(figures).collect());
        }
    }
    println!("{}", table.markdown());
    Ok(is_sound)
}

impl Arguments {
    /// The pairs, and the nuisance beside them.
    fn measure(&self, broker: &Broker, nuisance: Nuisance, clock: Clock) -> Tried<Found> {
        let plan = Plan {
            version: broker.kind.version(),
            rate: Some(self.rate),
            ..Plan::new(Shape::P2p, PAIRS, PAIRS, QoS::AtLeastOnce)
        };
        let crowd = if nuisance == Nuisance::FanOut { self.subscribers } else { 0 };
        let mut ledger = Ledger::new(PAIRS + 1, (PAIRS + crowd) as usize, plan.payload_bytes);
        ledger.timed = PAIRS;
        let mut engine = Engine::new(ledger, plan.payload_bytes)?;
        plan.open_subscribers(&mut engine, broker.address, "pair", false)?;
        plan.open_publishers(&mut engine, broker.address, "pair")?;
        let hello = |name: String| Hello { name, ..plan.hello("", false) };
        for number in 0..crowd {
            let mut link = Link::open(broker.address, &hello(format!("crowd-{number}")))?;
            link.subscribe(&["nuisance/all".to_owned()], QoS::AtMostOnce)?;
            let tally = (PAIRS + number) as usize;
            engine.add_subscriber(link, Subscriber::new(plan.version, PAIRS..PAIRS + 1, tally, true))?;
        }
        // Held to the end, and never read.
        let mut stalled = Link::open(broker.address, &hello("stalled".to_owned()))?;
        if nuisance == Nuisance::StalledSubscriber {
            stalled.subscribe(&["nuisance/stalled".to_owned()], QoS::AtMostOnce)?;
        }
        if let Some((template, qos, rate)) = self.nuisance(nuisance, &plan) {
            let link = Link::open(broker.address, &hello("nuisance".to_owned()))?;
            let window = 60_000.min(u32::from(link.receive_max));
            let limits = Limits { window, ahead_max: u64::MAX, copies: 1, count: u32::MAX };
            let pace = Pace::Scheduled { first_ns: 0.0, every_ns: 1e9 / rate };
            engine.add_publisher(link, Publisher::new(template, PAIRS, qos as u8, limits, pace))?;
        }
        let measured = Duration::from_secs_f64(self.seconds);
        run_plan(&mut engine, &plan, Length::For { warm: measured / 5, measured }, clock, &broker.usage())
    }

    /// What the nuisance publishes, and how many times a second.
    fn nuisance(&self, nuisance: Nuisance, plan: &Plan) -> Option<(Template, QoS, f64)> {
        let template = |topic: &str, qos, retain, payload_bytes| {
            Template::new(topic, qos, retain, &filler(payload_bytes), plan.version)
        };
        let (q0, q1) = (QoS::AtMostOnce, QoS::AtLeastOnce);
        match nuisance {
            Nuisance::None => None,
            Nuisance::StalledSubscriber => {
                Some((template("nuisance/stalled", q0, false, STALLED_PAYLOAD_BYTES), q0, self.nuisance_rate))
            }
            Nuisance::FanOut => {
                let rate = self.nuisance_rate / f64::from(self.subscribers);
                Some((template("nuisance/all", q0, false, plan.payload_bytes), q0, rate))
            }
            Nuisance::Retained => {
                let topic = format!("nuisance/{DIGITS}");
                Some((template(&topic, q1, true, plan.payload_bytes), q1, self.nuisance_rate))
            }
        }
    }
}
