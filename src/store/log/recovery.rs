//! Opening the log: what is there is checked, replayed and made durable before anything is built on it.
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;

use super::chain::{Survey, missing, open_chain};
use super::file::{Files, read_full, write_full};
use super::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
use super::reader::Shared;
use super::segment::{Segment, SegmentHeader, temporary_name_of};
use super::spare::SpareWork;
use super::walk::{End, Step, Walk};
use super::writer::Parts;
use super::{Log, LogError, Lsn, Options};

/// What [`open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Groups and records that were replayed.
    pub groups: u64,
    pub records: u64,
    /// Parts that an earlier repair gave up, and that are stepped over.
    pub gaps: u64,
    /// Whether the log was closed in order and nothing was begun since.
    pub closed: bool,
    /// What was found behind the last whole frame and dropped.
    pub discarded: Option<Discarded>,
}

/// Bytes behind the last whole frame: a write that a crash cut short, which nobody was promised anything about.
///
/// Damage to the very last group looks the same if no mark was behind it (see the module), so people should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    pub file: PathBuf,
    pub offset: u64,
    pub lsn: Lsn,
    /// The size of the frame, where its header could still be read.
    pub bytes: Option<u64>,
}

impl Discarded {
    /// What a start discards where a walk ended, if anything.
    pub(super) fn at(files: &dyn Files, segment: &Segment, end: &End) -> Option<Self> {
        end.unfinished.as_ref().map(|unfinished| Self {
            file: files.path(&segment.name()),
            offset: segment.offset(end.position),
            lsn: Lsn::new(end.position),
            bytes: unfinished.bytes,
        })
    }
}

impl fmt::Display for Discarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset, lsn, bytes } = self;
        write!(formatter, "{}: ", file.display())?;
        match bytes {
            Some(bytes) => write!(formatter, "the last {bytes} bytes")?,
            None => write!(formatter, "the last bytes")?,
        }
        write!(formatter, ", from offset {offset} (log position {lsn}), were discarded as an unfinished write")
    }
}

/// Opens the log, or makes it, and replays every record from `from` on, in order: [`Lsn::START`], or the end of a group
/// as a checkpoint remembers it, which must still be held.
///
/// Every segment is checked, also those before `from`. What cannot be trusted refuses the start and changes nothing on
/// disk; records replayed until then must be forgotten. When this returns a log, all that was replayed is durable.
pub fn open<E: Into<Box<dyn Error + Send + Sync>>>(
    files: Arc<dyn Files>,
    options: Options,
    from: Lsn,
    mut on_record: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
) -> Result<(Log, Recovery), LogError> {
    options.check()?;
    let lock = files.lock().map_err(LogError::io("lock", files.path("")))?;
    let lock = lock.ok_or_else(|| LogError::InUse { file: files.path("") })?;
    let survey = Survey::of(&*files)?;
    let mut chain = open_chain(&*files, &survey.segments)?;
    let oldest = chain.first().map_or(0, |segment| segment.header.base);
    let not_contained =
        |end| LogError::NotContained { dir: files.path(""), from, oldest: Lsn::new(oldest), end: Lsn::new(end) };
    if from.value() < oldest || (chain.is_empty() && from != Lsn::START) {
        return Err(not_contained(oldest));
    }
    let replayed = if chain.is_empty() {
        remove_temporaries(&*files, &survey)?;
        chain.push(Arc::new(first_segment(&files, &options)?));
        // There is nothing in it to look for.
        Replayed::nothing(&chain[0])
    } else {
        replay(&*files, &chain, from, &mut on_record)?
    };
    let end = &replayed.end;
    if from.value() > end.position {
        return Err(not_contained(end.position));
    }
    // Everything is proved; from here on the disk is changed.
    if let Some(last) = &replayed.last {
        rewrite(&*files, &chain[last.segment], &last.header)?;
    }
    remove_temporaries(&*files, &survey)?;
    let free = keep_free(&*files, &options, survey)?;
    files.sync_dir().map_err(LogError::io("sync", files.path("")))?;

    let current = chain[end.segment].clone();
    let discarded = Discarded::at(&*files, &current, end);
    let tail = replayed.last.as_ref().map(|last| last.header.kind);
    let recovery = Recovery {
        groups: replayed.groups,
        records: replayed.records,
        gaps: replayed.gaps,
        closed: tail == Some(Kind::Close) && discarded.is_none(),
        discarded,
    };
    let spares: VecDeque<_> = chain.split_off(end.segment + 1).into();
    let segments: BTreeMap<_, _> = chain.into_iter().map(|segment| (segment.header.base, segment)).collect();
    let shared = Arc::new(Shared { segments: RwLock::new(segments), end: AtomicU64::new(end.position) });
    let position = end.position;
    let mut log = Log::of(Parts { files, options, shared, current, position, tail, spares, free, lock });
    log.settle(recovery.discarded.is_some())?;
    Ok((log, recovery))
}

