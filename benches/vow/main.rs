//! What the vow costs: rates against the bare disk, memory and start of deep queues, disk space over time.
//!
//! Each command starts a broker of its own on 127.0.0.1 and ends it. Every message is numbered, and what arrives is
//! checked for loss, doubling, order and content. `cargo bench --bench vow -- --help`; see docs/BENCHMARKS.md.
mod bare;
mod broker;
mod cycles;
mod groups;
mod ledger;
mod link;
mod machine;
mod payload;
mod probe;
mod publisher;
mod queue;
mod rate;
mod subscriber;
mod svg;
mod table;

use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures what VowMQ's promise costs.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench vow --")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the broker's data goes: a directory on the disk to measure [default: below target/]
    #[arg(long, global = true, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// QoS 1 to an offline durable subscriber, against bare appends and syncs of the same groups
    Rate(rate::Arguments),
    /// Memory, disk and start with deep queues of offline sessions
    Queue(queue::Arguments),
    /// Disk space while messages come and go
    Cycles(cycles::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Some(command) = arguments.command else {
        // Plain `cargo bench` runs everything it finds; this is nothing to run by the way.
        return match Arguments::command().print_long_help() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    };
    let directory = arguments.dir.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    std::fs::create_dir_all(&directory).expect("--dir can be made");
    machine::print_header(&directory);
    // One thread: the broker needs the others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let is_sound = runtime.block_on(async {
        match command {
            Command::Rate(arguments) => rate::run(&arguments, &directory).await,
            Command::Queue(arguments) => queue::run(&arguments, &directory).await,
            Command::Cycles(arguments) => cycles::run(&arguments, &directory).await,
        }
    });
    if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
