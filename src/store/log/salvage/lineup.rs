//! The files of a damaged log, and what to do next so that they are one unbroken chain of segments again.
use std::cmp::Reverse;
use std::path::Path;
use std::sync::Arc;

use super::super::chain::Survey;
use super::super::file::{File, Files, read_full};
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::segment::{
    FORMAT_VERSION, HeaderFault, SEGMENT_BYTES_MIN, SEGMENT_HEADER_BYTES, Segment, SegmentHeader, name_of,
};
use super::super::walk::{Step, Walk};
use super::super::{LogError, Lsn, Options};
use super::cure::Cure;

/// A file with the name of a segment.
struct Candidate {
    /// What its name says.
    base: u64,
    file_bytes: u64,
    header: Result<SegmentHeader, HeaderFault>,
    /// What a bad header says of the salt, if the file is long enough.
    salt_said: Option<u64>,
    file: Arc<dyn File>,
}

/// All of them, in the order of their names.
pub(super) struct Lineup {
    candidates: Vec<Candidate>,
    /// The salt of this log.
    pub salt: u64,
}

impl Lineup {
    pub fn of(files: &dyn Files, survey: &Survey, options: &Options) -> Result<Self, LogError> {
        let mut candidates = Vec::new();
        for found in &survey.segments {
            let name = name_of(found.base);
            let file = files.open_to_read(&name).map_err(LogError::io("open", files.path(&name)))?;
            let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
            let read = read_full(&*file, &mut bytes, 0).map_err(LogError::io("read", files.path(&name)))?;
            let header = SegmentHeader::decode(&bytes[..read]);
            if let Err(HeaderFault::Newer { version }) = header {
                return Err(LogError::NewerFormat { file: files.path(&name), version, known: FORMAT_VERSION });
            }
            let salt_said = (read == bytes.len()).then(|| SegmentHeader::salt_in(&bytes));
            candidates.push(Candidate { base: found.base, file_bytes: found.bytes, header, salt_said, file });
        }
        let salt = salt_of(files, &candidates, options)?;
        Ok(Self { candidates, salt })
    }

    /// What to do next; `None` when the files are one chain that holds `from`, as far as files go.
    pub fn next_cure(&self, files: &dyn Files, options: &Options, from: Option<Lsn>) -> Result<Option<Cure>, LogError> {
        if let Some(cure) = self.misplaced().or_else(|| self.unreadable(options)) {
            return Ok(Some(cure));
        }
        for candidate in &self.candidates {
            if let Some(cure) = candidate.resized(files)? {
                return Ok(Some(cure));
            }
        }
        if let Some(cure) = self.overlapping() {
            return Ok(Some(cure));
        }
        match self.stranded(files)? {
            None => Ok(self.missing(options, from)),
            stranded => Ok(stranded),
        }
    }

    /// Files of another log, and files under a wrong name.
    fn misplaced(&self) -> Option<Cure> {
        let readable = self.candidates.iter().filter_map(|found| Some((found, found.header.ok()?)));
        for (candidate, header) in readable {
            let name = name_of(candidate.base);
            if header.salt != self.salt {
                return Some(Cure::Retire { name, what: "a segment of another log was taken out" });
            }
            if header.base == candidate.base {
                continue;
            }
            let to = name_of(header.base);
            let Some(occupant) = self.candidates.iter().find(|other| other.base == header.base) else {
                return Some(Cure::Rename { from: name, to });
            };
            return Some(match occupant.header {
                Ok(other) if other.base == occupant.base => {
                    Cure::Retire { name, what: "a second copy of a segment, under a wrong name, was taken out" }
                }
                // It makes room, under any name that is free, and gets its own in a later round.
                Ok(_) => Cure::Rename { from: to, to: self.vacant_name(occupant.base) },
                Err(_) => Cure::Retire { name: to, what: "an unreadable file in the place of a segment was taken out" },
            });
        }
        None
    }