/// How a replay went.
struct Replayed {
    groups: u64,
    records: u64,
    gaps: u64,
    last: Option<Last>,
    end: End,
}

impl Replayed {
    fn nothing(first: &Segment) -> Self {
        let end = End { segment: 0, position: first.first(), unfinished: None };
        Self { groups: 0, records: 0, gaps: 0, last: None, end }
    }
}

/// The last whole frame.
struct Last {
    header: FrameHeader,
    segment: usize,
}

fn replay<E: Into<Box<dyn Error + Send + Sync>>>(
    files: &dyn Files,
    chain: &[Arc<Segment>],
    from: Lsn,
    on_record: &mut impl FnMut(Lsn, &[u8]) -> Result<(), E>,
) -> Result<Replayed, LogError> {
    let mut walk = Walk::new(files, chain);
    let (mut groups, mut records, mut gaps, mut last) = (0, 0, 0, None);
    loop {
        let segment = walk.segment();
        match walk.step()? {
            Step::Frame { header, body } => {
                last = Some(Last { header, segment });
                let before = records;
                for record in header.records(body) {
                    let (lsn, record) = record.map_err(|_| miscounted(files, &chain[segment], &header))?;
                    if lsn >= from {
                        on_record(lsn, record).map_err(|error| LogError::Replay { lsn, source: error.into() })?;
                        records += 1;
                    }
                }
                groups += u64::from(records > before);
            }
            Step::Gap(gap) => {
                gaps += 1;
                last = (!gap.is_void).then(|| Last { header: gap.header(), segment });
            }
            Step::Damage(damage) => return Err(damage.error),
            Step::Missing { base } => return Err(missing(files, base)),
            Step::End(end) => return Ok(Replayed { groups, records, gaps, last, end }),
        }
    }
}

pub(super) fn miscounted(files: &dyn Files, segment: &Segment, header: &FrameHeader) -> LogError {
    LogError::Damaged {
        file: files.path(&segment.name()),
        offset: segment.offset(header.lsn.value()),
        lsn: header.lsn,
        what: "the records of a frame do not add up",
    }
}

/// Writes the last frame again as it is, and syncs it. After a failed fsync the pages of a frame can be held as clean
/// that never reached the disk; written again, they must.
fn rewrite(files: &dyn Files, segment: &Segment, header: &FrameHeader) -> Result<(), LogError> {
    let path = || files.path(&segment.name());
    let offset = segment.offset(header.lsn.value());
    // Of a gap only the header counts.
    let length = if header.kind == Kind::Gap { FRAME_HEADER_BYTES } else { header.frame_bytes() };
    let mut bytes = vec![0; usize::try_from(length).expect("read into memory a moment ago")];
    let read = read_full(&*segment.file, &mut bytes, offset).map_err(LogError::io("read", path()))?;
    write_full(&*segment.file, &bytes[..read], offset).map_err(LogError::io("write", path()))?;
    segment.file.sync_data().map_err(LogError::io("sync", path()))
}

fn first_segment(files: &Arc<dyn Files>, options: &Options) -> Result<Segment, LogError> {
    let header = SegmentHeader { base: 0, bytes: options.segment_bytes, salt: options.salt, is_void: false };
    let name = temporary_name_of(0);
    let done = SpareWork { files: files.clone(), name: name.clone(), recycled: false, header }.run_alone();
    let file = done.outcome?;
    // The directory is synced before the log is handed out.
    let named = files.rename(&name, &header.name());
    named.map_err(LogError::io("name", files.path(&header.name())))?;
    Ok(Segment { header, file })
}

pub(super) fn remove_temporaries(files: &dyn Files, survey: &Survey) -> Result<(), LogError> {
    for entry in &survey.temporary {
        remove(files, &entry.name)?;
    }
    Ok(())
}

/// Keeps the released files that can become spares, and removes the others.
fn keep_free(files: &dyn Files, options: &Options, survey: Survey) -> Result<Vec<super::Entry>, LogError> {
    let mut kept = Vec::new();
    for entry in survey.free {
        if entry.bytes == options.segment_bytes && kept.len() < options.spare_segments {
            kept.push(entry);
        } else {
            remove(files, &entry.name)?;
        }
    }
    Ok(kept)
}

fn remove(files: &dyn Files, name: &str) -> Result<(), LogError> {
    match files.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", files.path(name))(error)),
        _ => Ok(()),
    }
}
