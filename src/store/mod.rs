//! Durable state behind one seam (floor 2): groups of records go in, and are on disk when the call returns.
pub mod data_dir;
mod durable;
mod image;
pub mod log;
mod memory;
mod record;

pub use durable::{DurableStore, Restored};
pub use image::{Image, Presence, Queued, SessionImage};
pub use memory::MemoryStore;
pub use record::{Record, Target};

/// Keeps records through crashes. The committer is its only writer.
pub trait Store: Send {
    /// Makes all records of the group durable, in order, all or none. After an error nothing may be acknowledged any
    /// more: what of the group is on disk is not known.
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError>;

    /// Nothing waits: time for what makes later commits quick and recovery sure.
    fn rest(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The store cannot be opened, or a group could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("data_dir: {0}; make the directory writable for the broker, or set data_dir to another one")]
    Io(#[source] std::io::Error),
    #[error("the delivery log in data_dir: {0}")]
    Log(#[source] Box<log::LogError>),
    /// The checkpoint is no position.
    #[error(
        "{}: damaged: it does not say where replay begins; run `{}`, which reads the whole log instead and loses nothing",
        file.display(), log::RepairCommand::for_file(file)
    )]
    Checkpoint { file: std::path::PathBuf },
}

impl StoreError {
    /// Whether [`data_dir::repair`] is for this.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Log(error) => error.is_damage(),
            Self::Checkpoint { .. } => true,
            Self::Io(_) => false,
        }
    }
}
