//! `vowmq import-mosquitto`: from a mosquitto.conf to a vowmq.toml that lets in the same clients to the same things.
//!
//! Mosquitto's defaults keep their meaning where they decide who is let in. What cannot be kept as safe as it was is written
//! commented out, and never more open. Everything that changes is told with its file and line.
mod bridges;
mod draft;
mod finding;
mod general;
mod lines;
mod listeners;
mod options;
mod proofs;
mod sections;
#[cfg(test)]
mod tests;
mod tls;

use crate::config::{Config, Sources};
use draft::Draft;
use finding::Findings;
use lines::{Line, ReadError};
use listeners::Resolve;
use sections::Mosquitto;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
What is written was looked at for mistakes; standard error tells what it means. Exit codes: 0 all is well, 1 something
has to be put right first, 2 nothing could be written.")]
pub struct Arguments {
    /// Mosquitto's configuration
    #[arg(value_name = "MOSQUITTO.CONF")]
    from: PathBuf,
    /// Where to write, in place of standard output; a file that is there is not touched
    #[arg(long, value_name = "VOWMQ.TOML")]
    out: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{path}: {source}; choose another file with --out")]
    Write { path: PathBuf, source: std::io::Error },
}

const EXIT_NOTHING_WRITTEN: u8 = 2;

pub fn run(arguments: &Arguments) -> ExitCode {
    match import(arguments) {
        Ok(true) => ExitCode::FAILURE,
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vowmq: {error}");
            ExitCode::from(EXIT_NOTHING_WRITTEN)
        }
    }
}

/// Whether somebody has to look at it.
fn import(arguments: &Arguments) -> Result<bool, ImportError> {
    let lines = lines::read(&arguments.from)?;
    let (text, findings) = translate(&arguments.from, &lines, &resolve);
    let mut needs_work = findings.need_work();
    match &arguments.out {
        None => print!("{text}"),
        Some(path) => {
            let fail = |source| ImportError::Write { path: path.clone(), source };
            let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(fail)?;
            file.write_all(text.as_bytes()).map_err(fail)?;
            for mistake in mistakes(path) {
                needs_work = true;
                eprintln!("vowmq: {mistake}");
            }
        }
    }
    eprint!("{}", findings.report());
    Ok(needs_work)
}

fn translate(from: &Path, lines: &[Line], resolve: Resolve) -> (String, Findings) {
    let mut findings = Findings::default();
    let mosquitto = Mosquitto::read(lines, &mut findings);
    let head = vec![
        format!("Made from {} by vowmq import-mosquitto.", from.display()),
        "Lines that begin with a file and a number say where a setting comes from. `vowmq check --config` looks for mistakes.".to_owned(),
    ];
    let mut draft = Draft { head, ..Draft::default() };
    general::translate(&mosquitto, &mut draft, &mut findings);
    listeners::translate(&mosquitto, resolve, &mut draft, &mut findings);
    listeners::tell_open(&draft, &mut findings);
    bridges::translate(&mosquitto, &mut draft, &mut findings);
    (draft.to_toml(), findings)
}

/// What `vowmq check` has to say of the file.
fn mistakes(path: &Path) -> Vec<String> {
    let sources = Sources { file: Some(path.to_owned()), ..Sources::default() };
    let mistakes = Config::load(&sources).err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

fn resolve(host: &str) -> Vec<IpAddr> {
    let found = (host, 0).to_socket_addrs().map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>());
    let mut addresses = found.unwrap_or_default();
    addresses.sort();
    addresses.dedup();
    addresses
}
