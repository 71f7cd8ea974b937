//! The data directory as a whole: whether what is in it can be trusted, and making it so again.
use super::StoreError;
use super::log::{self, DiskFiles, LogError, Lsn, Options, Report, Salvaged};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const CHECKPOINT: &str = "CHECKPOINT";
/// Where another engine keeps what the log began with, and from where on it counts.
const STATE: &str = "state";
/// A broker at work moves the end of the log, and what looks spoilt at one look may have been under way. What is seen
/// as often as this is there.
const LOOKS_MAX: usize = 3;

/// What a look at a data directory found.
#[derive(Debug)]
pub struct Look {
    pub log: Report,
    /// Where replay begins, if a file says so.
    pub from: Option<Lsn>,
    /// Whether a broker has the directory.
    pub is_in_use: bool,
    /// Everything for which a start would be refused.
    pub damage: Vec<StoreError>,
}

/// Where replay begins. `None` where another engine knows.
pub fn replay_from(directory: &Path) -> Result<Option<Lsn>, StoreError> {
    let file = directory.join(CHECKPOINT);
    let bytes = match std::fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((!directory.join(STATE).is_dir()).then_some(Lsn::START));
        }
        bytes => bytes.map_err(StoreError::Io)?,
    };
    let text = std::str::from_utf8(&bytes).map(str::trim_ascii_end).unwrap_or_default();
    let is_position = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    match u64::from_str_radix(text, 16) {
        Ok(position) if is_position => Ok(Some(Lsn::new(position))),
        _ => Err(StoreError::Checkpoint { file }),
    }
}

/// Looks at everything and changes nothing, also beside a broker at work.
pub fn look(directory: &Path) -> Result<Look, StoreError> {
    let files = DiskFiles::existing(directory).map_err(StoreError::Io)?;
    let mut seen = look_once(directory, &files)?;
    for _ in 1..LOOKS_MAX {
        if !seen.is_in_use || seen.damage.is_empty() {
            break;
        }
        let before: Vec<String> = seen.damage.iter().map(ToString::to_string).collect();
        seen = look_once(directory, &files)?;
        seen.damage.retain(|damage| before.contains(&damage.to_string()));
    }
    Ok(seen)
}

fn look_once(directory: &Path, files: &DiskFiles) -> Result<Look, StoreError> {
    let is_in_use = files.is_in_use().map_err(StoreError::Io)?;
    let mut damage = Vec::new();
    let from = replay_from(directory).unwrap_or_else(|error| {
        damage.push(error);
        None
    });
    let mut log = log::inspect(files);
    for _ in 1..LOOKS_MAX {
        // A segment may be released between the listing and the reading of it.
        let has_moved = matches!(&log, Err(LogError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound);
        if !(is_in_use && has_moved) {
            break;
        }
        log = log::inspect(files);
    }
    let mut log = log?;
    damage.extend(log.damage.drain(..).map(StoreError::from));
    let is_held = |from: Lsn| log.segments.is_empty() && from == Lsn::START || log.oldest <= from && from <= log.end;
    if let Some(from) = from.filter(|from| damage.is_empty() && !is_held(*from)) {
        let dir = directory.to_owned();
        damage.push(LogError::NotContained { dir, from, oldest: log.oldest, end: log.end }.into());
    }
    Ok(Look { log, from, is_in_use, damage })
}

/// What a repair did, in the log and beside it.
#[derive(Debug, Default)]
pub struct Repaired {
    pub log: Salvaged,
    /// Whether the checkpoint was spoilt and now names all that the log holds. Records that come again change nothing.
    pub has_new_checkpoint: bool,
    /// Where copies of what was changed are.
    pub quarantines: Vec<PathBuf>,
}

impl Repaired {
    pub fn was_sound(&self) -> bool {
        self.log.was_sound() && !self.has_new_checkpoint
    }
}

/// Makes the directory fit for a start, giving up as little as possible; see [`log::salvage`]. `salt` is for a log of
/// which nothing is left.
pub fn repair(directory: &Path, salt: u64) -> Result<Repaired, StoreError> {
    let files = Arc::new(DiskFiles::existing(directory).map_err(StoreError::Io)?);
    let (from, is_spoilt) = match replay_from(directory) {
        Ok(from) => (from, false),
        Err(StoreError::Checkpoint { .. }) => (None, true),
        Err(error) => return Err(error),
    };
    let log = log::salvage(files.clone(), &Options::new(salt), from)?;
    let mut quarantines: Vec<PathBuf> = log.quarantine.iter().cloned().collect();
    if is_spoilt {
        let oldest = log::inspect(&*files)?.oldest;
        let text = format!("{:016x}\n", oldest.value());
        quarantines.push(log::replace_beside(files, CHECKPOINT, text.as_bytes(), "made anew; nothing is lost")?);
    }
    Ok(Repaired { log, has_new_checkpoint: is_spoilt, quarantines })
}
