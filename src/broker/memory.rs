//! How much of what the store keeps is in memory as well.
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of QoS 1 and 2 deliveries that are held in memory though a store has them, and how many may be.
#[derive(Debug)]
pub struct Memory {
    held_bytes: AtomicU64,
    bytes_max: u64,
}

impl Memory {
    pub fn new(bytes_max: u64) -> Self {
        Self { held_bytes: AtomicU64::new(0), bytes_max }
    }

    pub fn has_room(&self) -> bool {
        self.held_bytes() < self.bytes_max
    }

    pub fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// One holder's share has changed.
    pub fn change(&self, before: u64, after: u64) {
        if after > before {
            self.held_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.held_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}
