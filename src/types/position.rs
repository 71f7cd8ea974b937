//! Places in the queue of a session.
use std::num::NonZeroU64;

/// A queue position, where it may be missing: as small as the position itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(NonZeroU64);

impl Position {
    /// Positions count from 0; the very last number is none that any queue reaches.
    pub const fn new(position: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(position))
    }

    pub const fn value(self) -> u64 {
        self.0.get() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_that_may_be_missing_takes_a_word() {
        for position in [0, 1, 65_535, u64::MAX - 1] {
            assert_eq!(Position::new(position).value(), position);
        }
        assert_eq!(size_of::<Option<Position>>(), 8);
    }
}
