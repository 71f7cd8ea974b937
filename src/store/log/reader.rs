//! Reading single records by name, from any thread, while the log is being appended to.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;

use super::file::{Files, read_full};
use super::frame::{RECORD_HEADER_BYTES, record_header, u32_at};
use super::segment::Segment;
use super::{LogError, Lsn};

/// Read with the header of a record, in the hope that the body is within.
const FIRST_READ_BYTES: usize = 1024;

/// What the log shows to its readers. The lock is held by the log to add and drop a segment, by a reader to find one;
/// never over a read or write of a file.
pub(super) struct Shared {
    pub segments: RwLock<BTreeMap<u64, Arc<Segment>>>,
    /// The end of what is synced.
    pub end: AtomicU64,
}

impl Shared {
    pub fn oldest(&self) -> Lsn {
        Lsn::new(self.segments.read().keys().next().copied().expect("the current segment is never released"))
    }
}

/// Reads records by their names. Clones share one view of the log.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    files: Arc<dyn Files>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, files: Arc<dyn Files>) -> Self {
        Self { shared, files }
    }

    /// The record with this name, checked against its own checksum.
    pub fn read(&self, lsn: Lsn) -> Result<Bytes, LogError> {
        let segment = self.locate(lsn)?;
        let read = self.read_in(&segment, lsn);
        // The segment may have been released, and overwritten, while it was read.
        if read.is_err() && self.shared.oldest() > lsn {
            return Err(self.released(lsn));
        }
        read
    }

    /// To read many records, most of them close behind each other.
    pub fn window(&self) -> Window<'_> {
        Window { reader: self, bytes: Vec::new(), begin: 0, next: 0 }
    }

    /// The end of what is synced.
    fn end(&self) -> Lsn {
        Lsn::new(self.shared.end.load(Ordering::Acquire))
    }

    /// The segment that holds a position.
    fn locate(&self, lsn: Lsn) -> Result<Arc<Segment>, LogError> {
        let end = self.end();
        if lsn >= end {
            return Err(LogError::Unwritten { lsn, end });
        }
        let found = self.shared.segments.read().range(..=lsn.value()).next_back().map(|(_, segment)| segment.clone());
        let Some(segment) = found else { return Err(self.released(lsn)) };
        if lsn.value() >= segment.end() {
            return Err(self.damaged(&segment, lsn, "no segment holds this position"));
        }
        if segment.header.is_void {
            return Err(self.damaged(&segment, lsn, "a repair gave up this part of the log"));
        }
        Ok(segment)
    }

    fn read_in(&self, segment: &Segment, lsn: Lsn) -> Result<Bytes, LogError> {
        let spoilt = || self.damaged(segment, lsn, "there is no whole record at this position");
        let offset = segment.offset(lsn.value());
        let mut first = [0; FIRST_READ_BYTES];
        let read = self.read_at(segment, &mut first, offset)?;
        let Some((header, start)) = first[..read].split_at_checked(RECORD_HEADER_BYTES) else {
            return Err(spoilt());
        };
        let room = segment.end() - lsn.value() - RECORD_HEADER_BYTES as u64;
        let length = u32_at(header, 0);
        if u64::from(length) > room {
            return Err(spoilt());
        }
        let length = usize::try_from(length).map_err(|_| spoilt())?;
        let body = match start.get(..length) {
            Some(body) => Bytes::copy_from_slice(body),
            None => {
                let mut body = vec![0; length];
                body[..start.len()].copy_from_slice(start);
                let rest = &mut body[start.len()..];
                let rest_bytes = rest.len();
                if self.read_at(segment, rest, offset + read as u64)? < rest_bytes {
                    return Err(spoilt());
                }
                Bytes::from(body)
            }
        };
        if record_header(segment.header.salt, lsn, &body) != *header {
            return Err(spoilt());
        }
        Ok(body)
    }

    fn read_at(&self, segment: &Segment, buffer: &mut [u8], offset: u64) -> Result<usize, LogError> {
        read_full(&*segment.file, buffer, offset).map_err(|source| LogError::Io {
            doing: "read",
            file: self.path(segment),
            source,
        })
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.files.path(&segment.name())
    }

    fn released(&self, lsn: Lsn) -> LogError {
        LogError::Released { lsn, oldest: self.shared.oldest() }
    }

    fn damaged(&self, segment: &Segment, lsn: Lsn, what: &'static str) -> LogError {
        LogError::Damaged { file: self.path(segment), offset: segment.offset(lsn.value()), lsn, what }
    }
}

/// Bytes read at once where records follow closely.
const WINDOW_BYTES: u64 = 64 << 10;
/// A record this close behind the last one read is worth reading what follows it, too.
const NEAR_BYTES: u64 = 4 << 10;

/// Reads records like [`Reader::read`], with one read of the file for many of them.
pub struct Window<'a> {
    reader: &'a Reader,
    bytes: Vec<u8>,
    /// The position of the first of the bytes.
    begin: u64,
    /// The position behind the record read last.
    next: u64,
}

impl Window<'_> {
    /// The record with this name, checked against its own checksum.
    pub fn read(&mut self, lsn: Lsn) -> Result<Bytes, LogError> {
        let is_near = lsn.value().checked_sub(self.next).is_some_and(|gap| gap < NEAR_BYTES);
        let found = match self.found(lsn) {
            None if is_near => {
                self.fill(lsn)?;
                self.found(lsn)
            }
            found => found,
        };
        // A long record, and one that was overwritten meanwhile, is for the reader to judge.
        let body = match found {
            Some(body) => body,
            None => self.reader.read(lsn)?,
        };
        self.next = lsn.value() + (RECORD_HEADER_BYTES + body.len()) as u64;
        Ok(body)
    }

    /// The record, if it is in the window and whole.
    fn found(&self, lsn: Lsn) -> Option<Bytes> {
        let at = usize::try_from(lsn.value().checked_sub(self.begin)?).ok()?;
        let (header, rest) = self.bytes.get(at..)?.split_at_checked(RECORD_HEADER_BYTES)?;
        let body = rest.get(..usize::try_from(u32_at(header, 0)).ok()?)?;
        let segment = self.reader.locate(lsn).ok()?;
        (record_header(segment.header.salt, lsn, body) == *header).then(|| Bytes::copy_from_slice(body))
    }

    fn fill(&mut self, lsn: Lsn) -> Result<(), LogError> {
        let segment = self.reader.locate(lsn)?;
        let end = segment.end().min(self.reader.end().value()).min(lsn.value() + WINDOW_BYTES);
        self.begin = lsn.value();
        self.bytes.resize(usize::try_from(end - lsn.value()).unwrap_or_default(), 0);
        let read = self.reader.read_at(&segment, &mut self.bytes, segment.offset(lsn.value()))?;
        self.bytes.truncate(read);
        Ok(())
    }
}
