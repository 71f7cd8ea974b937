//! The bytes of frames and records (layout in the module above), and the positions that name them.
use std::fmt;

pub(super) const FRAME_HEADER_BYTES: u64 = 32;
pub(super) const RECORD_HEADER_BYTES: usize = 8;
/// Frames begin at multiples of this.
pub(super) const ALIGN: usize = 8;

/// What each frame begins with.
pub(super) const MAGIC: [u8; 4] = *b"VowF";

/// A position in the log, in bytes since its beginning: unique for ever, so it names the record found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(u64);

impl Lsn {
    /// The beginning of a new log: replay from here is replay of everything ever written.
    pub const START: Self = Self(0);

    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    pub const fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records.
    Group,
    /// Nothing but the proof that all before it was synced.
    Mark,
    /// The same, and the log goes on in the next segment.
    Seal,
    /// The same, left by an orderly end.
    Close,
    /// A place where damage was given up by a repair; what is behind the header, up to the next frame, is no body and
    /// counts for nothing. One that reaches to the end of the segment is its seal, too.
    Gap,
}

impl Kind {
    const fn code(self) -> u32 {
        match self {
            Self::Group => 1,
            Self::Mark => 2,
            Self::Seal => 3,
            Self::Close => 4,
            Self::Gap => 5,
        }
    }

    const fn of_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Group),
            2 => Some(Self::Mark),
            3 => Some(Self::Seal),
            4 => Some(Self::Close),
            5 => Some(Self::Gap),
            _ => None,
        }
    }
}

/// The header of a frame, at `lsn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub lsn: Lsn,
    pub kind: Kind,
    pub body_bytes: u32,
    pub records: u32,
    pub body_crc: u32,
}

impl FrameHeader {
    pub fn encode(&self, salt: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.lsn.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.records.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.kind.code().to_le_bytes());
        bytes[24..28].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc_at(salt, self.lsn, &bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, if there is one, whole, that was written for this very position of this log.
    pub fn decode(bytes: &[u8], salt: u64, at: Lsn) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        // The cheap comparisons first: a search asks this at every eighth byte.
        if bytes[0..4] != MAGIC || u64_at(bytes, 8) != at.0 || u32_at(bytes, 28) != crc_at(salt, at, &bytes[..28]) {
            return None;
        }
        Some(Self {
            lsn: at,
            kind: Kind::of_code(u32_at(bytes, 20))?,
            body_bytes: u32_at(bytes, 4),
            records: u32_at(bytes, 16),
            body_crc: u32_at(bytes, 24),
        })
    }

    /// The header of a gap from `lsn` to `end`, both within one segment and at least a header apart. `lost` is the
    /// number of records in it, where that is known.
    pub fn gap(lsn: Lsn, end: Lsn, lost: Option<u32>) -> Self {
        let span = end.0 - lsn.0 - FRAME_HEADER_BYTES;
        let body_bytes = u32::try_from(span).expect("a segment is below 4 GiB");
        Self { lsn, kind: Kind::Gap, body_bytes, records: lost.unwrap_or(u32::MAX), body_crc: 0 }
    }

    /// How many records a gap took, where that is known.
    pub fn lost(&self) -> Option<u32> {
        (self.records != u32::MAX).then_some(self.records)
    }

    /// Header and body.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES + u64::from(self.body_bytes)
    }

    pub fn matches(&self, body: &[u8], salt: u64) -> bool {
        crc_at(salt, self.lsn, body) == self.body_crc
    }

    /// The records of the body, in order; an `Err` where they do not add up to the body.
    pub fn records<'a>(&self, body: &'a [u8]) -> Records<'a> {
        Records { rest: body, at: self.lsn.0 + FRAME_HEADER_BYTES, left: self.records }
    }
}

/// See [`FrameHeader::records`].
pub(super) struct Records<'a> {
    rest: &'a [u8],
    at: u64,
    left: u32,
}

/// The body of a frame does not hold the records its header counts.
#[derive(Debug)]
pub(super) struct Miscounted;

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Lsn, &'a [u8]), Miscounted>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let padding_only = self.rest.len() < ALIGN;
            self.rest = &[];
            return (!padding_only).then_some(Err(Miscounted));
        }
        let Some((record, rest)) = split_record(self.rest) else {
            (self.left, self.rest) = (0, &[]);
            return Some(Err(Miscounted));
        };
        let lsn = Lsn(self.at);
        self.left -= 1;
        self.at += (self.rest.len() - rest.len()) as u64;
        self.rest = rest;
        Some(Ok((lsn, record)))
    }
}

fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(RECORD_HEADER_BYTES)?;
    rest.split_at_checked(usize::try_from(u32_at(header, 0)).ok()?)
}

/// The header of a record: its length, and a checksum of length and body, bound to its position.
pub(super) fn record_header(salt: u64, lsn: Lsn, body: &[u8]) -> [u8; RECORD_HEADER_BYTES] {
    let length = u32::try_from(body.len()).expect("a record is within a frame, whose size is bounded").to_le_bytes();
    let mut place_and_length = [0; 20];
    place_and_length[..16].copy_from_slice(&place(salt, lsn));
    place_and_length[16..].copy_from_slice(&length);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&place_and_length), body);
    let mut header = [0; RECORD_HEADER_BYTES];
    header[..4].copy_from_slice(&length);
    header[4..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The checksum of bytes that belong at one position of one log.
pub(super) fn crc_at(salt: u64, lsn: Lsn, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&place(salt, lsn)), bytes)
}

fn place(salt: u64, lsn: Lsn) -> [u8; 16] {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&salt.to_le_bytes());
    place[8..].copy_from_slice(&lsn.0.to_le_bytes());
    place
}

/// The number at a place the caller knows to be within the bytes.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The number at a place the caller knows to be within the bytes.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader { lsn: Lsn(4096), kind: Kind::Group, body_bytes: 24, records: 2, body_crc: 7 }
    }

    #[test]
    fn header_is_only_a_header_at_its_own_place_in_its_own_log() {
        let bytes = header().encode(99);
        assert_eq!(FrameHeader::decode(&bytes, 99, Lsn(4096)), Some(header()));
        assert_eq!(FrameHeader::decode(&bytes, 99, Lsn(4104)), None);
        assert_eq!(FrameHeader::decode(&bytes, 98, Lsn(4096)), None);
        for at in 0..32 {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(FrameHeader::decode(&damaged, 99, Lsn(4096)), None, "byte {at}");
        }
    }

    #[test]
    fn a_gap_says_how_far_it_reaches_and_what_it_took() {
        for lost in [None, Some(0), Some(7)] {
            let gap = FrameHeader::gap(Lsn(4096), Lsn(8192), lost);
            let read = FrameHeader::decode(&gap.encode(1), 1, Lsn(4096)).unwrap();
            assert_eq!((read.kind, read.frame_bytes(), read.lost()), (Kind::Gap, 4096, lost));
        }
    }

    #[test]
    fn records_that_do_not_add_up_are_an_error() {
        let mut body = Vec::new();
        for record in [&b"one"[..], b""] {
            body.extend_from_slice(&record_header(1, Lsn(0), record));
            body.extend_from_slice(record);
        }
        body.resize(24, 0);
        let read = |records, body| FrameHeader { records, ..header() }.records(body).collect::<Result<Vec<_>, _>>();
        assert_eq!(read(2, &body).unwrap(), [(Lsn(4128), &b"one"[..]), (Lsn(4139), b"")]);
        assert!(read(1, &body).is_err());
        assert!(read(3, &body).is_err());
        assert!(read(2, &body[..16]).is_err());
        assert!(read(0, &body).is_err());
    }
}
