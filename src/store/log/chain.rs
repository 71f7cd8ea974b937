//! The files of a log directory, sorted into what they are, and the segments checked to be one unbroken chain.
use std::sync::Arc;

use super::file::{Entry, Files};
use super::segment::{Named, Segment, name_of};
use super::{LogError, Lsn};

/// What a log directory holds, by the names alone.
pub(super) struct Survey {
    /// In the order of the log.
    pub segments: Vec<Found>,
    pub free: Vec<Entry>,
    pub temporary: Vec<Entry>,
}

/// A file with the name of a segment.
pub(super) struct Found {
    pub base: u64,
    pub bytes: u64,
}

impl Survey {
    pub fn of(files: &dyn Files) -> Result<Self, LogError> {
        let mut survey = Self { segments: Vec::new(), free: Vec::new(), temporary: Vec::new() };
        for entry in files.list().map_err(LogError::io("list", files.path("")))? {
            match Named::of(&entry.name) {
                Named::Segment { base } => survey.segments.push(Found { base, bytes: entry.bytes }),
                Named::Free => survey.free.push(entry),
                Named::Temporary => survey.temporary.push(entry),
                Named::Foreign => {}
            }
        }
        survey.segments.sort_by_key(|found| found.base);
        survey.free.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(survey)
    }
}

/// Opens all segments; each must begin where the one before it ends, and all must be of one log.
pub(super) fn open_chain(files: &dyn Files, found: &[Found]) -> Result<Vec<Arc<Segment>>, LogError> {
    let mut chain: Vec<Arc<Segment>> = Vec::with_capacity(found.len());
    for found in found {
        let name = name_of(found.base);
        let file = files.open(&name).map_err(LogError::io("open", files.path(&name)))?;
        let segment = Segment::read(files, file, found.base, found.bytes)?;
        if let Some(before) = chain.last() {
            check_neighbours(files, before, &segment)?;
        }
        chain.push(Arc::new(segment));
    }
    Ok(chain)
}

pub(super) fn check_neighbours(files: &dyn Files, before: &Segment, segment: &Segment) -> Result<(), LogError> {
    if segment.header.base > before.end() {
        return Err(missing(files, before.end()));
    }
    let damaged = |what| LogError::Damaged {
        file: files.path(&segment.name()),
        offset: 0,
        lsn: Lsn::new(segment.header.base),
        what,
    };
    if segment.header.base < before.end() {
        return Err(damaged("the segment overlaps the one before it; were files of two logs mixed?"));
    }
    if segment.header.salt != before.header.salt {
        return Err(damaged("the segment is of another log than the one before it; were files of two logs mixed?"));
    }
    Ok(())
}

pub(super) fn missing(files: &dyn Files, base: u64) -> LogError {
    LogError::MissingSegment { file: files.path(&name_of(base)), lsn: Lsn::new(base) }
}
