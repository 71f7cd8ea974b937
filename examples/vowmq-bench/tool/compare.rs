//! Brokers side by side: the same cases in turn, several rounds, medians and ratios.
use super::brokers::{Broker, Kind};
use super::cases::{Case, all};
use super::clock::Clock;
use super::place::Place;
use super::problem::{Problem, Tried};
use super::report;
use super::work::{Outcome, Scene};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Times each case is run with each broker; medians count
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds a run measures, after a third of that to warm up
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// A few cases, one short round
    #[arg(long)]
    pub quick: bool,
    /// Only cases whose names begin so; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub only: Vec<String>,
    /// Only these brokers [default: all that this machine has]
    #[arg(long, value_delimiter = ',', value_enum)]
    pub brokers: Vec<Kind>,
    /// Further VowMQ binaries to be compared, for instance of the parent commit
    #[arg(long, value_name = "PATH")]
    pub also: Vec<PathBuf>,
    /// Write Markdown here
    #[arg(long, value_name = "PATH")]
    pub markdown: Option<PathBuf>,
    /// Write bar charts below this directory
    #[arg(long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
    /// Print everything that was found as JSON instead
    #[arg(long)]
    pub json: bool,
}

/// What one broker did in one case, a run each.
pub type Runs = BTreeMap<(&'static str, String), Vec<Outcome>>;

/// One column of the comparison.
pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub program: PathBuf,
}

/// Whether everything that arrived was as it should be.
pub fn compare(arguments: &Arguments, place: &Place, vowmq: &Path, directory: &Path) -> Tried<bool> {
    let cases = chosen(arguments);
    if cases.is_empty() {
        return Err(Problem::new(format!("no case begins with {}", arguments.only.join(" or "))));
    }
    let cpus = place.broker();
    let (rounds, seconds) =
        if arguments.quick { (1, arguments.seconds.min(1.0)) } else { (arguments.rounds, arguments.seconds) };
    let mut columns = columns(arguments, place, vowmq, directory)?;
    place.bind_tool()?;
    let mut runs = Runs::new();
    let clock = Clock::start();
    let measured = Duration::from_secs_f64(seconds);
    for round in 0..rounds {
        // Nobody is always first.
        let first = round as usize % columns.len();
        columns.rotate_left(first);
        for case in &cases {
            for column in &columns {
                if !case.work.is_for(column.kind) {
                    continue;
                }
                eprintln!("round {} of {rounds}: {} with {}", round + 1, case.name, column.name);
                // A broker of its own for each run, so that none meets what another case left: messages that are still
                // to be put in order on disk, memory that many have used.
                let played =
                    Broker::start(column.kind, &column.program, cpus.as_deref(), directory).and_then(|broker| {
                        case.work.play(&Scene {
                            broker: &broker,
                            program: &column.program,
                            cpus: cpus.as_deref(),
                            directory,
                            clock,
                            tag: format!("{}-{round}", case.name),
                            measured,
                        })
                    });
                match played {
                    Ok(outcome) => runs.entry((case.name, column.name.clone())).or_default().push(outcome),
                    Err(problem) => eprintln!("  failed: {problem}"),
                }
            }
        }
        columns.rotate_right(first);
    }
    let is_sound = report::comparison(arguments, directory, &cases, &columns, &runs)?;
    Ok(is_sound)
}

fn chosen(arguments: &Arguments) -> Vec<Case> {
    let is_chosen = |case: &Case| {
        if arguments.only.is_empty() {
            return case.is_quick || !arguments.quick;
        }
        arguments.only.iter().any(|name| case.name.starts_with(name.as_str()))
    };
    all().into_iter().filter(is_chosen).collect()
}

/// The brokers that this machine has, each started once to see whether it does.
fn columns(arguments: &Arguments, place: &Place, vowmq: &Path, directory: &Path) -> Tried<Vec<Column>> {
    let cpus = place.broker();
    let mut columns = Vec::new();
    for kind in Kind::ALL {
        if !arguments.brokers.is_empty() && !arguments.brokers.contains(&kind) {
            continue;
        }
        let Some(program) = kind.program(vowmq) else { continue };
        match Broker::start(kind, &program, cpus.as_deref(), directory) {
            Ok(_) => columns.push(Column { name: kind.name().to_owned(), kind, program }),
            Err(problem) if kind == Kind::Vowmq => return Err(problem),
            Err(problem) => eprintln!("{} is left out: {problem}", kind.name()),
        }
        if kind == Kind::Vowmq {
            for (number, program) in arguments.also.iter().enumerate() {
                let program = std::path::absolute(program)?;
                Broker::start(kind, &program, cpus.as_deref(), directory)?;
                columns.push(Column { name: format!("VowMQ {}", number + 2), kind, program });
            }
        }
    }
    if columns.is_empty() { Err(Problem::new("there is no broker to compare")) } else { Ok(columns) }
}
