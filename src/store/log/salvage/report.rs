//! What a repair says of itself, piece by piece.
use std::fmt;
use std::path::PathBuf;

use super::super::Lsn;
use super::super::file::Files;
use super::super::segment::{Segment, SegmentHeader};
use super::super::walk::Gap;

/// A part of the log that is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    pub file: PathBuf,
    pub offset: u64,
    /// The positions from the first, up to but not including the second.
    pub from: Lsn,
    pub to: Lsn,
    /// The records in it, where a readable header counted them.
    pub records: Option<u64>,
    pub what: &'static str,
}

impl GivenUp {
    pub fn bytes(&self) -> u64 {
        self.to.value() - self.from.value()
    }

    /// A gap that is in the log already.
    pub(in super::super) fn at(files: &dyn Files, segment: &Segment, gap: &Gap) -> Self {
        let what = if gap.is_void { "a missing segment" } else { "damage" };
        Self::in_segment(files, &segment.header, (gap.position, gap.end), gap.lost, what)
    }

    pub(super) fn in_segment(
        files: &dyn Files,
        header: &SegmentHeader,
        (from, to): (u64, u64),
        lost: Option<u32>,
        what: &'static str,
    ) -> Self {
        Self {
            file: files.path(&header.name()),
            offset: from - header.base,
            from: Lsn::new(from),
            to: Lsn::new(to),
            records: lost.map(u64::from),
            what,
        }
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, from, to, records, what } = self;
        let bytes = self.bytes();
        write!(formatter, "{}: {bytes} bytes from offset {offset} (log positions {from} to {to}), ", file.display())?;
        match records {
            Some(records) => write!(formatter, "{records} records: {what}"),
            None => write!(formatter, "an unknown number of records: {what}"),
        }
    }
}

/// Something put right without loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    pub file: PathBuf,
    pub what: &'static str,
}

impl fmt::Display for Mended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.file.display(), self.what)
    }
}
