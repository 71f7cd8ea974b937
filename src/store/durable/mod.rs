//! The engine that keeps the vow: every group of records is in the delivery log, synced, before `commit` returns.
//!
//! Two parts, one truth. The log is the truth: what is in it has been promised. Beside it an [`Index`] of what the log
//! holds since the last checkpoint is kept in memory, small, for messages stay in the log until they are read back.
//! When the log grows too long, the [`Checkpointer`] takes its oldest part over into the cold state, in one batch with
//! the place from which replay would begin then, and the log lets go of it. What was finished before that never leaves
//! the log.
mod checkpointer;
mod encoding;
mod export;
mod index;
mod line;
mod opening;
mod queue;
mod shelf;
mod spares;
mod state;
mod takeover;

pub use checkpointer::Checkpointer;
pub use export::{ExportError, Exported};
pub use opening::Restored;
pub(super) use opening::{begin_at, replay_from};

use super::log::{Group, Log, LogError, Lsn};
use super::{Record, Shelf, Store, StoreError};
use shelf::Shared;
use spares::Spares;
use std::path::PathBuf;
use std::sync::Arc;

/// How a durable store is laid out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of one segment of the log; no message may be longer than half of it.
    pub segment_bytes: u64,
    /// Bytes of the log above which its oldest part is taken over into the cold state.
    pub log_bytes_max: u64,
    /// Bytes of the log that one checkpoint takes over, about.
    pub stride_bytes: u64,
    /// A random number for a new log.
    pub salt: u64,
    /// Whether spare segments are made on a thread of their own, as they should but in a simulation.
    pub spares_apart: bool,
}

pub struct DurableStore {
    /// Before the log, which holds the directory's lock.
    making: Option<opening::Making>,
    log: Log,
    shared: Arc<Shared>,
    group: Group,
    /// The number of each record's first record in the group.
    numbers: Vec<usize>,
    options: Options,
    spares: Spares,
}

/// Bytes of one group of the log, unless a single record is larger.
const GROUP_BYTES: u64 = 8 << 20;
/// How far behind the checkpoints may fall, in lengths of the log, before publishers have to wait.
const BEHIND_MAX: u64 = 8;

impl DurableStore {
    /// Where a directory keeps its cold state.
    pub fn cold_directory(data_dir: &std::path::Path) -> PathBuf {
        data_dir.join("state")
    }

    /// Reads back what is queued and retained, on any thread.
    pub fn shelf(&self) -> Arc<dyn Shelf> {
        self.shared.clone()
    }

    /// The one writer of the cold state; somebody has to run it.
    pub fn checkpointer(&self) -> Checkpointer {
        Checkpointer::new(self.shared.clone(), self.options.log_bytes_max)
    }

    /// Leaves the sign of an orderly end.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.release()?;
        self.making = None;
        Ok(self.log.close()?)
    }

    /// Room that the log takes.
    pub fn log_bytes_on_disk(&self) -> u64 {
        self.log.bytes_on_disk()
    }

    fn append(&mut self, records: &[Record]) -> Result<(), StoreError> {
        let appended = self.log.append(&mut self.group)?;
        let mut index = self.shared.index.lock();
        for (record, number) in records.iter().zip(&self.numbers) {
            index.apply(record, appended.lsn(*number).expect("each record of the group has its number"));
        }
        index.ended_group(appended.end());
        if checkpointer::is_due(&index, self.options.log_bytes_max) {
            self.shared.work.notify_one();
        }
        Ok(())
    }

    /// Lets go of what the last checkpoint took over and nobody reads any more.
    fn release(&mut self) -> Result<(), StoreError> {
        let needed_from = self.shared.index.lock().needed_from();
        if needed_from > self.log.oldest() {
            self.log.release_before(needed_from)?;
        }
        Ok(())
    }
}

impl Store for DurableStore {
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError> {
        let mut rest = group;
        while !rest.is_empty() {
            self.group.clear();
            self.numbers.clear();
            let mut taken = 0;
            for record in rest {
                self.numbers.push(encoding::push(record, &mut self.group));
                taken += 1;
                if self.group.frame_bytes() > GROUP_BYTES {
                    break;
                }
            }
            let (now, later) = rest.split_at(taken);
            self.append(now)?;
            rest = later;
        }
        self.spares.tend(&mut self.log)?;
        self.release()
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        self.release()?;
        self.spares.tend(&mut self.log)?;
        match self.log.guard() {
            // It can be said later as well.
            Err(LogError::NoSpace { .. }) => Ok(()),
            guarded => Ok(guarded?),
        }
    }

    fn is_short_of_space(&self) -> bool {
        self.log.is_short_of_space()
    }

    fn is_behind(&self) -> bool {
        let (log_bytes, _) = self.shared.index.lock().load();
        log_bytes / BEHIND_MAX > self.options.log_bytes_max
    }

    fn bytes_written(&self) -> u64 {
        self.log.end().value()
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        Self::Log(Box::new(error))
    }
}

/// A frame holds what half a segment may be long, and more.
pub(super) fn log_options(options: &Options) -> super::log::Options {
    super::log::Options {
        segment_bytes: options.segment_bytes,
        frame_bytes_max: options.segment_bytes - 1024,
        ..super::log::Options::new(options.salt)
    }
}

impl Options {
    pub fn new(salt: u64) -> Self {
        Self { segment_bytes: 32 << 20, log_bytes_max: 128 << 20, stride_bytes: 8 << 20, salt, spares_apart: true }
    }
}

/// Where replay begins in a store that has no checkpoint yet.
const BEGINNING: Lsn = Lsn::START;