    fn vacant_name(&self, near: u64) -> String {
        let mut bases = (0..=u64::MAX).map(|step| near.wrapping_add(step));
        let base = bases.find(|base| self.candidates.iter().all(|found| found.base != *base));
        name_of(base.expect("a directory does not hold all names"))
    }

    /// Files whose header has to be made anew, from the name, the size and the neighbours.
    fn unreadable(&self, options: &Options) -> Option<Cure> {
        let number = self.candidates.iter().position(|found| found.header.is_err())?;
        let Candidate { base, file_bytes, .. } = self.candidates[number];
        let room = self.candidates.get(number + 1).map_or(u64::MAX - base, |next| next.base - base);
        let sizes = self.candidates.iter().filter_map(|found| found.header.ok()).filter(|header| !header.is_void);
        let known: Vec<u64> = sizes
            .map(|header| header.bytes)
            .chain([options.segment_bytes, room])
            .filter(|size| *size <= room)
            .collect();
        let size = if known.contains(&file_bytes) { file_bytes } else { known.iter().copied().min().unwrap_or(0) };
        if size < SEGMENT_BYTES_MIN || file_bytes < SEGMENT_BYTES_MIN {
            return Some(Cure::Retire { name: name_of(base), what: "an unreadable file was taken out" });
        }
        Some(Cure::Header { header: SegmentHeader { base, bytes: size, salt: self.salt, is_void: false } })
    }

    fn overlapping(&self) -> Option<Cure> {
        let headers: Vec<_> = self.candidates.iter().filter_map(|found| found.header.ok()).collect();
        let pair = headers.windows(2).find(|pair| pair[1].base < pair[0].end())?;
        let retired = if pair[0].is_void { pair[0] } else { pair[1] };
        let what = "a file that overlaps the one before it was taken out";
        Some(Cure::Retire { name: retired.name(), what })
    }

    /// An empty segment behind a hole that the log had not come to: it was a spare, and so was what is missing.
    fn stranded(&self, files: &dyn Files) -> Result<Option<Cure>, LogError> {
        let readable: Vec<_> = self.candidates.iter().filter_map(|found| Some((found, found.header.ok()?))).collect();
        let hole = readable.windows(2).position(|pair| pair[0].1.end() < pair[1].1.base);
        let Some((behind, before)) = hole.and_then(|hole| Some((readable.get(hole + 1..)?, readable[hole]))) else {
            return Ok(None);
        };
        if before.0.read_as(files, before.1)?.is_left {
            return Ok(None);
        }
        for (candidate, header) in behind {
            if header.is_void || candidate.read_as(files, *header)?.frames > 0 {
                return Ok(None);
            }
        }
        let what = "an empty segment, cut off from the log by a missing one, was taken out";
        Ok(behind.last().map(|(_, header)| Cure::Retire { name: header.name(), what }))
    }

    fn missing(&self, options: &Options, from: Option<Lsn>) -> Option<Cure> {
        let void = |base, end: u64| {
            let header = SegmentHeader { base, bytes: end - base, salt: self.salt, is_void: true };
            Some(Cure::Void { header })
        };
        let headers: Vec<_> = self.candidates.iter().filter_map(|found| found.header.ok()).collect();
        let Some(first) = headers.first() else {
            // Room for a void in front: that the whole log is gone is told like any other loss.
            let base = sector_end(from) + SEGMENT_HEADER_BYTES;
            let header = SegmentHeader { base, bytes: options.segment_bytes, salt: self.salt, is_void: false };
            return from.is_some_and(|from| from > Lsn::START).then_some(Cure::Fresh { header });
        };
        if let Some(pair) = headers.windows(2).find(|pair| pair[0].end() < pair[1].base) {
            return void(pair[0].end(), pair[1].base);
        }
        let from = from?.value() / SEGMENT_HEADER_BYTES * SEGMENT_HEADER_BYTES;
        if from < first.base { void(from, first.base) } else { None }
    }
}

