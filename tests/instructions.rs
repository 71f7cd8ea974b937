//! Instructions of the paths that every message takes, counted by valgrind and held against `benches/instructions.toml`.
//!
//! Counts do not depend on how busy the machine is, so that a path that grows is seen at once. They hold for the test
//! profile. `VOWMQ_RECORD=1 cargo test --test instructions` records what is counted now.
#[path = "../benches/paths/mod.rs"]
mod paths;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const HEAD: &str = "# Instructions of one way through each path, in the test profile; see tests/instructions.rs.\n\
                    # A path may take as many more as the tolerance says, as a part of what is recorded.\n";
/// Counts of two lengths are subtracted, so that what start and end cost is left out.
const FEW: u32 = 50;
const MANY: u32 = 250;
const PATH: &str = "VOWMQ_PATH";
const TIMES: &str = "VOWMQ_TIMES";

#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    tolerance: f64,
    counts: BTreeMap<String, u64>,
}

#[test]
fn hot_paths_take_no_more_instructions_than_recorded() {
    if !cfg!(debug_assertions) {
        eprintln!("skipped: the counts are those of the test profile");
        return;
    }
    let valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !valgrind.is_ok_and(|status| status.success()) {
        eprintln!("skipped: there is no valgrind; tests/setup.sh installs it");
        return;
    }
    let text = std::fs::read_to_string(RECORDED).expect("benches/instructions.toml can be read");
    let mut recorded: Recorded = toml::from_str(&text).expect("benches/instructions.toml is as it should be");
    let counted: BTreeMap<_, _> = paths::PATHS.iter().map(|(name, _)| ((*name).to_owned(), count(name))).collect();
    if std::env::var_os("VOWMQ_RECORD").is_some() {
        recorded.counts = counted;
        let text = toml::to_string(&recorded).expect("numbers can be written");
        std::fs::write(RECORDED, format!("{HEAD}{text}")).expect("benches/instructions.toml can be written");
        return;
    }
    let mut grown = Vec::new();
    for (name, count) in &counted {
        let before = recorded.counts.get(name).copied().unwrap_or(0);
        let ratio = *count as f64 / before as f64;
        println!("{name}: {count} instructions, {ratio:.3} of what is recorded");
        if ratio > 1.0 + recorded.tolerance {
            grown.push(format!("{name}: {count} instead of {before}"));
        }
    }
    assert!(
        grown.is_empty(),
        "more instructions than recorded; make it cheaper, or record it with VOWMQ_RECORD=1: {grown:?}"
    );
}

/// Instructions of one way through a path.
fn count(name: &str) -> u64 {
    (run(name, MANY).saturating_sub(run(name, FEW))) / u64::from(MANY - FEW)
}

/// Instructions of a process of this program that goes a path so many times.
fn run(name: &str, times: u32) -> u64 {
    let program = std::env::current_exe().expect("a program knows where it is");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--exact", "a_path_is_gone_as_often_as_asked", "--test-threads=1"])
        .env(PATH, name)
        .env(TIMES, times.to_string())
        .output()
        .expect("valgrind can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} under valgrind: {text}");
    let line = text.lines().find_map(|line| line.split_once("Collected :")).expect("callgrind tells what it counted");
    line.1.trim().parse().expect("a number of instructions")
}

/// What valgrind runs; by itself it does nothing.
#[test]
fn a_path_is_gone_as_often_as_asked() {
    let (Ok(name), Ok(times)) = (std::env::var(PATH), std::env::var(TIMES)) else { return };
    let (_, path) = paths::PATHS.iter().find(|(path, _)| *path == name).expect("a path of this name");
    let directory = tempfile::tempdir().expect("a directory for the log");
    let mut go = path(directory.path());
    for _ in 0..times.parse::<u32>().expect("a number") {
        go();
    }
}
