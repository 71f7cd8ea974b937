//! Durable state behind one seam (floor 2): groups of records go in, and are on disk when the call returns.
pub mod log;
mod memory;
mod record;

pub use memory::MemoryStore;
pub use record::{Record, Target};

/// Keeps records through crashes. The committer is its only writer.
pub trait Store: Send {
    /// Makes all records of the group durable, in order, all or none. After an error nothing may be acknowledged any
    /// more: what of the group is on disk is not known.
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError>;
}

/// A group could not be made durable.
#[derive(Debug, thiserror::Error)]
#[error("the store cannot write: {0}")]
pub struct StoreError(#[from] pub std::io::Error);
