//! Repairing a log that [`open`](super::open) refuses: what is damaged is given up, everything else stays as it is,
//! under its own name.
//!
//! A damaged frame becomes a *gap*: a frame header that says how far to step. A missing segment becomes a *void*: a file
//! of one header that stands for its part of the log. So no position is ever used twice, and the names that records
//! have for each other stay true.
//!
//! The work is done in rounds. Each looks at the directory afresh, puts right the first sort of thing that is wrong, and
//! ends with everything synced; when a round finds nothing, the log opens. A crash at any moment leaves a directory that
//! the next repair looks at like any other. Before a file is changed, a copy of it is in the quarantine, synced, with a
//! note of what is about to be done.
mod frames;
mod lineup;
mod quarantine;
mod rebuild;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use self::lineup::{Cure, Lineup};
use self::quarantine::Quarantine;
use super::chain::{Survey, open_chain};
use super::file::{File, Files, write_full};
use super::frame::{FRAME_HEADER_BYTES, FrameHeader};
use super::recovery::remove_temporaries;
use super::segment::{Segment, SegmentHeader, temporary_name_of};
use super::spare::{SpareWork, write_zeros};
use super::walk::Gap;
use super::{LogError, Lsn, Options};

/// A log does not come this far: what names a later position is not to be believed.
const POSITION_MAX: Lsn = Lsn::new(1 << 60);

/// What a repair did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// What could not be kept, piece by piece.
    pub given_up: Vec<GivenUp>,
    /// What was put right without losing anything.
    pub mended: Vec<Mended>,
    /// Where the copies and the notes are.
    pub quarantine: Option<PathBuf>,
}

impl Salvaged {
    /// Whether there was nothing to repair.
    pub fn was_sound(&self) -> bool {
        self.given_up.is_empty() && self.mended.is_empty()
    }
}

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
    pub(super) fn at(files: &dyn Files, segment: &Segment, gap: &Gap) -> Self {
        let what = if gap.is_void { "a missing segment" } else { "damage" };
        Self::in_segment(files, &segment.header, (gap.position, gap.end), gap.lost, what)
    }

    fn in_segment(
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

/// Makes a damaged log fit for [`open`](super::open) with the same `from`, giving up as little as possible; without
/// one, any beginning and end of the log will do. Does nothing to a sound log. After an error the repair can be run
/// again.
pub fn salvage(files: Arc<dyn Files>, options: &Options, from: Option<Lsn>) -> Result<Salvaged, LogError> {
    options.check()?;
    if from.is_some_and(|from| from > POSITION_MAX) {
        let what = "the state beside the log names a position that no log can reach; restore both from the same copy";
        return Err(LogError::Unrepairable { file: files.path(""), what });
    }
    let lock = files.lock().map_err(LogError::io("lock", files.path("")))?;
    let _lock = lock.ok_or_else(|| LogError::InUse { file: files.path("") })?;
    let quarantine = Quarantine::new(files.clone());
    let mut repair = Repair { files, options, from, quarantine, done: Salvaged::default() };
    let survey = Survey::of(&*repair.files)?;
    let rounds_max = 16 + 4 * survey.segments.len();
    for _ in 0..rounds_max {
        if !repair.round()? {
            repair.done.quarantine = repair.quarantine.path();
            return Ok(repair.done);
        }
    }
    let file = repair.files.path("");
    Err(LogError::Unrepairable { file, what: "each repair shows more damage; is the disk failing?" })
}

/// Puts another content into a file beside the log, in one step, with a copy of the old one kept; says where.
pub(in crate::store) fn replace_beside(
    files: Arc<dyn Files>,
    name: &str,
    content: &[u8],
    what: &'static str,
) -> Result<PathBuf, LogError> {
    let lock = files.lock().map_err(LogError::io("lock", files.path("")))?;
    let _lock = lock.ok_or_else(|| LogError::InUse { file: files.path("") })?;
    remove_temporaries(&*files, &Survey::of(&*files)?)?;
    let mut quarantine = Quarantine::new(files.clone());
    quarantine.keep(&[name.to_owned()], &[Mended { file: files.path(name), what }.to_string()])?;
    let new = temporary_name_of(0);
    let put = || {
        let file = files.create(&new)?;
        write_full(&*file, content, 0)?;
        file.sync_data()?;
        files.replace(&new, name)?;
        files.sync_dir()
    };
    put().map_err(LogError::io("replace", files.path(name)))?;
    Ok(quarantine.path().expect("made to keep the old content"))
}

/// A repair under way.
struct Repair<'a> {
    files: Arc<dyn Files>,
    options: &'a Options,
    from: Option<Lsn>,
    quarantine: Quarantine,
    done: Salvaged,
}

