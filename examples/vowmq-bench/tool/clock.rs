//! The tool's time: nanoseconds since it began, which is what payloads carry.
use std::time::Instant;

#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begun: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { begun: Instant::now() }
    }

    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}
