//! Durable state behind one seam (floor 2): groups of records go in, and are on disk when the call returns.
pub mod cold;
pub mod data_dir;
mod durable;
mod image;
pub mod log;
mod memory;
mod page;
mod record;

pub use durable::{Checkpointer, DurableStore, ExportError, Exported, Options, Restored};
pub use image::{Presence, QueueImage, SessionImage};
pub use memory::MemoryStore;
pub use page::{Page, Queued, Shelf};
pub use record::{POSITIONS_MAX, Record, Target, Targets};

/// Keeps records through crashes. The committer is its only writer.
pub trait Store: Send {
    /// Makes all records of the group durable, in order. After [`StoreError::is_full`] the same group may be committed
    /// again once there is room, as often as it takes. After any other error nothing may be acknowledged any more: what
    /// of the group is on disk is not known.
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError>;

    /// Nothing waits: time for what makes later commits quick and recovery sure.
    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether room on disk is running out, so that nothing more should be taken in than must be.
    fn is_short_of_space(&self) -> bool {
        false
    }

    /// Whether more has been taken in than could be put in order yet, so that publishers should wait.
    fn is_behind(&self) -> bool {
        false
    }

    /// Bytes ever written.
    fn bytes_written(&self) -> u64 {
        0
    }
}

/// The store cannot be opened, or a group could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("data_dir: {0}; make the directory writable for the broker, or set data_dir to another one")]
    Io(#[source] std::io::Error),
    #[error("the delivery log in data_dir: {0}")]
    Log(#[source] Box<log::LogError>),
    #[error("the state in data_dir: {0}")]
    Cold(#[source] Box<cold::ColdError>),
}

impl StoreError {
    /// Whether only room on disk is missing: nothing was written, and it can be tried again.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io(_) => false,
            Self::Log(error) => matches!(**error, log::LogError::NoSpace { .. }),
            Self::Cold(error) => matches!(**error, cold::ColdError::NoSpace { .. }),
        }
    }

    /// Whether [`data_dir::repair`] is for this.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
            Self::Cold(error) => error.is_damage(),
            Self::Io(_) => false,
        }
    }
}
