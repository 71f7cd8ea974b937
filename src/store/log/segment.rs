//! One file of the log: its name, its header and the part of the log it holds.
use std::sync::Arc;

use super::file::{File, Files, read_full};
use super::frame::{FRAME_HEADER_BYTES, u32_at, u64_at};
use super::{LogError, Lsn};

/// The header has a sector of its own, which is never written again while the segment lives.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 512;
/// A segment holds its header, a seal, and something between them.
pub(super) const SEGMENT_BYTES_MIN: u64 = SEGMENT_HEADER_BYTES * 2;
/// The latest format this program reads. A void makes a segment of format 2, so that a program which would not step over
/// it refuses the log; all others are of format 1.
pub(super) const FORMAT_VERSION: u32 = 2;

const HEADER: usize = SEGMENT_HEADER_BYTES as usize;
const MAGIC: [u8; 8] = *b"VOWMQLOG";
const CRC_AT: usize = HEADER - 4;

/// What the header of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub base: u64,
    pub bytes: u64,
    pub salt: u64,
    /// Whether it only stands for a part of the log that a repair gave up: the file is this header and no more.
    pub is_void: bool,
}

/// Why bytes are not the header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Short { bytes: usize },
    NoHeader,
    Checksum,
    Newer { version: u32 },
    Size,
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..8].copy_from_slice(&MAGIC);
        let version: u32 = if self.is_void { 2 } else { 1 };
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.is_void).to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in the first bytes of a file. Whether it belongs to this file is another question.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let Some(bytes) = bytes.get(..HEADER) else { return Err(HeaderFault::Short { bytes: bytes.len() }) };
        if bytes[0..8] != MAGIC {
            return Err(HeaderFault::NoHeader);
        }
        // Every format keeps the place of the checksum and of the version, so that each can tell a later one.
        if u32_at(bytes, CRC_AT) != crc32c::crc32c(&bytes[..CRC_AT]) {
            return Err(HeaderFault::Checksum);
        }
        let version = u32_at(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Newer { version });
        }
        let is_void = version == 2 && u32_at(bytes, 12) == 1;
        let header = Self { base: u64_at(bytes, 16), bytes: u64_at(bytes, 24), salt: Self::salt_in(bytes), is_void };
        let least = if is_void { 1 } else { SEGMENT_BYTES_MIN };
        if header.bytes < least || header.base.checked_add(header.bytes).is_none() {
            return Err(HeaderFault::Size);
        }
        Ok(header)
    }

    /// What a header of at least 40 bytes says of the salt, whether it is whole or not.
    pub fn salt_in(bytes: &[u8]) -> u64 {
        u64_at(bytes, 32)
    }

    pub fn name(&self) -> String {
        name_of(self.base)
    }

    pub fn end(&self) -> u64 {
        self.base + self.bytes
    }

    /// The size of the file.
    pub fn file_bytes(&self) -> u64 {
        if self.is_void { SEGMENT_HEADER_BYTES } else { self.bytes }
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
        let header = SegmentHeader::decode(&bytes[..read]).map_err(|fault| match fault {
            HeaderFault::Short { bytes } => damaged(bytes as u64, "the file is too short for a segment header"),
            HeaderFault::NoHeader => damaged(0, "this is not the header of a log segment"),
            HeaderFault::Checksum => damaged(0, "the segment header does not match its checksum"),
            HeaderFault::Newer { version } => LogError::NewerFormat { file: path(), version, known: FORMAT_VERSION },
            HeaderFault::Size => damaged(24, "the segment header names an impossible size"),
        })?;
        if header.base != base {
            return Err(damaged(16, "the segment belongs at another position; was the file renamed?"));
        }
        if header.file_bytes() != file_bytes {
            return Err(damaged(24, "the file has not the size its header says; was it cut short?"));
        }
        Ok(Self { header, file })
    }

    /// Where its first frame is: for a void at its end, as there is none.
    pub fn first(&self) -> u64 {
        if self.header.is_void { self.end() } else { self.header.base + SEGMENT_HEADER_BYTES }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_void_is_of_the_second_format() {
        for (is_void, version, file_bytes) in [(false, 1, 4096), (true, 2, 512)] {
            let header = SegmentHeader { base: 8192, bytes: 4096, salt: 5, is_void };
            let bytes = header.encode();
            assert_eq!(u32_at(&bytes, 8), version);
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            assert_eq!(header.file_bytes(), file_bytes);
            for at in 0..HEADER {
                let mut spoilt = bytes;
                spoilt[at] ^= 2;
                assert!(SegmentHeader::decode(&spoilt).is_err(), "byte {at}");
            }
        }
    }
}
