//! Cold state in memory, for tests: a batch is there whole or not at all, at once.
use super::{Changes, Cold, ColdError, Entries, Space};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub struct MemoryCold {
    entries: Mutex<BTreeMap<(Space, Bytes), Bytes>>,
    failure: Mutex<Option<Failure>>,
}

/// A commit that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of it reached the disk.
    Without,
    /// All of it did, and only the answer is an error.
    With,
}

impl MemoryCold {
    /// Lets the next commit fail, and all until it is opened again.
    pub fn fail(&self, failure: Failure) {
        *self.failure.lock() = Some(failure);
    }

    /// The spaces that hold anything.
    pub fn spaces_in_use(&self) -> Vec<Space> {
        let entries = self.entries.lock();
        let mut spaces: Vec<_> = entries.keys().map(|(space, _)| *space).collect();
        spaces.dedup();
        spaces
    }
}

impl Cold for MemoryCold {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ColdError> {
        Ok(self.entries.lock().get(&(space, Bytes::copy_from_slice(key))).cloned())
    }

    fn range(&self, space: Space, from: &[u8], below: &[u8], at_most: usize) -> Result<Entries, ColdError> {
        if from >= below {
            return Ok(Vec::new());
        }
        let (from, below) = ((space, Bytes::copy_from_slice(from)), (space, Bytes::copy_from_slice(below)));
        let entries = self.entries.lock();
        let found = entries.range(from..below).take(at_most).map(|((_, key), value)| (key.clone(), value.clone()));
        Ok(found.collect())
    }

    fn commit(&self, changes: Changes) -> Result<(), ColdError> {
        let failure = *self.failure.lock();
        let failed = || ColdError::Failed { path: "memory".into(), doing: "write", why: "a test says so".to_owned() };
        if failure == Some(Failure::Without) {
            return Err(failed());
        }
        let mut entries = self.entries.lock();
        for (space, key, value) in changes.into_items() {
            match value {
                Some(value) => entries.insert((space, key), value),
                None => entries.remove(&(space, key)),
            };
        }
        if failure.is_some() {
            *self.failure.lock() = Some(Failure::Without);
            return Err(failed());
        }
        Ok(())
    }

    fn reopen(&self) -> Result<(), ColdError> {
        *self.failure.lock() = None;
        Ok(())
    }

    fn path(&self) -> std::path::PathBuf {
        "memory".into()
    }

    fn bytes_on_disk(&self) -> u64 {
        self.entries.lock().iter().map(|((_, key), value)| (key.len() + value.len()) as u64).sum()
    }
}
