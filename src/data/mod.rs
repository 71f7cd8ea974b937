//! What an operator does with a data directory while no client is there: look at it, repair it (floor 4).
mod check;
mod export;
mod repair;

use crate::config::Config;
use crate::store::StoreError;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// A command on the data directory.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what the data directory holds and what is wrong with it; change nothing. Exit code 0: sound, 1: damaged
    Check {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Keep a copy of what is damaged, and make the broker start again without it. Exit code 0: done, 1: could not
    Repair,
    /// Write sessions, queues and retained messages as JSON lines, as they are at one moment; beside a running broker too
    Export {
        /// The file to write, in one step [default: standard output]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Read what `export` wrote into a data directory that is new or holds nothing
    Import {
        /// The file to read [default: standard input]
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
}

/// Carries out a command and says what came of it.
pub fn run(command: &Command, config: &Config) -> ExitCode {
    let directory = &config.data_dir;
    let done = match command {
        Command::Check { json } => check::run(directory, *json),
        Command::Repair => repair::run(directory),
        Command::Export { to } => export::export(directory, to.as_deref()),
        Command::Import { from } => export::import(directory, from.as_deref()),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("vowmq: {failure}");
        ExitCode::FAILURE
    })
}

/// Why a command could not be carried out.
struct Failure(String);

impl Failure {
    fn of(directory: &std::path::Path, error: StoreError) -> Self {
        Self(match &error {
            StoreError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{}: {error}; name the data directory with --data-dir", directory.display())
            }
            StoreError::Io(error) => format!("{}: {error}", directory.display()),
            StoreError::Log(_) | StoreError::Cold(_) => words(&error),
        })
    }
}

/// An error in the words of the part that found it: whoever asks about a data directory need not be told which.
fn words(error: &StoreError) -> String {
    match error {
        StoreError::Log(error) => error.to_string(),
        StoreError::Cold(error) => error.to_string(),
        StoreError::Io(_) => error.to_string(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(format!("standard output: {error}"))
    }
}
