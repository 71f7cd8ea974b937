//! Load from well below to well above what a broker can do: what it delivers, and how late.
use super::brokers::{Broker, Kind};
use super::clock::Clock;
use super::plan::{Plan, Shape};
use super::problem::{Problem, Tried, Trying};
use super::report::number;
use super::run::{Found, Length, run as run_plan};
use super::scenario::{Stage, parse_qos};
use super::svg;
use super::table::Table;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The broker to start
    #[arg(long, value_enum, default_value = "vowmq")]
    broker: Kind,
    #[arg(long, default_value = "1", value_parser = parse_qos)]
    qos: QoS,
    /// Pairs of a publisher and a subscriber
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Subscribers have durable sessions
    #[arg(long)]
    durable: bool,
    /// Seconds of each step
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Per cent of what it can sustain, which is measured before
    #[arg(long, value_delimiter = ',', default_value = "10,25,50,75,90,100,125,150,200,300")]
    steps: Vec<u32>,
    /// Draw the curves below this directory
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

/// Whether everything that arrived was as it should be.
pub fn run(arguments: &Arguments, stage: &Stage) -> Tried<bool> {
    let program = arguments.broker.program(&stage.vowmq);
    let program = program.ok_or_else(|| Problem::new(format!("there is no {} on PATH", arguments.broker.name())))?;
    let broker = Broker::start(arguments.broker, &program, stage.place.broker().as_deref(), &stage.directory)?;
    stage.place.bind_tool()?;
    let clock = Clock::start();
    let sustained = step(arguments, &broker, None, clock)?;
    println!("{} sustains {} messages/s\n", arguments.broker.name(), number(sustained.rate));
    let mut table =
        Table::new(["%", "offered/s", "delivered/s", "p50 us", "p99 us", "RSS MiB"].map(str::to_owned).into());
    let mut is_sound = sustained.is_sound;
    let (mut delivered, mut late) = (Vec::new(), Vec::new());
    for per_cent in &arguments.steps {
        let rate = sustained.rate * f64::from(*per_cent) / 100.0;
        let found = step(arguments, &broker, Some(rate), clock)?;
        is_sound &= found.is_sound;
        delivered.push((rate / 1e3, found.rate / 1e3));
        late.push((rate / 1e3, found.p99_us / 1e3));
        let figures = [rate, found.rate, found.p50_us, found.p99_us, found.rss_mib].map(number);
        table.row(std::iter::once(per_cent.to_string()).chain(figures).collect());
    }
    println!("{}", table.markdown());
    if let Some(directory) = &arguments.svg {
        draw(directory, &delivered, &late)?;
    }
    Ok(is_sound)
}

fn step(arguments: &Arguments, broker: &Broker, rate: Option<f64>, clock: Clock) -> Tried<Found> {
    let plan = Plan {
        version: broker.kind.version(),
        durable: arguments.durable,
        rate,
        ..Plan::new(Shape::P2p, arguments.pairs, arguments.pairs, arguments.qos)
    };
    let tag = format!("step-{}", clock.now_ns());
    let mut engine = plan.engine()?;
    plan.open_subscribers(&mut engine, broker.address, &tag, false)?;
    plan.open_publishers(&mut engine, broker.address, &tag)?;
    let measured = Duration::from_secs_f64(arguments.seconds);
    run_plan(&mut engine, &plan, Length::For { warm: measured / 3, measured }, clock, &broker.usage())
}

fn draw(directory: &Path, delivered: &[(f64, f64)], late: &[(f64, f64)]) -> Tried<()> {
    std::fs::create_dir_all(directory).trying(|| format!("making {}", directory.display()))?;
    let offered = "thousands of messages offered per second";
    let drawings = [
        ("overload-rate.svg", svg::curve(offered, "thousands delivered per second", delivered)),
        ("overload-latency.svg", svg::curve(offered, "milliseconds at p99", late)),
    ];
    for (name, drawing) in drawings {
        let path = directory.join(name);
        std::fs::write(&path, drawing).trying(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
