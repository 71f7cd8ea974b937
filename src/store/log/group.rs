//! A group of records on its way into one frame, in a buffer that is used again and again.
use super::Lsn;
use super::frame::{ALIGN, FRAME_HEADER_BYTES, FrameHeader, Kind, RECORD_HEADER_BYTES, crc_at, record_header};

const HEADER: usize = FRAME_HEADER_BYTES as usize;

/// Records to be appended together. The buffer has the layout of the frame, so appending copies nothing.
#[derive(Debug)]
pub struct Group {
    /// Room for the frame header, then the records, each behind room for its own header.
    bytes: Vec<u8>,
    /// Where each record's header begins in `bytes`.
    starts: Vec<usize>,
    /// Where the last record ends; what is behind it belongs to an earlier [`Group::finish`].
    records_end: usize,
}

impl Default for Group {
    fn default() -> Self {
        Self::new()
    }
}

impl Group {
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER], starts: Vec::new(), records_end: HEADER }
    }

    /// Adds a record and returns its number in this group, for [`Appended::lsn`].
    pub fn push(&mut self, record: &[u8]) -> usize {
        self.push_with(|bytes| bytes.extend_from_slice(record))
    }

    /// Adds a record that `encode` writes behind what the buffer holds; it may only append.
    pub fn push_with(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.bytes.truncate(self.records_end);
        self.starts.push(self.records_end);
        let body = self.records_end + RECORD_HEADER_BYTES;
        self.bytes.resize(body, 0);
        encode(&mut self.bytes);
        assert!(self.bytes.len() >= body, "an encoder of records must only append");
        self.records_end = self.bytes.len();
        self.starts.len() - 1
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// The size of the frame these records make.
    pub fn frame_bytes(&self) -> u64 {
        self.records_end.next_multiple_of(ALIGN) as u64
    }

    /// Forgets the records and keeps the buffer.
    pub fn clear(&mut self) {
        self.starts.clear();
        self.records_end = HEADER;
        self.bytes.truncate(HEADER);
    }

    /// The frame for one position, with the empty place of its successor's header behind it.
    pub(super) fn finish(&mut self, kind: Kind, lsn: Lsn, salt: u64) -> &[u8] {
        let frame_end = self.records_end.next_multiple_of(ALIGN);
        self.bytes.truncate(self.records_end);
        self.bytes.resize(frame_end + HEADER, 0);
        let ends = self.starts.iter().skip(1).copied().chain([self.records_end]);
        for (&start, end) in self.starts.iter().zip(ends) {
            let body = start + RECORD_HEADER_BYTES;
            let header = record_header(salt, Lsn::new(lsn.value() + start as u64), &self.bytes[body..end]);
            self.bytes[start..body].copy_from_slice(&header);
        }
        let header = FrameHeader {
            lsn,
            kind,
            body_bytes: u32::try_from(frame_end - HEADER).expect("the size of a frame is bounded"),
            records: u32::try_from(self.starts.len()).expect("a record takes bytes, and those are bounded"),
            body_crc: crc_at(salt, lsn, &self.bytes[HEADER..frame_end]),
        };
        self.bytes[..HEADER].copy_from_slice(&header.encode(salt));
        &self.bytes
    }

    pub(super) fn appended(&self, frame: Lsn, end: Lsn) -> Appended<'_> {
        Appended { frame, starts: &self.starts, end }
    }
}

/// Where the records of a group went; all of them are durable.
#[derive(Debug, Clone, Copy)]
pub struct Appended<'a> {
    frame: Lsn,
    starts: &'a [usize],
    end: Lsn,
}

impl Appended<'_> {
    /// The name of the record with this number in the group.
    pub fn lsn(&self, number: usize) -> Option<Lsn> {
        self.starts.get(number).map(|&start| Lsn::new(self.frame.value() + start as u64))
    }

    /// The names of all records, in order.
    pub fn lsns(&self) -> impl Iterator<Item = Lsn> + '_ {
        self.starts.iter().map(|&start| Lsn::new(self.frame.value() + start as u64))
    }

    /// Where the group begins: replay from here includes it.
    pub fn first(&self) -> Lsn {
        self.frame
    }

    /// Where the log ends behind the group: replay from here leaves it out.
    pub fn end(&self) -> Lsn {
        self.end
    }
}
