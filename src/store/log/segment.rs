//! One file of the log: its name, its header and the part of the log it holds.
use std::sync::Arc;

use super::file::{File, Files, read_full};
use super::frame::{FRAME_HEADER_BYTES, u32_at, u64_at};
use super::{LogError, Lsn};

/// The header has a sector of its own, which is never written again while the segment lives.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 512;
/// A segment holds its header, a seal, and something between them.
pub(super) const SEGMENT_BYTES_MIN: u64 = SEGMENT_HEADER_BYTES * 2;
pub(super) const FORMAT_VERSION: u32 = 1;

const HEADER: usize = SEGMENT_HEADER_BYTES as usize;
const MAGIC: [u8; 8] = *b"VOWMQLOG";
const CRC_AT: usize = HEADER - 4;

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub base: u64,
    pub bytes: u64,
    pub salt: u64,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn name(&self) -> String {
        name_of(self.base)
    }

    pub fn end(&self) -> u64 {
        self.base + self.bytes
    }
}

/// A segment with its open file.
pub(super) struct Segment {
    pub header: SegmentHeader,
    pub file: Arc<dyn File>,
}

impl Segment {
    /// Reads and checks the header. A segment has its name only once it is whole, so any fault is damage.
    pub fn read(files: &dyn Files, file: Arc<dyn File>, base: u64, file_bytes: u64) -> Result<Self, LogError> {
        let path = || files.path(&name_of(base));
        let damaged = |offset, what| LogError::Damaged { file: path(), offset, lsn: Lsn::new(base), what };
        let mut bytes = [0; HEADER];
        let read = read_full(&*file, &mut bytes, 0).map_err(LogError::io("read", path()))?;
        if read < HEADER {
            return Err(damaged(read as u64, "the file is too short for a segment header"));
        }
        if bytes[0..8] != MAGIC {
            return Err(damaged(0, "this is not the header of a log segment"));
        }
        // Every format keeps the place of the checksum and of the version, so that each can tell a later one.
        if u32_at(&bytes, CRC_AT) != crc32c::crc32c(&bytes[..CRC_AT]) {
            return Err(damaged(0, "the segment header does not match its checksum"));
        }
        let version = u32_at(&bytes, 8);
        if version > FORMAT_VERSION {
            return Err(LogError::NewerFormat { file: path(), version, known: FORMAT_VERSION });
        }
        let header = SegmentHeader { base: u64_at(&bytes, 16), bytes: u64_at(&bytes, 24), salt: u64_at(&bytes, 32) };
        if header.base != base {
            return Err(damaged(16, "the segment belongs at another position; was the file renamed?"));
        }
        if header.bytes < SEGMENT_BYTES_MIN || header.base.checked_add(header.bytes).is_none() {
            return Err(damaged(24, "the segment header names an impossible size"));
        }
        if header.bytes != file_bytes {
            return Err(damaged(24, "the file has not the size its header says; was it cut short?"));
        }
        Ok(Self { header, file })
    }

    /// Where its first frame is.
    pub fn first(&self) -> u64 {
        self.header.base + SEGMENT_HEADER_BYTES
    }

    pub fn end(&self) -> u64 {
        self.header.end()
    }

    pub fn name(&self) -> String {
        self.header.name()
    }

    pub fn offset(&self, lsn: u64) -> u64 {
        lsn - self.header.base
    }

    /// Whether a frame of this size fits at this position, with room for the seal kept free.
    pub fn fits(&self, position: u64, frame_bytes: u64) -> bool {
        self.end() - position >= frame_bytes + FRAME_HEADER_BYTES
    }
}

pub(super) fn name_of(base: u64) -> String {
    format!("{base:016x}.log")
}

/// The name of a released file that waits to be used again.
pub(super) fn free_name_of(base: u64) -> String {
    format!("{base:016x}.free")
}

/// The name of a file that is being prepared; whatever has it at a start is thrown away.
pub(super) fn temporary_name_of(number: u64) -> String {
    format!("{number:016x}.tmp")
}

/// What a file of the directory is to the log, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Segment { base: u64 },
    Free,
    Temporary,
    Foreign,
}

impl Named {
    pub fn of(name: &str) -> Self {
        let Some((stem, suffix)) = name.split_once('.') else { return Self::Foreign };
        let Ok(number) = u64::from_str_radix(stem, 16) else { return Self::Foreign };
        if format!("{number:016x}") != stem {
            return Self::Foreign;
        }
        match suffix {
            "log" => Self::Segment { base: number },
            "free" => Self::Free,
            "tmp" => Self::Temporary,
            _ => Self::Foreign,
        }
    }
}