impl Repair<'_> {
    /// Whether there was something to do.
    fn round(&mut self) -> Result<bool, LogError> {
        let survey = Survey::of(&*self.files)?;
        let lineup = Lineup::of(&*self.files, &survey, self.options)?;
        if let Some(cure) = lineup.next_cure(&*self.files, self.options, self.from)? {
            remove_temporaries(&*self.files, &survey)?;
            self.apply(&cure)?;
            return Ok(true);
        }
        let chain = open_chain(&*self.files, &survey.segments)?;
        if chain.is_empty() {
            return Ok(false);
        }
        let found = frames::look(&*self.files, &chain, self.from)?;
        if !found.mends.is_empty() {
            self.mend(&chain, &found.mends)?;
            return Ok(true);
        }
        let Some(base) = found.missing else { return Ok(false) };
        // What the missing segment held is unknown, so its positions are never used again: the next round leaves a void.
        let base = (base + self.options.segment_bytes).max(lineup::sector_end(self.from));
        let header = SegmentHeader { base, bytes: self.options.segment_bytes, salt: lineup.salt, is_void: false };
        remove_temporaries(&*self.files, &survey)?;
        self.apply(&Cure::Fresh { header })?;
        Ok(true)
    }

    /// Changes the set of files.
    fn apply(&mut self, cure: &Cure) -> Result<(), LogError> {
        let given_up = cure.given_up(&*self.files);
        let mended = cure.mended(&*self.files);
        let notes: Vec<_> = given_up
            .iter()
            .map(|piece| format!("given up: {piece}"))
            .chain(mended.iter().map(Mended::to_string))
            .collect();
        self.quarantine.keep(&cure.changed(), &notes)?;
        let path = || self.files.path(&cure.name());
        self.carry_out(cure).map_err(LogError::making(path()))?;
        self.files.sync_dir().map_err(LogError::io("sync", self.files.path("")))?;
        self.done.given_up.extend(given_up);
        self.done.mended.extend(mended);
        Ok(())
    }

    fn carry_out(&self, cure: &Cure) -> std::io::Result<()> {
        let files = &self.files;
        match cure {
            Cure::Rename { from, to } => files.rename(from, to),
            Cure::Retire { name, .. } => files.remove(name),
            Cure::Header { header } => {
                let file = files.open(&header.name())?;
                write_full(&*file, &header.encode(), 0)?;
                file.sync_data()
            }
            Cure::Extend { header, file_bytes, gap } => {
                extend(&*files.open(&header.name())?, header, *file_bytes, *gap)
            }
            Cure::Shorten { header } => shorten(&**files, header),
            Cure::Void { header } => {
                let name = temporary_name_of(0);
                let file = files.create(&name)?;
                write_full(&*file, &header.encode(), 0)?;
                file.sync_data()?;
                files.rename(&name, &header.name())
            }
            Cure::Fresh { header } => {
                let name = temporary_name_of(0);
                let work = SpareWork { files: files.clone(), name: name.clone(), recycled: false, header: *header };
                work.make()?;
                files.rename(&name, &header.name())
            }
        }
    }

    /// Puts frames right where they are.
    fn mend(&mut self, chain: &[Arc<Segment>], mends: &[frames::Mend]) -> Result<(), LogError> {
        let mut names: Vec<String> = mends.iter().map(|mend| chain[mend.segment].name()).collect();
        names.dedup();
        let (mut given_up, mut mended, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for mend in mends {
            let header = &chain[mend.segment].header;
            if mend.is_loss {
                let lost = mend.header.lost();
                let piece = GivenUp::in_segment(&*self.files, header, mend.positions(), lost, mend.what);
                notes.push(format!("given up: {piece}"));
                given_up.push(piece);
            } else {
                let what = Mended { file: self.files.path(&header.name()), what: mend.what };
                notes.push(what.to_string());
                mended.push(what);
            }
        }
        self.quarantine.keep(&names, &notes)?;
        for mend in mends {
            let segment = &chain[mend.segment];
            let offset = segment.offset(mend.header.lsn.value());
            let path = || self.files.path(&segment.name());
            let bytes = mend.header.encode(segment.header.salt);
            write_full(&*segment.file, &bytes, offset).map_err(LogError::io("write", path()))?;
            segment.file.sync_data().map_err(LogError::io("sync", path()))?;
        }
        self.done.given_up.extend(given_up);
        self.done.mended.extend(mended);
        Ok(())
    }
}

/// Gives a file its full size again; `gap` is where what was cut off begins, if anything was.
fn extend(file: &dyn File, header: &SegmentHeader, file_bytes: u64, gap: Option<u64>) -> std::io::Result<()> {
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
fn shorten(files: &dyn Files, header: &SegmentHeader) -> std::io::Result<()> {
    let name = temporary_name_of(0);
    quarantine::copy(&*files.open_to_read(&header.name())?, &*files.create(&name)?, header.bytes)?;
    files.replace(&name, &header.name())
}
