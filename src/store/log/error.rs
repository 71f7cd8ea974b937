//! Everything that can go wrong in the log, in words a person can act on.
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::Lsn;

/// Why the log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system refused an operation on a file.
    #[error("{}: cannot {doing}: {source}", file.display())]
    Io { doing: &'static str, file: PathBuf, source: io::Error },
    /// No room for a new segment. The log is whole and what fits in its current segment can still be appended.
    #[error("{}: no room for another log segment: {source}; free some disk space", file.display())]
    NoSpace { file: PathBuf, source: io::Error },
    /// An earlier write or sync failed, and what the disk holds is unknown until the log is opened again.
    #[error("the log stopped after a failed write or sync; restart to recover what the disk holds")]
    Poisoned,
    /// Another process has the directory.
    #[error("{}: in use by another process; stop that one or choose another data directory", file.display())]
    InUse { file: PathBuf },
    /// Bytes that had been synced are not what was written.
    #[error(
        "{}: damaged at offset {offset} (log position {lsn}): {what}; acknowledged messages may be affected, so nothing \
         was changed: restore the file from a copy, or run `{}`, which gives up only what is damaged",
        file.display(), RepairCommand::for_file(file)
    )]
    Damaged { file: PathBuf, offset: u64, lsn: Lsn, what: &'static str },
    /// A segment between others, or the one the log says it goes on in, is not there.
    #[error(
        "{}: missing, yet the log goes through it (position {lsn}); put the file back, or run `{}`, which goes on without it",
        file.display(), RepairCommand::for_file(file)
    )]
    MissingSegment { file: PathBuf, lsn: Lsn },
    /// The segment was written by a later version.
    #[error(
        "{}: log format {version}, but this version of vowmq reads up to format {known}; start the newer version",
        file.display()
    )]
    NewerFormat { file: PathBuf, version: u32, known: u32 },
    /// The checkpoint asks for a part of the log that is not there.
    #[error(
        "{}: the checkpoint is at log position {from}, but the log holds {oldest} to {end}; the log and the state beside \
         it are not of one time: restore both from the same copy, or run `{}`",
        dir.display(), RepairCommand::for_file(&dir.join("log"))
    )]
    NotContained { dir: PathBuf, from: Lsn, oldest: Lsn, end: Lsn },
    /// The group is over [`Options::frame_bytes_max`](super::Options). Nothing was written.
    #[error("a group of {bytes} bytes is over the limit of {bytes_max}")]
    GroupTooLarge { bytes: u64, bytes_max: u64 },
    /// A repair found no way to go on; a copy of what it changed is where its notes say.
    #[error("{}: cannot be repaired: {what}", file.display())]
    Unrepairable { file: PathBuf, what: &'static str },
    /// The options contradict each other.
    #[error("log options: {0}")]
    Options(&'static str),
    /// The caller could not take a replayed record.
    #[error("log position {lsn}: cannot replay the record: {source}")]
    Replay { lsn: Lsn, source: Box<dyn Error + Send + Sync> },
    /// The record was in a segment that has been released.
    #[error("log position {lsn} has been released; the log begins at {oldest}")]
    Released { lsn: Lsn, oldest: Lsn },
    /// Nothing durable is there yet.
    #[error("log position {lsn} is not written yet; the log ends at {end}")]
    Unwritten { lsn: Lsn, end: Lsn },
}

/// The command that repairs a directory, fit for a shell.
#[derive(Debug)]
pub struct RepairCommand<'a>(&'a Path);

impl<'a> RepairCommand<'a> {
    /// For the directory that a file is in.
    pub fn for_file(file: &'a Path) -> Self {
        Self(file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }
}

impl fmt::Display for RepairCommand<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dir = self.0.to_string_lossy();
        let is_plain = dir.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+:,@%".contains(&byte));
        let dir = if is_plain { dir } else { format!("'{}'", dir.replace('\'', "'\\''")).into() };
        write!(formatter, "vowmq data repair --data-dir {dir}")
    }
}

impl LogError {
    /// Whether [`salvage`](super::salvage()) is for this.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::MissingSegment { .. } | Self::NotContained { .. })
    }

    pub(super) fn io(doing: &'static str, file: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, file, source }
    }

    /// An error while a segment is made, where a full disk is an expected state of its own.
    pub(super) fn making(file: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { file, source },
            _ => Self::Io { doing: "prepare a log segment", file, source },
        }
    }
}
