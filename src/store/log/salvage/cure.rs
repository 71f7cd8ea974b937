//! What can be done about the files of a damaged log, one at a time.
use std::io;
use std::sync::Arc;

use super::super::Lsn;
use super::super::file::{File, Files, write_full};
use super::super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use super::super::segment::{SegmentHeader, temporary_name_of};
use super::super::spare::{SpareWork, write_zeros};
use super::quarantine::copy;
use super::{GivenUp, Mended};

/// One step towards an unbroken chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    /// The content belongs under another name.
    Rename { from: String, to: String },
    /// The file is no part of this log, or stands in the way of one that is.
    Retire { name: String, what: &'static str },
    /// The header is made anew.
    Header { header: SegmentHeader },
    /// The file was cut short; what was cut off is a gap from there on, unless nothing was in it.
    Extend { header: SegmentHeader, file_bytes: u64, gap: Option<u64> },
    /// The file is longer than the segment.
    Shorten { header: SegmentHeader },
    /// Nothing is where a segment should be.
    Void { header: SegmentHeader },
    /// An empty segment for the log to go on in.
    Fresh { header: SegmentHeader },
}

impl Cure {
    /// The file it is about.
    pub fn name(&self) -> String {
        match self {
            Self::Rename { from: name, .. } | Self::Retire { name, .. } => name.clone(),
            Self::Header { header }
            | Self::Extend { header, .. }
            | Self::Shorten { header }
            | Self::Void { header }
            | Self::Fresh { header } => header.name(),
        }
    }

    /// The file of which a copy is kept, if there is one yet.
    pub fn changed(&self) -> Vec<String> {
        match self {
            Self::Void { .. } | Self::Fresh { .. } => Vec::new(),
            Self::Rename { .. }
            | Self::Retire { .. }
            | Self::Header { .. }
            | Self::Extend { .. }
            | Self::Shorten { .. } => vec![self.name()],
        }
    }

    pub fn given_up(&self, files: &dyn Files) -> Option<GivenUp> {
        match self {
            Self::Extend { header, gap: Some(gap), .. } => {
                Some(GivenUp::in_segment(files, header, (*gap, header.end()), None, "the file was cut short"))
            }
            Self::Void { header } => {
                let place = (header.base, header.end());
                Some(GivenUp::in_segment(files, header, place, None, "the segment is missing"))
            }
            Self::Rename { .. }
            | Self::Retire { .. }
            | Self::Header { .. }
            | Self::Extend { gap: None, .. }
            | Self::Shorten { .. }
            | Self::Fresh { .. } => None,
        }
    }

    pub fn mended(&self, files: &dyn Files) -> Option<Mended> {
        let what = match self {
            Self::Rename { .. } => "the file got its own name back",
            Self::Retire { what, .. } => what,
            Self::Header { .. } => "the segment header was made anew",
            Self::Extend { gap: None, .. } => "the file got its size back; only unused room was cut off",
            Self::Shorten { .. } => "what did not belong to the end of the file was cut off",
            Self::Fresh { .. } => "a new segment for the log to go on in",
            Self::Extend { gap: Some(_), .. } | Self::Void { .. } => return None,
        };
        Some(Mended { file: files.path(&self.name()), what })
    }

    /// Does it; the names that change are synced by the caller.
    pub fn carry_out(&self, files: &Arc<dyn Files>) -> io::Result<()> {
        match self {
            Self::Rename { from, to } => files.rename(from, to),
            Self::Retire { name, .. } => files.remove(name),
            Self::Header { header } => {
                let file = files.open(&header.name())?;
                write_full(&*file, &header.encode(), 0)?;
                file.sync_data()
            }
            Self::Extend { header, file_bytes, gap } => {
                extend(&*files.open(&header.name())?, header, *file_bytes, *gap)
            }
            Self::Shorten { header } => shorten(&**files, header),
            Self::Void { header } => {
                let name = temporary_name_of(0);
                let file = files.create(&name)?;
                write_full(&*file, &header.encode(), 0)?;
                file.sync_data()?;
                files.rename(&name, &header.name())
            }
            Self::Fresh { header } => {
                let name = temporary_name_of(0);
                let work = SpareWork { files: files.clone(), name: name.clone(), recycled: false, header: *header };
                work.make()?;
                files.rename(&name, &header.name())
            }
        }
    }
}

/// Gives a file its full size again; `gap` is where what was cut off begins, if anything was.
fn extend(file: &dyn File, header: &SegmentHeader, file_bytes: u64, gap: Option<u64>) -> io::Result<()> {
    let mut from = file_bytes;
    if let Some(position) = gap {
        let gap = FrameHeader::gap(Lsn::new(position), Lsn::new(header.end()), None);
        write_full(file, &gap.encode(header.salt), position - header.base)?;
        // IMPORTANT: while the file is too short, a crash leaves damage to be seen. So the gap must be there first.
        file.sync_data()?;
        from = from.max(position - header.base + FRAME_HEADER_BYTES);
    }
    write_zeros(file, from, header.bytes)?;
    file.sync_data()
}

/// Puts the part of a file that belongs to the log in its place.
fn shorten(files: &dyn Files, header: &SegmentHeader) -> io::Result<()> {
    let name = temporary_name_of(0);
    copy(&*files.open_to_read(&header.name())?, &*files.create(&name)?, header.bytes)?;
    files.replace(&name, &header.name())
}
