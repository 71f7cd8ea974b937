//! The start: the cold state is read, the log is replayed on top of it, and sessions are as they were.
use super::encoding::{self, UnknownForm};
use super::index::{Index, Kept};
use super::line::Line;
use super::shelf::Shared;
use super::spares::Spares;
use super::{DurableStore, Options, log_options, state};
use crate::store::StoreError;
use crate::store::cold::{Changes, Cold, ColdError, Database, Space};
use crate::store::image::SessionImage;
use crate::store::log::{self, Discarded, Files, Group, Log, LogError, Lsn, Recovery};
use crate::types::{Message, SessionKey, TopicName};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Entries of the cold state read at once.
const AT_ONCE: usize = 1024;

/// What was found on disk.
pub struct Restored {
    pub sessions: BTreeMap<SessionKey, SessionImage>,
    /// The highest session number ever given.
    pub last_session: u64,
    /// What was cut off as an unfinished write; nothing acknowledged was in it.
    pub discarded: Option<Discarded>,
    /// Records of the log that were replayed.
    pub records: u64,
}

impl DurableStore {
    /// Opens the store in `directory`, or makes it.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Restored), StoreError> {
        // Makes the directory with its name synced, before anything is put into it.
        let files = Arc::new(log::DiskFiles::create(directory).map_err(StoreError::Io)?);
        let cold = {
            // Two that begin at once must not open it both. The log takes the lock again for as long as it is open.
            let lock = files.lock().map_err(StoreError::Io)?;
            let _lock = lock.ok_or_else(|| LogError::InUse { file: directory.to_owned() })?;
            Arc::new(Database::open(&Self::cold_directory(directory))?)
        };
        let (mut store, restored) = Self::open_with(files, cold.clone(), options)?;
        cold.make_ahead();
        store.making = Some(Making(cold));
        Ok((store, restored))
    }

    /// The same on files and a cold state of the caller's.
    pub fn open_with(
        files: Arc<dyn Files>,
        cold: Arc<dyn Cold>,
        options: Options,
    ) -> Result<(Self, Restored), StoreError> {
        let mut sessions = BTreeMap::new();
        let (from, last_session) = read_state(&*cold, &mut sessions)?;
        let mut index = Index::starting_at(from, last_session, options.stride_bytes);
        for (session, image) in &sessions {
            index.restore_line(*session, Line::restored(&image.queue));
        }
        let (log, recovery) = replay(files, &options, from, &mut index)?;
        index.ended_group(log.end());
        let lines: BTreeMap<_, _> = index.lines().map(|(session, line)| (session, line.image())).collect();
        sessions.retain(|session, _| lines.contains_key(session));
        for (key, value) in index.overlay() {
            let value = value.as_ref().map(|value| bytes::Bytes::copy_from_slice(value));
            state::apply(&mut sessions, key, value.as_ref()).map_err(ColdError::from)?;
        }
        for (session, image) in &mut sessions {
            image.queue = lines.get(session).copied().unwrap_or_default();
            state::finish(image);
        }
        let restored = Restored {
            sessions,
            last_session: index.last_session(),
            discarded: recovery.discarded,
            records: recovery.records,
        };
        let shared = Shared { index: Mutex::new(index), work: Condvar::new(), log: log.reader(), cold };
        let spares = Spares::new(options.spares_apart);
        let (group, numbers) = (Group::new(), Vec::new());
        let store = Self { making: None, log, shared: Arc::new(shared), group, numbers, options, spares };
        Ok((store, restored))
    }

    /// Calls `each` with every retained message, in no order; it is to be called before anything is committed.
    pub fn each_retained(&self, mut each: impl FnMut(Arc<Message>)) -> Result<(), StoreError> {
        let hot: Vec<(TopicName, Kept)> =
            self.shared.index.lock().retained().iter().map(|(topic, kept)| (topic.clone(), *kept)).collect();
        let hot: std::collections::HashMap<_, _> = hot.into_iter().collect();
        for kept in hot.values() {
            if let Kept::At(lsn) = kept {
                each(Arc::new(self.shared.message(*lsn)?));
            }
        }
        let mut from = vec![0];
        loop {
            let found = self.shared.cold.range(Space::Retained, &from, &[u8::MAX; 2], AT_ONCE)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            from = [last.as_ref(), &[0]].concat();
            for (_, value) in found {
                let message = self.shared.cold_retained(value)?;
                if !hot.contains_key(&message.topic) {
                    each(message);
                }
            }
        }
    }
}

/// A cold state that may still be being made: the directory must not be let go of before.
pub(super) struct Making(Arc<Database>);

impl Drop for Making {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// Where replay begins.
pub fn replay_from(cold: &dyn Cold) -> Result<Lsn, ColdError> {
    let value = cold.get(Space::State, state::CHECKPOINT)?;
    Ok(value.map(|value| state::to_number(&value)).transpose()?.map_or(super::BEGINNING, Lsn::new))
}

/// Makes a new cold state whose log begins late.
pub fn begin_at(cold: &dyn Cold, oldest: Lsn) -> Result<(), ColdError> {
    let mut changes = Changes::default();
    changes.put(Space::State, state::FORMAT, state::number(state::FORMAT_VERSION));
    changes.put(Space::State, state::CHECKPOINT, state::number(oldest.value()));
    cold.commit(changes)
}

/// Reads what is small, and where the log goes on from there.
fn read_state(cold: &dyn Cold, sessions: &mut BTreeMap<SessionKey, SessionImage>) -> Result<(Lsn, u64), StoreError> {
    let number = |key: &[u8]| -> Result<Option<u64>, StoreError> {
        let value = cold.get(Space::State, key)?;
        Ok(value.map(|value| state::to_number(&value)).transpose().map_err(ColdError::from)?)
    };
    // The first checkpoint writes it.
    if number(state::FORMAT)?.is_some_and(|version| version > state::FORMAT_VERSION) {
        return Err(ColdError::NewerFormat { path: cold.path() }.into());
    }
    let checkpoint = replay_from(cold)?;
    let last_session = number(state::LAST_SESSION)?.unwrap_or(0);
    let mut from = state::session_prefix(SessionKey(1)).to_vec();
    loop {
        let found = cold.range(Space::State, &from, &[u8::MAX; 9], AT_ONCE)?;
        let Some((last, _)) = found.last() else { return Ok((checkpoint, last_session)) };
        from = [last.as_ref(), &[0]].concat();
        for (key, value) in found {
            state::apply(sessions, &key, Some(&value)).map_err(ColdError::from)?;
        }
    }
}

fn replay(
    files: Arc<dyn Files>,
    options: &Options,
    from: Lsn,
    index: &mut Index,
) -> Result<(Log, Recovery), StoreError> {
    let replayed = log::open(files, log_options(options), from, |lsn, bytes| {
        index.replay(encoding::decode(bytes)?, lsn);
        Ok::<(), UnknownForm>(())
    });
    Ok(replayed?)
}
