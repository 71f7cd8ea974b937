//! The engine for `persistence = false`: nothing is kept, so nothing is waited for.
use super::{Record, Store, StoreError};

#[derive(Debug, Default)]
pub struct MemoryStore;

impl Store for MemoryStore {
    fn commit(&mut self, _group: &[Record]) -> Result<(), StoreError> {
        Ok(())
    }
}
