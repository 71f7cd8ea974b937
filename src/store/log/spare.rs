//! Making the next segment before it is needed: the slow part of the log, done on any thread.
use std::io;
use std::sync::Arc;

use super::LogError;
use super::file::{File, Files, write_full};
use super::frame::FRAME_HEADER_BYTES;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

const CHUNK_BYTES: usize = 1024 * 1024;

/// A segment to be made: run it on a thread that may wait, and hand the outcome to
/// [`Log::take_spare`](super::Log::take_spare).
#[must_use = "the log waits for the outcome and asks for no other spare until then"]
pub struct SpareWork {
    pub(super) files: Arc<dyn Files>,
    /// A name outside the log; it becomes a segment's name when the log takes it.
    pub(super) name: String,
    /// Whether the file exists, with the size of a segment and stale content.
    pub(super) recycled: bool,
    pub(super) header: SegmentHeader,
}

/// What became of a [`SpareWork`].
#[must_use = "the log waits for the outcome and asks for no other spare until then"]
pub struct SpareDone {
    pub(super) name: String,
    pub(super) header: SegmentHeader,
    pub(super) outcome: Result<Arc<dyn File>, LogError>,
}

impl SpareDone {
    pub fn has_failed(&self) -> bool {
        self.outcome.is_err()
    }
}

impl SpareWork {
    /// Writes the whole file, or only the header of a recycled one, and syncs it.
    pub fn run(self) -> SpareDone {
        let outcome = self.make().map_err(LogError::making(self.files.path(&self.name)));
        if outcome.is_err() {
            // Half a segment is of no use, and what failed once is not trusted again. If even this fails, the next
            // start removes it.
            let _ = self.files.remove(&self.name);
        }
        SpareDone { name: self.name, header: self.header, outcome }
    }

    pub(super) fn make(&self) -> io::Result<Arc<dyn File>> {
        let file = if self.recycled { self.files.open(&self.name)? } else { self.files.create(&self.name)? };
        // The header, and the empty place of the first frame's header.
        let mut start = vec![0; (SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES) as usize];
        start[..SEGMENT_HEADER_BYTES as usize].copy_from_slice(&self.header.encode());
        write_full(&*file, &start, 0)?;
        if !self.recycled {
            write_zeros(&*file, start.len() as u64, self.header.bytes)?;
        }
        file.sync_data()?;
        Ok(file)
    }
}

pub(super) fn write_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < to {
        let chunk = usize::try_from(to - at).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
        write_full(file, &zeros[..chunk], at)?;
        at += chunk as u64;
    }
    Ok(())
}
