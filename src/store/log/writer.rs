//! The one writer of the log: appends groups, moves from segment to segment, releases old ones.
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file::{Entry, Files, write_full};
use super::frame::{FRAME_HEADER_BYTES, Kind};
use super::reader::Shared;
use super::segment::{Segment, SegmentHeader, free_name_of, temporary_name_of};
use super::{Appended, Group, LogError, Lsn, Options, Reader, SpareDone, SpareWork};

/// The delivery log, open for appending; see the module. One owner, which is the committer.
pub struct Log {
    files: Arc<dyn Files>,
    options: Options,
    salt: u64,
    shared: Arc<Shared>,
    current: Arc<Segment>,
    /// Where the next frame goes.
    position: u64,
    /// The last frame, if there is any.
    tail: Option<Kind>,
    /// Segments that are made, named and empty.
    spares: VecDeque<Arc<Segment>>,
    /// Released files, to become spares.
    free: Vec<Entry>,
    spare_in_work: bool,
    short_of_space: bool,
    poisoned: bool,
    temporary_number: u64,
    /// For frames without records.
    no_records: Group,
    _lock: Box<dyn Any + Send + Sync>,
}

/// What recovery found, to make a log of.
pub(super) struct Parts {
    pub files: Arc<dyn Files>,
    pub options: Options,
    pub shared: Arc<Shared>,
    pub current: Arc<Segment>,
    pub position: u64,
    pub tail: Option<Kind>,
    pub spares: VecDeque<Arc<Segment>>,
    pub free: Vec<Entry>,
    pub lock: Box<dyn Any + Send + Sync>,
}

impl Log {
    pub(super) fn of(parts: Parts) -> Self {
        Self {
            salt: parts.current.header.salt,
            files: parts.files,
            options: parts.options,
            shared: parts.shared,
            current: parts.current,
            position: parts.position,
            tail: parts.tail,
            spares: parts.spares,
            free: parts.free,
            spare_in_work: false,
            short_of_space: false,
            poisoned: false,
            temporary_number: 1,
            no_records: Group::new(),
            _lock: parts.lock,
        }
    }

    /// Covers what recovery found at the end with a mark: an unfinished write for good, a last group against doubt.
    /// Without room for it the log is sound all the same.
    pub(super) fn settle(&mut self, unfinished: bool) -> Result<(), LogError> {
        let covered = if unfinished { self.write_empty(Kind::Mark) } else { self.guard() };
        match covered {
            Err(LogError::NoSpace { .. }) => Ok(()),
            covered => covered,
        }
    }

