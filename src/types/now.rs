//! The time, always passed as an argument.

/// A moment, in milliseconds since the Unix epoch; within one run it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now(u64);

impl Now {
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
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
        later.0.saturating_sub(self.0)
    }
}