impl Candidate {
    /// What to do about a file whose size is not its header's.
    fn resized(&self, files: &dyn Files) -> Result<Option<Cure>, LogError> {
        let Ok(header) = self.header else { return Ok(None) };
        let expected = header.file_bytes();
        if self.file_bytes == expected {
            return Ok(None);
        }
        let what = "a file of an impossible size was taken out";
        if header.is_void || self.file_bytes < SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES {
            return Ok(Some(Cure::Retire { name: header.name(), what }));
        }
        if self.file_bytes > expected {
            return Ok(Some(Cure::Shorten { header }));
        }
        let kept = SegmentHeader { bytes: self.file_bytes, ..header };
        let mut gap = None;
        if !self.read_as(files, kept)?.ends_clearly {
            // The place of the seal is the last where a gap can begin.
            gap = Some((header.base + self.file_bytes).next_multiple_of(8).min(header.end() - FRAME_HEADER_BYTES));
        }
        Ok(Some(Cure::Extend { header, file_bytes: self.file_bytes, gap }))
    }

    /// What the file holds if this is its header.
    fn read_as(&self, files: &dyn Files, header: SegmentHeader) -> Result<Content, LogError> {
        let chain = [Arc::new(Segment { header, file: self.file.clone() })];
        let mut walk = Walk::new(files, &chain);
        let mut frames = 0;
        loop {
            match walk.step()? {
                Step::Frame { .. } | Step::Gap(_) => frames += 1,
                Step::Damage(_) => {}
                Step::Missing { .. } => return Ok(Content { frames: frames + 1, ends_clearly: true, is_left: true }),
                Step::End(end) => {
                    // The place of the next header is made empty with each frame: nothing was ever begun there.
                    let is_within = end.position + FRAME_HEADER_BYTES <= header.end();
                    let ends_clearly = end.unfinished.is_none() && is_within;
                    return Ok(Content { frames, ends_clearly, is_left: false });
                }
            }
        }
    }
}

/// What a single file holds.
struct Content {
    frames: u64,
    /// Whether it is certain that nothing was behind the last frame.
    ends_clearly: bool,
    /// Whether the log went on in the next segment.
    is_left: bool,
}

/// The salt of most segments; where that is a draw, of those with most frames. If no header is left, what a bad one says
/// of it, if there are frames to prove it.
fn salt_of(files: &dyn Files, candidates: &[Candidate], options: &Options) -> Result<u64, LogError> {
    if candidates.is_empty() {
        return Ok(options.salt);
    }
    let mut salts: Vec<u64> =
        candidates.iter().filter_map(|found| found.header.ok()).map(|header| header.salt).collect();
    salts.sort_unstable();
    salts.dedup();
    if let [salt] = salts[..] {
        return Ok(salt);
    }
    let are_said = salts.is_empty();
    if are_said {
        salts = candidates.iter().filter_map(|found| found.salt_said).collect();
    }
    let mut best = None;
    for salt in salts {
        let (mut segments, mut frames) = (0, 0);
        for candidate in candidates {
            let header = match candidate.header {
                Ok(header) if header.salt != salt || header.is_void => continue,
                Ok(header) => SegmentHeader { bytes: header.bytes.min(candidate.file_bytes), ..header },
                Err(_) if !are_said || candidate.file_bytes < SEGMENT_BYTES_MIN => continue,
                Err(_) => SegmentHeader { base: candidate.base, bytes: candidate.file_bytes, salt, is_void: false },
            };
            segments += 1;
            frames += candidate.read_as(files, header)?.frames;
        }
        if frames > 0 || !are_said {
            best = best.max(Some((segments, frames, Reverse(salt))));
        }
    }
    let file = files.path("");
    let file = if file == Path::new("") { Path::new(".").to_owned() } else { file };
    let what = "no segment header is readable, and nothing else tells this log from another; restore it from a copy";
    best.map(|(_, _, Reverse(salt))| salt).ok_or(LogError::Unrepairable { file, what })
}

/// The first beginning of a segment that is not before a position.
pub(super) fn sector_end(from: Option<Lsn>) -> u64 {
    from.map_or(0, |from| from.value().next_multiple_of(SEGMENT_HEADER_BYTES))
}
