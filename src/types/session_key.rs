//! The number a session goes by inside one process.

/// Names one session for as long as it lives; never used for another session of the same process.
///
/// Small and ordered, so that subscribers can be kept, merged and visited in an order that any run repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(pub u64);