    /// Makes the group durable: one write, one fdatasync (and a few more where a segment is full). When this returns
    /// an answer, all records survive; an error says that none was acknowledged, and the next [`open`](super::open)
    /// finds all or none of them.
    ///
    /// [`LogError::GroupTooLarge`] and [`LogError::NoSpace`], and [`LogError::Io`] while a segment is made, leave the
    /// log as it was and the group can be appended later. After any other error the log takes nothing more.
    /// A group without records is durable at once.
    pub fn append<'group>(&mut self, group: &'group mut Group) -> Result<Appended<'group>, LogError> {
        self.check_health()?;
        let bytes = group.frame_bytes();
        if bytes > self.options.frame_bytes_max {
            return Err(LogError::GroupTooLarge { bytes, bytes_max: self.options.frame_bytes_max });
        }
        let frame = if group.is_empty() { self.end() } else { self.write_group(group)? };
        Ok(group.appended(frame, self.end()))
    }

    /// Ends the doubt whether the last group was ever synced: writes a mark behind it, unless there is one. For a log
    /// that rests; costs as much as a small group.
    pub fn guard(&mut self) -> Result<(), LogError> {
        self.check_health()?;
        match self.tail {
            Some(Kind::Group | Kind::Gap) => self.write_empty(Kind::Mark),
            Some(Kind::Mark | Kind::Seal | Kind::Close) | None => Ok(()),
        }
    }

    /// Leaves the sign of an orderly end, so that the next start can trust every byte before it.
    pub fn close(mut self) -> Result<(), LogError> {
        self.check_health()?;
        match self.tail {
            Some(Kind::Close) => Ok(()),
            Some(Kind::Group | Kind::Mark | Kind::Seal | Kind::Gap) | None => self.write_empty(Kind::Close),
        }
    }

    /// The end of what is durable. Replay from here yields only what is appended from now on.
    pub fn end(&self) -> Lsn {
        Lsn::new(self.position)
    }

    /// The beginning of what is kept.
    pub fn oldest(&self) -> Lsn {
        self.shared.oldest()
    }

    /// Room taken by segments, spares and released files.
    pub fn bytes_on_disk(&self) -> u64 {
        let live: u64 = self.shared.segments.read().values().map(|segment| segment.header.file_bytes()).sum();
        let spare: u64 = self.spares.iter().map(|segment| segment.header.bytes).sum();
        let free: u64 = self.free.iter().map(|entry| entry.bytes).sum();
        live + spare + free
    }

    /// A view for reading records by name on other threads.
    pub fn reader(&self) -> Reader {
        Reader::new(self.shared.clone(), self.files.clone())
    }

    /// Gives up the segments that lie wholly before `lsn`, oldest first; the current one stays. Whatever replaces them
    /// must be durable before. An error here poisons the log.
    pub fn release_before(&mut self, lsn: Lsn) -> Result<(), LogError> {
        self.check_health()?;
        loop {
            let oldest = self.shared.segments.read().values().next().cloned();
            let oldest = oldest.expect("the current segment is never released");
            if oldest.end() > lsn.value() || oldest.header.base == self.current.header.base {
                return Ok(());
            }
            // Readers learn of it before the file goes.
            self.shared.segments.write().remove(&oldest.header.base);
            let name = oldest.name();
            let released = self.release_file(&oldest.header);
            self.poison_if_failed(released, "release", &name)?;
        }
    }

    fn release_file(&mut self, header: &SegmentHeader) -> io::Result<()> {
        let is_reusable = !header.is_void && header.bytes == self.options.segment_bytes;
        if self.free.len() < self.options.spare_segments && is_reusable {
            let entry = Entry { name: free_name_of(header.base), bytes: header.bytes };
            self.files.rename(&header.name(), &entry.name)?;
            self.free.push(entry);
        } else {
            self.files.remove(&header.name())?;
        }
        // IMPORTANT: one sync for each, so that a crash leaves no gap, and no header is overwritten under a live name.
        self.files.sync_dir()
    }

    /// Whether a spare should be made, and nobody is at it.
    pub fn needs_spare(&self) -> bool {
        !self.poisoned && !self.spare_in_work && self.spares.len() < self.options.spare_segments
    }

    /// Whether the last try to make a spare failed for lack of room: time to refuse new messages. What fits in the
    /// current segment can still be appended.
    pub fn is_short_of_space(&self) -> bool {
        self.short_of_space
    }

    /// The work of making a spare, for another thread, if one is needed.
    pub fn spare_work(&mut self) -> Option<SpareWork> {
        if !self.needs_spare() {
            return None;
        }
        self.spare_in_work = true;
        Some(self.plan_spare())
    }

    /// Takes what became of [`Log::spare_work`]: names the file as the next segment. An error of the work is handed on
    /// and does no harm; a failure to name the file poisons the log.
    pub fn take_spare(&mut self, done: SpareDone) -> Result<(), LogError> {
        self.spare_in_work = false;
        self.check_health()?;
        self.place_spare(done)
    }

    /// Makes a spare here and now.
    pub fn make_spare(&mut self) -> Result<(), LogError> {
        self.check_health()?;
        let done = self.plan_spare().run_alone();
        self.place_spare(done)
    }

    fn plan_spare(&mut self) -> SpareWork {
        let header = SegmentHeader {
            base: self.next_base(),
            bytes: self.options.segment_bytes,
            salt: self.salt,
            is_void: false,
        };
        let released = self.free.pop();
        let recycled = released.is_some();
        self.temporary_number += 1;
        let name = released.map_or_else(|| temporary_name_of(self.temporary_number), |entry| entry.name);
        SpareWork { files: self.files.clone(), name, recycled, header }
    }

    fn place_spare(&mut self, done: SpareDone) -> Result<(), LogError> {
        let SpareDone { name, header, outcome } = done;
        let file = match outcome {
            Ok(file) => file,
            Err(error) => {
                self.short_of_space = matches!(error, LogError::NoSpace { .. });
                return Err(error);
            }
        };
        self.short_of_space = false;
        if header.base != self.next_base() {
            // An append could not wait and made this segment itself.
            self.free.push(Entry { name, bytes: header.bytes });
            return Ok(());
        }
        let placed = self.files.rename(&name, &header.name()).and_then(|()| self.files.sync_dir());
        self.poison_if_failed(placed, "name", &header.name())?;
        self.spares.push_back(Arc::new(Segment { header, file }));
        Ok(())
    }

    /// Where the segment behind all others begins.
    fn next_base(&self) -> u64 {
        self.spares.back().unwrap_or(&self.current).end()
    }

    fn write_group(&mut self, group: &mut Group) -> Result<Lsn, LogError> {
        self.make_room(group.frame_bytes())?;
        let frame = self.end();
        self.write_frame(Kind::Group, group)?;
        Ok(frame)
    }

    fn write_empty(&mut self, kind: Kind) -> Result<(), LogError> {
        self.make_room(FRAME_HEADER_BYTES)?;
        self.write_recordless(kind)
    }

    fn write_recordless(&mut self, kind: Kind) -> Result<(), LogError> {
        let mut group = std::mem::take(&mut self.no_records);
        let written = self.write_frame(kind, &mut group);
        self.no_records = group;
        written
    }

    /// Moves to a segment where a frame of this size fits.
    fn make_room(&mut self, frame_bytes: u64) -> Result<(), LogError> {
        while !self.current.fits(self.position, frame_bytes) {
            if self.spares.iter().all(|spare| spare.header.is_void) {
                self.make_spare()?;
            }
            // IMPORTANT: the seal is synced before the first frame of the next segment is begun.
            self.write_recordless(Kind::Seal)?;
            loop {
                let next = self.spares.pop_front().expect("made above, if there was none");
                self.shared.segments.write().insert(next.header.base, next.clone());
                self.position = next.first();
                self.current = next;
                if !self.current.header.is_void {
                    break;
                }
            }
            self.shared.end.store(self.position, Ordering::Release);
        }
        Ok(())
    }

    /// Writes and syncs one frame at the position; the caller made room.
    fn write_frame(&mut self, kind: Kind, group: &mut Group) -> Result<(), LogError> {
        let segment = self.current.clone();
        let frame_bytes = group.frame_bytes();
        let bytes = group.finish(kind, self.end(), self.salt);
        // Behind a seal there may be no room for the empty place of a header.
        let room = usize::try_from(segment.end() - self.position).map_or(bytes.len(), |room| room.min(bytes.len()));
        let written = write_full(&*segment.file, &bytes[..room], segment.offset(self.position));
        self.poison_if_failed(written, "write", &segment.name())?;
        self.poison_if_failed(segment.file.sync_data(), "sync", &segment.name())?;
        self.position += frame_bytes;
        self.tail = Some(kind);
        self.shared.end.store(self.position, Ordering::Release);
        Ok(())
    }

    fn check_health(&self) -> Result<(), LogError> {
        if self.poisoned { Err(LogError::Poisoned) } else { Ok(()) }
    }

    fn poison_if_failed<T>(&mut self, done: io::Result<T>, doing: &'static str, name: &str) -> Result<T, LogError> {
        done.map_err(|source| {
            self.poisoned = true;
            LogError::Io { doing, file: self.files.path(name), source }
        })
    }
}
