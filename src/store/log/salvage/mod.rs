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
mod cure;
mod frames;
mod lineup;
mod quarantine;
mod rebuild;
mod report;

use std::path::PathBuf;
use std::sync::Arc;

use self::cure::Cure;
use self::lineup::Lineup;
use self::quarantine::Quarantine;
pub use self::report::{GivenUp, Mended};
use super::chain::{Survey, open_chain};
use super::file::{Files, write_full};
use super::recovery::remove_temporaries;
use super::segment::{Segment, SegmentHeader};
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

/// Moves a directory beside the log into a quarantine, with a note; says where.
pub(in crate::store) fn move_aside(files: Arc<dyn Files>, name: &str, what: &'static str) -> Result<PathBuf, LogError> {
    let lock = files.lock().map_err(LogError::io("lock", files.path("")))?;
    let _lock = lock.ok_or_else(|| LogError::InUse { file: files.path("") })?;
    let mut quarantine = Quarantine::new(files.clone());
    quarantine.keep(&[], &[Mended { file: files.path(name), what }.to_string()])?;
    let place = quarantine.path().expect("made to keep the note");
    let moved = std::fs::rename(files.path(name), place.join(name)).and_then(|()| files.sync_dir());
    moved.map_err(LogError::io("move aside", files.path(name)))?;
    Ok(place)
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
        cure.carry_out(&self.files).map_err(LogError::making(path()))?;
        self.files.sync_dir().map_err(LogError::io("sync", self.files.path("")))?;
        self.done.given_up.extend(given_up);
        self.done.mended.extend(mended);
        Ok(())
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
        for (number, mend) in mends.iter().enumerate() {
            let segment = &chain[mend.segment];
            let offset = segment.offset(mend.header.lsn.value());
            let path = || self.files.path(&segment.name());
            let bytes = mend.header.encode(segment.header.salt);
            write_full(&*segment.file, &bytes, offset).map_err(LogError::io("write", path()))?;
            // One sync for each file: whichever of its headers reach the disk, each is right by itself.
            if mends.get(number + 1).is_none_or(|next| next.segment != mend.segment) {
                segment.file.sync_data().map_err(LogError::io("sync", path()))?;
            }
        }
        self.done.given_up.extend(given_up);
        self.done.mended.extend(mended);
        Ok(())
    }
}
