//! Making the next segment before it is needed: the slow part of the log, done on any thread.
use std::io;
use std::sync::Arc;

use super::LogError;
use super::file::{File, Files, write_full};
use super::frame::FRAME_HEADER_BYTES;
use super::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Bytes between two syncs of what is written beside commits.
const STEP_BYTES: u64 = 512 * 1024;
/// Bytes that are written at once beside commits: a thread that has time need not hold much memory.
const SMALL_CHUNK_BYTES: usize = 64 * 1024;

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
    /// Writes the whole file, or only the header of a recycled one, and syncs it as it goes: a commit beside it waits for
    /// one step on its way to the disk, and not for all of them.
    pub fn run(self) -> SpareDone {
        self.done(STEP_BYTES, SMALL_CHUNK_BYTES)
    }

    /// The same while everybody waits for it: as quick as can be.
    pub(super) fn run_alone(self) -> SpareDone {
        self.done(u64::MAX, CHUNK_BYTES)
    }

    fn done(self, step_bytes: u64, chunk_bytes: usize) -> SpareDone {
        let outcome = self.write(step_bytes, chunk_bytes).map_err(LogError::making(self.files.path(&self.name)));
        if outcome.is_err() {
            // Half a segment is of no use, and what failed once is not trusted again. If even this fails, the next
            // start removes it.
            let _ = self.files.remove(&self.name);
        }
        SpareDone { name: self.name, header: self.header, outcome }
    }

    pub(super) fn make(&self) -> io::Result<Arc<dyn File>> {
        self.write(u64::MAX, CHUNK_BYTES)
    }

    fn write(&self, step_bytes: u64, chunk_bytes: usize) -> io::Result<Arc<dyn File>> {
        let file = if self.recycled { self.files.open(&self.name)? } else { self.files.create(&self.name)? };
        // The header, and the empty place of the first frame's header.
        let mut start = vec![0; (SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES) as usize];
        start[..SEGMENT_HEADER_BYTES as usize].copy_from_slice(&self.header.encode());
        write_full(&*file, &start, 0)?;
        if !self.recycled {
            let zeros = vec![0; chunk_bytes];
            let mut at = start.len() as u64;
            while self.header.bytes.saturating_sub(at) > step_bytes {
                put(&*file, &zeros, at, at + step_bytes)?;
                file.sync_data()?;
                at += step_bytes;
            }
            put(&*file, &zeros, at, self.header.bytes)?;
        }
        file.sync_data()?;
        Ok(file)
    }
}

pub(super) fn write_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let length = usize::try_from(to.saturating_sub(from)).map_or(CHUNK_BYTES, |all| all.min(CHUNK_BYTES));
    put(file, &vec![0; length], from, to)
}

/// Fills a part of a file with copies of `chunk`.
fn put(file: &dyn File, chunk: &[u8], from: u64, to: u64) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).map_or(chunk.len(), |left| left.min(chunk.len()));
        write_full(file, &chunk[..length], at)?;
        at += length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fault::FaultFiles;
    use super::*;

    const STEPS: u64 = 4;

    fn made(run: impl FnOnce(SpareWork) -> SpareDone) -> (u64, Vec<u8>) {
        let files = FaultFiles::new(7, 4096);
        let header = SegmentHeader { base: 0, bytes: STEPS * STEP_BYTES, salt: 1, is_void: false };
        let name = "spare".to_owned();
        let work = SpareWork { files: Arc::new(files.clone()), name: name.clone(), recycled: false, header };
        assert!(!run(work).has_failed());
        (files.counts().syncs, files.content(&name))
    }

    #[test]
    fn a_spare_made_beside_commits_goes_to_the_disk_step_by_step() {
        let (beside, alone) = (made(SpareWork::run), made(SpareWork::run_alone));
        assert_eq!((beside.0, alone.0), (STEPS, 1));
        assert_eq!(beside.1.len() as u64, STEPS * STEP_BYTES);
        assert!(beside.1 == alone.1, "both make the same file");
    }
}
