//! kill -9 at any moment: what was acknowledged arrives, QoS 2 exactly once, in order, and sessions are still there.
//!
//! A real broker on a real disk; both peers are models that keep their side of the protocol through the broker's deaths.
//! `CRASH_ROUNDS=1000 CRASH_SEED=7 cargo test --release --test crash -- --nocapture` for a long run.
#[path = "../common/broker.rs"]
mod broker;
mod faults;
mod link;
mod peers;

use broker::Broker;
use faults::{Faults, Recipe};
use link::Connection;
use peers::{Publisher, Subscriber};
use std::time::{Duration, Instant};
use vowmq::packet::Version;

/// Deaths of one broker and its data directory.
const KILLS_PER_LIFE: u64 = 6;
const PATIENCE: Duration = Duration::from_secs(30);

/// A generator that says the same again for the same seed (a 64-bit linear congruence, its high bits).
pub struct Dice(u64);

impl Dice {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[derive(Default)]
struct Tally {
    kills: u64,
    published: u64,
    acknowledged_before_a_kill: u64,
    doubled_qos1: u64,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let (rounds, seed) = (setting("CRASH_ROUNDS", 12), setting("CRASH_SEED", 1));
    let mut tally = Tally::default();
    for life in 0..rounds.div_ceil(KILLS_PER_LIFE) {
        run_life(seed + life, KILLS_PER_LIFE.min(rounds - life * KILLS_PER_LIFE), &mut tally);
    }
    println!(
        "{} kills, {} messages published, up to {} of one life acknowledged before a kill: every one arrived, QoS 2 once, \
         in order, in sessions that were still there ({} QoS 1 repeats, which are allowed)",
        tally.kills, tally.published, tally.acknowledged_before_a_kill, tally.doubled_qos1
    );
}

/// `CRASH_PEER=/usr/sbin/mosquitto CRASH_ROUNDS=50 cargo test --release --test crash -- faults --nocapture` puts another
/// broker to the same, in the same run; docs/FAULTS.md shows what came of it.
#[test]
fn faults_are_counted_for_any_broker() {
    let (rounds, seed) = (setting("CRASH_ROUNDS", 3), setting("CRASH_SEED", 1));
    let mut recipes = vec![Recipe::vowmq()];
    if let Ok(program) = std::env::var("CRASH_PEER") {
        recipes.extend([Recipe::mosquitto(&program), Recipe::mosquitto_saving(&program)]);
    }
    println!("| broker | kills | acknowledged before | of these lost | QoS 2 doubled | out of order | sessions lost |");
    println!("|---|---|---|---|---|---|---|");
    for (index, recipe) in recipes.into_iter().enumerate() {
        let name = recipe.name.clone();
        let found = faults::count(recipe, rounds, seed);
        let Faults { rounds, acknowledged, lost, doubled_qos2, reordered, sessions_lost } = found;
        println!("| {name} | {rounds} | {acknowledged} | {lost} | {doubled_qos2} | {reordered} | {sessions_lost} |");
        let flawless = Faults { rounds, acknowledged, ..Faults::default() };
        assert!(index > 0 || found == flawless, "{found:?}");
    }
}

fn run_life(seed: u64, kills: u64, tally: &mut Tally) {
    let mut dice = Dice(seed);
    let version = if seed.is_multiple_of(2) { Version::V5 } else { Version::V311 };
    let window = 1 + dice.below(100);
    let mut broker = Broker::start("[sys]\ninterval_s = 0\n");
    let mut publisher = Publisher::new(version, window);
    let mut subscriber = Subscriber::new(version);
    // The subscription is acknowledged before the first message, so that every message has somewhere to go.
    let mut reader = subscriber.connect(broker.address, &mut dice);
    subscriber.subscribe(&mut reader);
    let mut reader = Some(reader);
    for kill in 0..kills {
        let mut writer = publisher.connect(broker.address);
        if reader.is_none() && dice.below(3) > 0 {
            reader = Some(subscriber.connect(broker.address, &mut dice));
        }
        let until = publisher.acknowledged + 1 + dice.below(40 * window);
        let deadline = Instant::now() + PATIENCE;
        while publisher.acknowledged < until {
            assert!(Instant::now() < deadline, "seed {seed}, kill {kill}: no acknowledgement comes any more");
            publisher.publish(&mut writer, &mut dice);
            step(&mut publisher, &mut writer, &mut subscriber, reader.as_mut());
        }
        broker.kill();
        // What the broker had sent counts, though it is dead.
        publisher.drain(&mut writer);
        if let Some(mut reader) = reader.take() {
            subscriber.drain(&mut reader);
        }
        tally.kills += 1;
        tally.acknowledged_before_a_kill = tally.acknowledged_before_a_kill.max(publisher.acknowledged);
        broker.start_again();
    }
    let mut writer = publisher.connect(broker.address);
    let mut reader = subscriber.connect(broker.address, &mut dice);
    let deadline = Instant::now() + PATIENCE;
    while !publisher.is_finished() || !subscriber.has_all(&publisher) {
        assert!(Instant::now() < deadline, "seed {seed}: {}", subscriber.missing(&publisher));
        step(&mut publisher, &mut writer, &mut subscriber, Some(&mut reader));
    }
    subscriber.check(seed);
    tally.published += publisher.published();
    tally.doubled_qos1 += subscriber.doubled_qos1();
}

fn step(
    publisher: &mut Publisher,
    writer: &mut Connection,
    subscriber: &mut Subscriber,
    reader: Option<&mut Connection>,
) {
    publisher.handle(writer);
    if let Some(reader) = reader {
        subscriber.handle(reader);
    }
}
