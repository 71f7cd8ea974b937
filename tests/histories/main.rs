//! kill -9 at any moment, many clients at once: their whole histories are judged.
//!
//! A real broker on a real disk; its clients are models that keep their side of the protocol through its deaths.
//! `CRASH_ROUNDS=1000 CRASH_SEED=7 cargo test --release --test histories -- --nocapture` for a long run. With
//! `CRASH_BROKER` (a start command) and `CRASH_CONFIG` (a template) any broker's faults are counted.
mod check;
mod dice;
mod fault;
mod inspector;
mod life;
mod link;
mod message;
mod owner;
mod peer;
mod publisher;
mod subject;
mod subscriber;
mod tally;
mod target;

use fault::Faults;
use subject::Subject;
use tally::{ROW_HEAD, Tally};

/// Kills of one data directory.
const KILLS_PER_LIFE: u64 = 10;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let (rounds, seed) = (setting("CRASH_ROUNDS", 70), setting("CRASH_SEED", 1));
    let subject = Subject::from_environment();
    let (mut tally, mut faults) = (Tally::default(), Faults::default());
    for life in 0..rounds.div_ceil(KILLS_PER_LIFE) {
        let kills = KILLS_PER_LIFE.min(rounds - life * KILLS_PER_LIFE);
        life::run(&subject, seed + life, kills, &mut tally, &mut faults);
    }
    println!("{}", tally.line(&subject.name, &faults));
    if subject.is_ours {
        assert!(faults.is_empty(), "{}", faults.describe());
        assert!(rounds < 20 || tally.has_seen_everything(), "the run leaves something out: {tally:?}");
    } else {
        println!("{ROW_HEAD}\n{}\n{}", tally.row(&subject.name, &faults), faults.describe());
    }
}
