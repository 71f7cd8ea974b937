//! State that has left the delivery log: ordered keys and values, changed only in atomic, synced batches.
//!
//! Nothing a client waits for is behind it: the log is the truth until a checkpoint says that this holds it as well.
mod database;
mod memory;
mod view;

pub use database::Database;
pub use memory::{Failure, MemoryCold};
pub use view::View;

use super::log::RepairCommand;
use bytes::Bytes;
use std::path::PathBuf;

/// One ordered map of keys to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// What is small: the checkpoint, sessions, subscriptions, identifiers.
    State,
    /// Queued deliveries by session and position.
    Queue,
    /// Messages that several deliveries share, or that are long, in pieces; and how many deliveries share each.
    Bodies,
    /// Retained messages by topic.
    Retained,
    /// Queued deliveries by the time they are given up.
    Deadlines,
}

impl Space {
    pub const ALL: [Self; 5] = [Self::State, Self::Queue, Self::Bodies, Self::Retained, Self::Deadlines];

    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Queue => "queue",
            Self::Bodies => "bodies",
            Self::Retained => "retained",
            Self::Deadlines => "deadlines",
        }
    }
}

/// Changes that become durable together, or not at all. The last one of a key counts.
#[derive(Debug, Default)]
pub struct Changes {
    items: Vec<(Space, Bytes, Option<Bytes>)>,
}

impl Changes {
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.items.push((space, key.into(), Some(value.into())));
    }

    pub fn remove(&mut self, space: Space, key: impl Into<Bytes>) {
        self.items.push((space, key.into(), None));
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn into_items(self) -> impl Iterator<Item = (Space, Bytes, Option<Bytes>)> {
        self.items.into_iter()
    }
}

pub trait Cold: Send + Sync {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ColdError>;

    /// The first entries with keys from `from` on and below `below`, up to `at_most`, in order.
    fn range(&self, space: Space, from: &[u8], below: &[u8], at_most: usize) -> Result<Entries, ColdError>;

    /// Makes all changes durable, or none. After an error it is not known which, until [`Cold::reopen`].
    fn commit(&self, changes: Changes) -> Result<(), ColdError>;

    /// Starts anew from what the disk holds, after an error.
    fn reopen(&self) -> Result<(), ColdError>;

    fn bytes_on_disk(&self) -> u64;

    /// Where it is, for people to read.
    fn path(&self) -> PathBuf;
}

pub type Entries = Vec<(Bytes, Bytes)>;

/// Why the cold state cannot be opened, read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    #[error("{}: in use by another process; stop that one or choose another data directory", path.display())]
    InUse { path: PathBuf },
    #[error("{}: written by a later version of vowmq; start that version", path.display())]
    NewerFormat { path: PathBuf },
    /// The disk is full; nothing is lost, and it can be tried again.
    #[error("{}: no room for queued messages: {source}; free some disk space", path.display())]
    NoSpace { path: PathBuf, source: std::io::Error },
    #[error("{}: cannot {doing}: {why}; look at the disk, and run `{}`", path.display(), RepairCommand::for_file(path))]
    Failed { path: PathBuf, doing: &'static str, why: String },
    /// A value passed its checksum and still makes no sense.
    #[error("queued messages on disk have a form that this version does not know; start the version that wrote them")]
    UnknownForm,
}

/// Reads every entry, and counts them by space.
pub fn count(cold: &dyn Cold) -> Result<Vec<(&'static str, u64)>, ColdError> {
    const AT_ONCE: usize = 1024;
    let mut counts = Vec::with_capacity(Space::ALL.len());
    for space in Space::ALL {
        let (mut count, mut from) = (0, Vec::new());
        loop {
            let found = cold.range(space, &from, &[u8::MAX; 64], AT_ONCE)?;
            let Some((last, _)) = found.last() else { break };
            from = [last.as_ref(), &[0]].concat();
            count += found.len() as u64;
        }
        counts.push((space.name(), count));
    }
    Ok(counts)
}

impl ColdError {
    /// Whether what is on disk is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Failed { doing: "open" | "read", .. } | Self::UnknownForm)
    }
}

/// The smallest key above all that begin with `prefix`.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    // Nothing is above a prefix of all ones but longer keys, which none of ours are.
    vec![u8::MAX; prefix.len() + 1]
}
