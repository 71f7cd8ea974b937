//! One scenario against one broker, with everything to be chosen on the command line.
use super::brokers::{Broker, Kind};
use super::clock::Clock;
use super::place::Place;
use super::plan::{Plan, Shape};
use super::probe::Usage;
use super::problem::{Problem, Tried, Trying};
use super::report::number;
use super::run::{Found, Length, run};
use super::stamp::{BYTES_MIN, PAYLOAD_BYTES_MAX};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use vowmq::packet::Version;
use vowmq::types::QoS;

/// Where a scenario is played.
#[derive(Debug)]
pub struct Stage {
    pub place: Place,
    pub vowmq: PathBuf,
    pub directory: PathBuf,
}

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub load: Load,
    #[command(flatten)]
    pub against: Against,
    /// Seconds to warm up
    #[arg(long, default_value_t = 1.0)]
    pub warm: f64,
    /// Seconds to measure
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What the clients do. What is left out is as the scenario has it.
#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: Option<u32>,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: Option<u32>,
    /// 0, 1 or 2
    #[arg(long, default_value = "0", value_parser = parse_qos)]
    qos: QoS,
    /// 3.1.1 instead of 5.0
    #[arg(long)]
    v311: bool,
    /// Bytes of a payload, 16 at least
    #[arg(long, default_value_t = 64)]
    payload: usize,
    /// Messages a publisher may have unacknowledged; at QoS 0, not yet arrived
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..60_000))]
    window: Option<u32>,
    /// Messages of one publisher that may be on their way to the subscribers [default: window at QoS 0, else ten times it]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    ahead: Option<u32>,
    /// Messages published per second in all, at fixed times; latency counts from the time a message was due
    #[arg(long)]
    rate: Option<f64>,
    /// Subscribers have durable sessions
    #[arg(long)]
    durable: bool,
    /// Messages are retained as well
    #[arg(long)]
    retain: bool,
}

/// The broker to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Against {
    /// A broker that is running [default: start one]
    #[arg(long)]
    pub address: Option<SocketAddr>,
    /// Its process, to see what it uses
    #[arg(long, requires = "address")]
    pub pid: Option<u32>,
    /// The broker to start
    #[arg(long, value_enum, default_value = "vowmq")]
    pub broker: Kind,
}

/// What a scenario has of its own.
#[derive(Debug, Clone, Copy)]
pub struct Preset {
    shape: Shape,
    publishers: u32,
    subscribers: u32,
    window: u32,
    spins: bool,
}

pub const P2P: Preset = Preset { shape: Shape::P2p, publishers: 10, subscribers: 10, window: 100, spins: false };
pub const FAN_OUT: Preset = Preset { shape: Shape::FanOut, publishers: 1, subscribers: 100, ..P2P };
pub const FAN_IN: Preset = Preset { shape: Shape::FanIn, publishers: 50, subscribers: 1, ..P2P };
pub const SHARED: Preset = Preset { shape: Shape::Shared, publishers: 50, subscribers: 10, ..P2P };
pub const ROUND_TRIP: Preset = Preset { publishers: 1, subscribers: 1, window: 1, spins: true, ..P2P };

/// The broker of a run: one that was started for it, or one that was there.
pub struct Opponent {
    pub address: SocketAddr,
    pub usage: Usage,
    /// Held for its Drop.
    _broker: Option<Broker>,
}

impl Against {
    pub fn find(&self, stage: &Stage) -> Tried<Opponent> {
        if let Some(address) = self.address {
            return Ok(Opponent { address, usage: Usage { pid: self.pid }, _broker: None });
        }
        let program = self.broker.program(&stage.vowmq);
        let program = program.ok_or_else(|| Problem::new(format!("there is no {} on PATH", self.broker.name())))?;
        let broker = Broker::start(self.broker, &program, stage.place.broker().as_deref(), &stage.directory)?;
        Ok(Opponent { address: broker.address, usage: broker.usage(), _broker: Some(broker) })
    }
}

impl Load {
    fn plan(&self, preset: Preset) -> Tried<Plan> {
        if !(BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&self.payload) {
            return Err(Problem::new(format!("--payload must be {BYTES_MIN} to {PAYLOAD_BYTES_MAX}")));
        }
        if self.rate.is_some_and(|rate| !(rate > 0.0 && rate.is_finite())) {
            return Err(Problem::new("--rate must be above 0"));
        }
        let publishers = self.publishers.unwrap_or(preset.publishers);
        let subscribers = match preset.shape {
            Shape::P2p => publishers,
            Shape::FanOut | Shape::FanIn | Shape::Shared => self.subscribers.unwrap_or(preset.subscribers),
        };
        let qos = self.qos;
        let window = self.window.unwrap_or(preset.window);
        let usual = if qos == QoS::AtMostOnce || preset.spins { window } else { window.saturating_mul(10) };
        Ok(Plan {
            version: if self.v311 { Version::V311 } else { Version::V5 },
            payload_bytes: self.payload,
            window,
            ahead: self.ahead.unwrap_or(usual),
            rate: self.rate,
            durable: self.durable,
            retain: self.retain,
            spins: preset.spins,
            ..Plan::new(preset.shape, publishers, subscribers, qos)
        })
    }
}

/// A level from the command line.
pub fn parse_qos(text: &str) -> Result<QoS, String> {
    let level = text.parse().ok().and_then(QoS::from_bits);
    level.ok_or_else(|| "must be 0, 1 or 2".to_owned())
}

impl Arguments {
    /// Plays the scenario; whether everything arrived as it should.
    pub fn run(&self, preset: Preset, stage: &Stage) -> Tried<bool> {
        let found = self.find(preset, stage)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&found).trying(|| "writing JSON".to_owned())?);
        } else {
            print(&found);
        }
        Ok(found.is_sound)
    }

    fn find(&self, preset: Preset, stage: &Stage) -> Tried<Found> {
        let plan = self.load.plan(preset)?;
        let opponent = self.against.find(stage)?;
        stage.place.bind_tool()?;
        let tag = format!("run-{}", std::process::id());
        let mut engine = plan.engine()?;
        plan.open_subscribers(&mut engine, opponent.address, &tag, false)?;
        plan.open_publishers(&mut engine, opponent.address, &tag)?;
        let length =
            Length::For { warm: Duration::from_secs_f64(self.warm), measured: Duration::from_secs_f64(self.seconds) };
        run(&mut engine, &plan, length, Clock::start(), &opponent.usage)
    }
}

fn print(found: &Found) {
    println!("{} messages/s delivered, {} published", number(found.rate), number(found.published_per_s));
    println!(
        "latency us: p50 {}, p99 {}, p99.9 {}, at most {}",
        number(found.p50_us),
        number(found.p99_us),
        number(found.p999_us),
        number(found.max_us)
    );
    println!(
        "processor us/message: broker {:.2}, tool {:.2}; broker's memory {:.1} MiB",
        found.broker_us_per_message, found.tool_us_per_message, found.rss_mib
    );
    println!("{} received: {}", found.received, found.faults);
}
