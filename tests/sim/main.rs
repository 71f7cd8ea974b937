//! The deterministic simulation: one thread, a virtual clock, and from a seed the whole run.
//!
//! Persistent clients publish and subscribe through the real broker, session machine, codec and store, while links are
//! cut, taken over, delayed and ended in order, and the store commits when the dice say so. The broker is killed and loses
//! its power, writes and syncs fail, the disk fills up. In the end everything heals and drains, and the oracle compares what arrived with what was sent. `SIM_SEEDS=100000` for a long run, `SIM_SEED=n` to
//! replay one.
mod client;
mod disk;
mod world;

use world::World;

/// A generator that says the same again for the same seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_seed_keeps_the_promises() {
    let (first, count) = match setting("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (0, setting("SIM_SEEDS").unwrap_or(2000)),
    };
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| World::new(seed).run());
        assert!(run.is_ok(), "seed {seed} fails; replay it with SIM_SEED={seed}");
    }
    println!("simulation: {count} seeds from {first}");
}
