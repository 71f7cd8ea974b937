//! The time, always passed as an argument.
use std::num::NonZeroU64;

/// A moment, in milliseconds since the Unix epoch; within one run it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now(
    /// One more, so that a moment that may be missing takes no more room.
    NonZeroU64,
);

impl Default for Now {
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl Now {
    /// The last number is the same moment as the one before it, at the end of time.
    pub const fn from_millis(millis: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(millis))
    }

    pub const fn as_millis(self) -> u64 {
        self.0.get() - 1
    }

    /// The moment `millis` later; stops at the end of time instead of wrapping.
    pub const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    pub const fn plus_seconds(self, seconds: u32) -> Self {
        self.plus_millis(seconds as u64 * 1000)
    }

    /// How long until `later`, in milliseconds; zero if it has passed.
    pub const fn millis_until(self, later: Now) -> u64 {
        later.0.get().saturating_sub(self.0.get())
    }
}
