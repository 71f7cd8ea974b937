//! The only file that asks the time, and the only one that asks for randomness.
use crate::types::{Now, Stamp};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time that never goes back in one run: the wall clock at the start, plus what has passed since.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    started_at: Now,
}

impl Clock {
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { started: Instant::now(), started_at: Now::from_millis(millis(since_epoch)) }
    }

    pub fn now(&self) -> Now {
        self.started_at.plus_millis(millis(self.started.elapsed()))
    }

    pub fn started_at(&self) -> Now {
        self.started_at
    }
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Since when stamps are counted.
static STAMPED_SINCE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// This moment, to measure from.
pub fn stamp() -> Stamp {
    let us = u64::try_from(STAMPED_SINCE.elapsed().as_micros()).unwrap_or(u64::MAX);
    // The first moment is one, too.
    Stamp::new(us.saturating_add(1))
}

/// Bytes that nobody can guess, from the operating system.
pub fn secret() -> Result<[u8; 32], std::io::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number that clients cannot guess, from the keys that the operating system gives the standard library's hasher.
pub fn seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Bytes that nobody can guess, for salts and nonces.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("an operating system that has started can give random bytes");
    bytes
}
