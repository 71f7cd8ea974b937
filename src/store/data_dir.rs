//! The data directory as a whole: whether what is in it can be trusted, and making it so again.
use super::cold::{Cold, ColdError, Database, View};
use super::log::{self, DiskFiles, LogError, Lsn, Report, Salvaged};
use super::{DurableStore, Options, StoreError, durable};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A broker at work moves the end of the log, and what looks spoilt at one look may have been under way. What is seen
/// as often as this is there.
const LOOKS_MAX: usize = 3;

/// What a look at a data directory found.
#[derive(Debug)]
pub struct Look {
    pub log: Report,
    /// Where replay begins, and what is kept beside the log; nobody can say beside a broker at work.
    pub state: Option<State>,
    pub is_in_use: bool,
    /// Everything for which a start would be refused.
    pub damage: Vec<StoreError>,
}

/// What was taken over from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub replay_from: Lsn,
    /// Entries of each kind: small things, queued deliveries, pieces of shared messages, retained messages, deadlines.
    pub entries: Vec<(&'static str, u64)>,
}

/// Reads every entry of the state beside the log, so that everything spoilt in it shows.
fn read_state(cold: &dyn Cold) -> Result<State, ColdError> {
    Ok(State { replay_from: durable::replay_from(cold)?, entries: super::cold::count(cold)? })
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
    let state_directory = DurableStore::cold_directory(directory);
    let state = match (is_in_use, state_directory.is_dir()) {
        (true, _) => None,
        (false, false) => Some(State { replay_from: Lsn::START, entries: Vec::new() }),
        (false, true) => match View::of(&state_directory).and_then(|view| read_state(&view.database)) {
            Ok(state) => Some(state),
            Err(error) => {
                damage.push(error.into());
                None
            }
        },
    };
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
    let from = state.as_ref().map(|state| state.replay_from);
    if let Some(from) = from.filter(|from| damage.is_empty() && !is_held(*from)) {
        let dir = directory.to_owned();
        damage.push(LogError::NotContained { dir, from, oldest: log.oldest, end: log.end }.into());
    }
    Ok(Look { log, state, is_in_use, damage })
}

/// What a repair did, in the log and beside it.
#[derive(Debug, Default)]
pub struct Repaired {
    pub log: Salvaged,
    /// Whether the state beside the log could not be read, so that a new one begins where the log does.
    pub has_new_state: bool,
    /// Whether with it everything is given up that had left the log before its present beginning.
    pub has_lost_state: bool,
    /// Where copies of what was changed are.
    pub quarantines: Vec<PathBuf>,
}

impl Repaired {
    pub fn was_sound(&self) -> bool {
        self.log.was_sound() && !self.has_new_state
    }

    /// Pieces given up.
    pub fn given_up(&self) -> u64 {
        self.log.given_up.len() as u64 + u64::from(self.has_lost_state)
    }
}

/// Makes the directory fit for a start, giving up as little as possible; see [`log::salvage`]. `options` are for a log of
/// which nothing is left.
pub fn repair(directory: &Path, options: &Options) -> Result<Repaired, StoreError> {
    let files = Arc::new(DiskFiles::existing(directory).map_err(StoreError::Io)?);
    if files.is_in_use().map_err(StoreError::Io)? {
        return Err(LogError::InUse { file: directory.to_owned() }.into());
    }
    let state_directory = DurableStore::cold_directory(directory);
    let mut repaired = Repaired::default();
    let mut from = Some(Lsn::START);
    if state_directory.is_dir() {
        let state = Database::open(&state_directory).and_then(|database| read_state(&database));
        from = match state {
            Ok(state) => Some(state.replay_from),
            Err(error) if error.is_damage() => None,
            Err(error) => return Err(error.into()),
        };
    }
    repaired.log = log::salvage(files.clone(), &durable::log_options(options), from)?;
    repaired.quarantines.extend(repaired.log.quarantine.clone());
    if from.is_none() {
        let quarantine =
            log::move_aside(files.clone(), "state", "could not be read; a new one begins where the log begins")?;
        repaired.quarantines.push(quarantine);
        let oldest = log::inspect(&*files)?.oldest;
        repaired.has_new_state = true;
        repaired.has_lost_state = oldest > Lsn::START;
        durable::begin_at(&Database::open(&state_directory)?, oldest)?;
    }
    Ok(repaired)
}
