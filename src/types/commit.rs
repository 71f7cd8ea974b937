//! Positions in the order of commits.

/// Numbers the groups of changes that a store makes durable; a higher number is durable no earlier than a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitSeq(pub u64);
