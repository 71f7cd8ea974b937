//! The engine that keeps the vow: every group of records is in the delivery log, synced, before `commit` returns.
//!
//! The log is the truth. Beside it the store keeps an [`Image`] of what the records add up to: what a restart would find.
//! When the log has grown far beyond the image, the image is written to it once more, as records, and everything before
//! is released; a small file remembers where that begins.
mod checkpoint;
mod encoding;

use super::image::Image;
use super::log::{self, Group, Log, LogError, Lsn, Options};
use super::{Record, Store, StoreError};
use checkpoint::Checkpoint;
use std::path::Path;
use std::sync::Arc;

pub struct DurableStore {
    log: Log,
    image: Image,
    checkpoint: Checkpoint,
    group: Group,
    /// Log bytes since the last checkpoint began.
    begun: Lsn,
    bytes_max: u64,
}

/// What was found on disk.
pub struct Restored {
    pub image: Image,
    /// What was cut off as an unfinished write, in words; nothing acknowledged was in it.
    pub discarded: Option<String>,
    pub records: u64,
}

/// Bytes of one group when the image is written; bounds the frame.
const SNAPSHOT_GROUP_BYTES: u64 = 4 << 20;

impl DurableStore {
    /// Opens the store in `directory`, or makes it. `salt` is used only for a new one. `log_bytes_max` is how far the log
    /// may grow beyond twice what is live before it is written anew.
    pub fn open(directory: &Path, salt: u64, log_bytes_max: u64) -> Result<(Self, Restored), StoreError> {
        let files = Arc::new(log::DiskFiles::create(directory).map_err(StoreError::Io)?);
        let checkpoint = Checkpoint::in_directory(directory);
        let from = checkpoint.read().map_err(StoreError::Io)?.unwrap_or(Lsn::START);
        let mut image = Image::default();
        let (log, recovery) = log::open(files, Options::new(salt), from, |_, bytes| {
            image.apply(&encoding::decode(bytes)?);
            Ok::<(), encoding::UnknownForm>(())
        })?;
        let discarded = recovery.discarded.as_ref().map(ToString::to_string);
        let restored = Restored { image: image.clone(), discarded, records: recovery.records };
        let store = Self { log, image, checkpoint, group: Group::new(), begun: from, bytes_max: log_bytes_max };
        Ok((store, restored))
    }

    /// Leaves the sign of an orderly end.
    pub fn close(self) -> Result<(), StoreError> {
        Ok(self.log.close()?)
    }

    fn append(&mut self) -> Result<(), StoreError> {
        if !self.group.is_empty() {
            self.log.append(&mut self.group)?;
            self.group.clear();
        }
        Ok(())
    }

    fn is_overgrown(&self) -> bool {
        let written = self.log.end().value().saturating_sub(self.begun.value());
        written > self.bytes_max.saturating_add(2 * self.image.bytes())
    }

    /// Writes the image as records and releases the log before it.
    fn write_anew(&mut self) -> Result<(), StoreError> {
        let begun = self.log.end();
        let image = std::mem::take(&mut self.image);
        let mut result = Ok(());
        image.records(&mut |record| {
            if result.is_ok() {
                self.group.push_with(|out| encoding::encode(&record, out));
                if self.group.frame_bytes() > SNAPSHOT_GROUP_BYTES {
                    result = self.append();
                }
            }
        });
        self.image = image;
        result?;
        self.append()?;
        // IMPORTANT: the place is remembered, durably, before what it replaces is released.
        self.checkpoint.write(begun).map_err(StoreError::Io)?;
        self.begun = begun;
        Ok(self.log.release_before(begun)?)
    }
}

impl Store for DurableStore {
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError> {
        for record in group {
            self.group.push_with(|out| encoding::encode(record, out));
            if self.group.frame_bytes() > SNAPSHOT_GROUP_BYTES {
                self.append()?;
            }
        }
        self.append()?;
        for record in group {
            self.image.apply(record);
        }
        if self.is_overgrown() {
            self.write_anew()?;
        }
        Ok(())
    }

    fn rest(&mut self) -> Result<(), StoreError> {
        if self.log.needs_spare() {
            self.log.make_spare()?;
        }
        Ok(self.log.guard()?)
    }
}

impl From<LogError> for StoreError {
    fn from(error: LogError) -> Self {
        Self::Log(Box::new(error))
    }
}
