//! Keeps the log short: takes its oldest part over into the cold state, on a thread of its own.
use super::export::{self, ExportError, Exported};
use super::index::Index;
use super::queue;
use super::shelf::Shared;
use super::takeover::Takeover;
use crate::store::cold::{Changes, ColdError, Space};
use crate::store::{Shelf, StoreError};
use crate::types::{Now, SessionKey};
use std::sync::Arc;
use std::time::Duration;

/// Cold positions noted as finished that are carried in memory at most.
const NOTED_MAX: u64 = 500_000;

/// Log bytes that a start may have to replay after an orderly end.
const WOUND_UP_BYTES: u64 = 16 << 20;

/// The one writer of the cold state.
pub struct Checkpointer {
    shared: Arc<Shared>,
    log_bytes_max: u64,
    /// The cold state is in doubt after a failed write, until it has been opened again.
    in_doubt: bool,
}

impl Checkpointer {
    pub(super) fn new(shared: Arc<Shared>, log_bytes_max: u64) -> Self {
        Self { shared, log_bytes_max, in_doubt: false }
    }

    /// Takes over one stride of the log, if it is too long. False if it is not.
    pub fn step(&mut self) -> Result<bool, StoreError> {
        let below = {
            let index = self.shared.index.lock();
            if !is_due(&index, self.log_bytes_max) {
                return Ok(false);
            }
            index.next_milestone()
        };
        self.take_over(below)?;
        Ok(true)
    }

    /// Takes over everything that is in the log now.
    pub fn finish(&mut self) -> Result<(), StoreError> {
        let end = self.shared.index.lock().end();
        loop {
            let below = self.shared.index.lock().next_milestone();
            self.take_over(below.min(end))?;
            if below >= end {
                return Ok(());
            }
        }
    }

    /// Hands everything that is kept now to `each`. Until it returns the log grows.
    pub fn export(&mut self, each: &mut dyn FnMut(Exported) -> std::io::Result<()>) -> Result<(), ExportError> {
        self.finish()?;
        export::export(&self.shared, each)
    }

    /// Takes over one stride of the log before an orderly end, so that the next start is quick. False once little is
    /// left.
    pub fn wind_up(&mut self) -> Result<bool, StoreError> {
        let below = {
            let index = self.shared.index.lock();
            if index.load().0 <= WOUND_UP_BYTES {
                return Ok(false);
            }
            index.next_milestone()
        };
        self.take_over(below)?;
        Ok(true)
    }

    pub fn shelf(&self) -> Arc<dyn Shelf> {
        self.shared.clone()
    }

    /// Ends a [`Self::wait`] from another thread.
    pub fn waker(&self) -> impl Fn() + Send + Sync + 'static {
        let shared = self.shared.clone();
        move || {
            // Locked, so that a wait that is about to begin does not miss it.
            let _index = shared.index.lock();
            shared.work.notify_all();
        }
    }

    /// Waits until there may be something to do.
    pub fn wait(&self, at_most: Duration) {
        let mut index = self.shared.index.lock();
        if !is_due(&index, self.log_bytes_max) {
            self.shared.work.wait_for(&mut index, at_most);
        }
    }

    /// Deliveries whose time to be given up has come, some of them perhaps finished already.
    pub fn take_due(&mut self, now: Now, at_most: usize) -> Result<Vec<(SessionKey, u64)>, StoreError> {
        let mut due = self.shared.index.lock().take_due(now, at_most);
        let below = queue::deadline(now.plus_millis(1), SessionKey(0), 0);
        let found = self.shared.cold.range(Space::Deadlines, &[0], &below, at_most)?;
        if found.is_empty() {
            return Ok(due);
        }
        let mut seen = Changes::default();
        for (key, _) in found {
            let (_, session, position) = queue::deadline_parts(&key).map_err(ColdError::from)?;
            if self.is_waiting(session, position)? {
                due.push((session, position));
            }
            // One that is forgotten here and not given up, for a crash comes between, is given up when it would be sent.
            seen.remove(Space::Deadlines, key);
        }
        self.commit(seen)?;
        Ok(due)
    }

    /// Whether a cold delivery is still there.
    fn is_waiting(&self, session: SessionKey, position: u64) -> Result<bool, StoreError> {
        let is_finished = {
            let index = self.shared.index.lock();
            index.line(session).is_none_or(|line| line.is_finished(position))
        };
        Ok(!is_finished && self.shared.cold.get(Space::Queue, &queue::key(session, position))?.is_some())
    }

    fn take_over(&mut self, below: crate::store::log::Lsn) -> Result<(), StoreError> {
        let is_retry = self.in_doubt;
        if is_retry {
            self.shared.cold.reopen()?;
        }
        let (taken, from) = {
            let mut index = self.shared.index.lock();
            (index.take(below), index.checkpoint())
        };
        match Takeover::new(&self.shared, from, is_retry).write(&taken) {
            Ok(settled) => {
                self.in_doubt = false;
                self.shared.index.lock().settle(taken, settled);
                Ok(())
            }
            Err(error) => {
                self.in_doubt = true;
                self.shared.index.lock().put_back(taken);
                Err(error)
            }
        }
    }

    fn commit(&mut self, changes: Changes) -> Result<(), StoreError> {
        if self.in_doubt {
            self.shared.cold.reopen()?;
        }
        let committed = self.shared.cold.commit(changes);
        self.in_doubt |= committed.is_err();
        Ok(committed?)
    }
}

pub(super) fn is_due(index: &Index, log_bytes_max: u64) -> bool {
    let (log_bytes, noted) = index.load();
    log_bytes > log_bytes_max || noted > NOTED_MAX
}
