//! `vowmq-bench`: load for MQTT brokers that shares a machine with the broker, and therefore costs little itself.
mod alone;
mod brokers;
mod cases;
mod charts;
mod checker;
mod clock;
mod compare;
mod connection;
mod crowd;
mod disk;
mod engine;
mod ledger;
mod link;
mod machine;
mod neighbour;
mod offline;
mod overload;
mod place;
mod plan;
mod probe;
mod problem;
mod publisher;
mod relay;
mod report;
mod retained;
mod run;
mod scenario;
mod secure;
mod stamp;
mod start;
mod subscriber;
mod subscriptions;
#[path = "../../../benches/vow/svg.rs"]
mod svg;
mod table;
mod targets;
mod wire;
mod work;

use clap::{Parser, Subcommand};
use place::Place;
use problem::Tried;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use work::Work;

/// Measures MQTT brokers: rates, times, memory, and whether everything arrives as it should.
#[derive(Debug, Parser)]
#[command(name = "vowmq-bench")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The VowMQ to start [default: the one cargo built in the same profile]
    #[arg(long, global = true, value_name = "PATH")]
    vowmq: Option<PathBuf>,
    /// Where brokers' data goes: a directory on the disk to measure [default: beside the tool]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publishers to subscribers, a topic for each pair
    P2p(scenario::Arguments),
    /// One publisher to many subscribers
    FanOut(scenario::Arguments),
    /// Many publishers to one subscriber
    FanIn(scenario::Arguments),
    /// Many publishers to a group that shares
    Shared(scenario::Arguments),
    /// One message at a time
    RoundTrip(scenario::Arguments),
    /// Start, memory of a broker that does nothing, size of its program
    Start(alone::Arguments<start::Start>),
    /// Connections that do nothing
    Connections(alone::Arguments<crowd::Idle>),
    /// Clients that come and go
    Churn(alone::Arguments<crowd::Churn>),
    /// Many subscriptions, exact and with wildcards
    Subscriptions(alone::Arguments<subscriptions::Subscriptions>),
    /// Queues of durable sessions that are away
    Offline(alone::Arguments<offline::Offline>),
    /// Many retained messages
    Retained(alone::Arguments<retained::Retained>),
    /// Brokers side by side
    Compare(compare::Arguments),
    /// From a tenth to three times what a broker can do: what it delivers and how late
    Overload(overload::Arguments),
    /// What clients suffer from a stalled subscriber, a wide fan-out, a flood of retained messages beside them
    Neighbour(neighbour::Arguments),
    /// Hands packets on, for the machine's limit; `compare` starts it
    Relay {
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// Does what a command line asks for; whether everything was as it should be.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Tried<bool> {
    obey(Arguments::parse_from(arguments))
}

fn obey(arguments: Arguments) -> Tried<bool> {
    let Arguments { command, vowmq, dir, place } = arguments;
    // Cargo puts examples into a directory beside the programs.
    let built = std::env::current_exe()?.parent().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
    let vowmq = vowmq.unwrap_or_else(|| built.join("vowmq"));
    // Brokers are started in directories of their own, where a relative path would lead elsewhere.
    let vowmq = std::path::absolute(vowmq)?;
    let directory = std::path::absolute(dir.unwrap_or_else(|| built.join("bench-data")))?;
    std::fs::create_dir_all(&directory)?;
    let stage = scenario::Stage { place, vowmq, directory };
    match command {
        Command::P2p(arguments) => arguments.run(scenario::P2P, &stage),
        Command::FanOut(arguments) => arguments.run(scenario::FAN_OUT, &stage),
        Command::FanIn(arguments) => arguments.run(scenario::FAN_IN, &stage),
        Command::Shared(arguments) => arguments.run(scenario::SHARED, &stage),
        Command::RoundTrip(arguments) => arguments.run(scenario::ROUND_TRIP, &stage),
        Command::Start(arguments) => arguments.run(Work::Start, cases::START, &stage),
        Command::Connections(arguments) => arguments.run(Work::Idle, cases::IDLE, &stage),
        Command::Churn(arguments) => arguments.run(Work::Churn, cases::CHURN, &stage),
        Command::Subscriptions(arguments) => arguments.run(Work::Subscriptions, cases::SUBSCRIPTIONS, &stage),
        Command::Offline(arguments) => arguments.run(Work::Offline, cases::IN_AND_OUT, &stage),
        Command::Retained(arguments) => arguments.run(Work::Retained, cases::SET_AND_DRAIN, &stage),
        Command::Compare(arguments) => compare::compare(&arguments, &stage.place, &stage.vowmq, &stage.directory),
        Command::Overload(arguments) => overload::run(&arguments, &stage),
        Command::Neighbour(arguments) => neighbour::run(&arguments, &stage),
        Command::Relay { listen } => relay::serve(listen).map(|()| true),
    }
}
