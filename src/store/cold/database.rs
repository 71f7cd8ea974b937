//! Cold state in fjall, a log-structured merge tree.
//!
//! Held to what was found out about it: every batch is synced, there is one writer, values stay under 4 KiB, keyspaces
//! are few, nothing scans from the beginning of a keyspace that churns, and after any failed write the database is
//! opened anew before it is written again.
use super::{Changes, Cold, ColdError, Entries, Space};
use bytes::Bytes;
use fjall::{KeyspaceCreateOptions, PersistMode};
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// Bytes of a keyspace held in memory before they are written as a table.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Bytes of fjall's own journals, which a start after a crash has to read: the least it accepts.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const CACHE_BYTES: u64 = 16 << 20;
const WORKER_THREADS: usize = 2;

pub struct Database {
    path: PathBuf,
    state: RwLock<State>,
}

enum State {
    /// There is none yet: the first commit makes it, unless it is begun before.
    Missing,
    /// It is being made, and nothing is in it.
    InWork(JoinHandle<Result<Open, ColdError>>),
    Open(Open),
    /// It could not be opened again after an error.
    Closed,
}

struct Open {
    database: fjall::Database,
    keyspaces: [fjall::Keyspace; Space::ALL.len()],
}

impl Database {
    /// Opens the database in `directory`. If there is none, it is empty until the first commit, which makes it.
    ///
    /// A new one is made under another name: fjall cannot go on with one that a crash left half made. Whoever commits to
    /// one sees to it that nobody else does.
    pub fn open(directory: &Path) -> Result<Self, ColdError> {
        let state = if directory.exists() { State::Open(Open::at(directory)?) } else { State::Missing };
        Ok(Self { path: directory.to_owned(), state: RwLock::new(state) })
    }

    /// Begins to make the database, if there is none, so that the first commit need not: it takes a hundred syncs. Until
    /// then it reads as empty. An error shows at the first commit.
    pub fn make_ahead(&self) {
        let mut state = self.state.write();
        if matches!(*state, State::Missing) {
            let path = self.path.clone();
            let maker = std::thread::Builder::new().name("state".to_owned()).spawn(move || Self::make(&path));
            // Without a thread the first commit makes it.
            if let Ok(maker) = maker {
                *state = State::InWork(maker);
            }
        }
    }

    /// Waits for what [`Self::make_ahead`] began.
    pub fn settle(&self) {
        if matches!(*self.state.read(), State::InWork(_)) {
            // What it says is said again by the next commit.
            let _ = self.ready();
        }
    }

    fn make(directory: &Path) -> Result<Open, ColdError> {
        let unfinished = directory.with_extension("new");
        let io = |doing| move |error: std::io::Error| failed(directory, doing, fjall::Error::Io(error));
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(io("remove the unfinished beginning of"))?;
        }
        drop(Open::at(&unfinished)?);
        std::fs::rename(&unfinished, directory).map_err(io("name"))?;
        let parent = directory.parent().unwrap_or(Path::new("."));
        std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("name"))?;
        Open::at(directory)
    }

    /// Sees to it that the database is made.
    fn ready(&self) -> Result<(), ColdError> {
        if matches!(*self.state.read(), State::Open(_) | State::Closed) {
            return Ok(());
        }
        let mut state = self.state.write();
        let made = match std::mem::replace(&mut *state, State::Missing) {
            State::Missing => Self::make(&self.path),
            State::InWork(maker) => maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            there @ (State::Open(_) | State::Closed) => {
                *state = there;
                return Ok(());
            }
        };
        // After an error it is missing still, and the next commit tries again.
        *state = State::Open(made?);
        Ok(())
    }

    fn with<R: Default>(
        &self,
        doing: &'static str,
        run: impl FnOnce(&Open) -> fjall::Result<R>,
    ) -> Result<R, ColdError> {
        match &*self.state.read() {
            State::Open(open) => run(open).map_err(|error| failed(&self.path, doing, error)),
            State::Missing | State::InWork(_) => Ok(R::default()),
            State::Closed => Err(ColdError::Failed {
                path: self.path.clone(),
                doing,
                why: "it could not be opened again after an earlier error".to_owned(),
            }),
        }
    }
}

impl Open {
    fn at(directory: &Path) -> Result<Self, ColdError> {
        let open = || -> fjall::Result<Self> {
            let database = fjall::Database::builder(directory)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES_MAX)
                .worker_threads(WORKER_THREADS)
                .open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let mut keyspaces = Vec::with_capacity(Space::ALL.len());
            for space in Space::ALL {
                keyspaces.push(database.keyspace(space.name(), options)?);
            }
            let keyspaces = keyspaces.try_into().unwrap_or_else(|_| unreachable!("one was made for each space"));
            Ok(Self { database, keyspaces })
        };
        open().map_err(|error| failed(directory, "open", error))
    }

    fn keyspace(&self, space: Space) -> &fjall::Keyspace {
        &self.keyspaces[space as usize]
    }
}

impl Cold for Database {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ColdError> {
        self.with("read", |open| Ok(open.keyspace(space).get(key)?.map(Bytes::from)))
    }

    fn range(&self, space: Space, from: &[u8], below: &[u8], at_most: usize) -> Result<Entries, ColdError> {
        if from >= below {
            return Ok(Vec::new());
        }
        self.with("read", |open| {
            let found = open.keyspace(space).range(from..below).take(at_most);
            found.map(|entry| entry.into_inner().map(|(key, value)| (Bytes::from(key), Bytes::from(value)))).collect()
        })
    }

    fn commit(&self, changes: Changes) -> Result<(), ColdError> {
        self.ready()?;
        self.with("write", |open| {
            let mut batch = open.database.batch().durability(Some(PersistMode::SyncData));
            for (space, key, value) in changes.into_items() {
                match value {
                    Some(value) => batch.insert(open.keyspace(space), key, value),
                    None => batch.remove(open.keyspace(space), key),
                }
            }
            batch.commit()
        })
    }

    fn reopen(&self) -> Result<(), ColdError> {
        let mut state = self.state.write();
        if let State::Open(_) | State::Closed = *state {
            // The old one has to let go of its lock first.
            *state = State::Closed;
            *state = State::Open(Open::at(&self.path)?);
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    fn bytes_on_disk(&self) -> u64 {
        self.with("measure", |open| open.database.disk_space()).unwrap_or(0)
    }
}

fn failed(path: &Path, doing: &'static str, error: fjall::Error) -> ColdError {
    let path = path.to_owned();
    match error {
        fjall::Error::Locked => ColdError::InUse { path },
        fjall::Error::InvalidVersion(Some(_)) => ColdError::NewerFormat { path },
        fjall::Error::Io(source) if is_full(&source) => ColdError::NoSpace { path, source },
        error => ColdError::Failed { path, doing, why: error.to_string() },
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(value: &'static str) -> Changes {
        let mut changes = Changes::default();
        changes.put(Space::State, "key", value);
        changes
    }

    #[test]
    fn a_new_database_is_empty_until_the_first_commit_whether_it_is_made_ahead_or_not() {
        for is_ahead in [false, true] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let path = directory.path().join("state");
            let database = Database::open(&path).expect("nothing has to be there");
            if is_ahead {
                database.make_ahead();
            }
            assert_eq!(database.get(Space::State, b"key").expect("it reads as empty"), None);
            assert_eq!(database.range(Space::State, b"", b"z", 9).expect("it reads as empty"), []);
            database.commit(change("value")).expect("it is made");
            drop(database);
            let database = Database::open(&path).expect("it is there");
            let value = database.get(Space::State, b"key").expect("it can be read");
            assert_eq!(value.as_deref(), Some(&b"value"[..]));
        }
    }

    #[test]
    fn what_cannot_be_made_is_told_by_the_commit_and_tried_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("not yet").join("state");
        std::fs::write(directory.path().join("not yet"), "a file").expect("a file can be written");
        let database = Database::open(&path).expect("nothing has to be there");
        database.make_ahead();
        database.settle();
        database.commit(change("value")).expect_err("a file is in the way");
        std::fs::remove_file(directory.path().join("not yet")).expect("a file can be removed");
        std::fs::create_dir(directory.path().join("not yet")).expect("a directory can be made");
        database.commit(change("value")).expect("nothing is in the way any more");
        assert!(database.get(Space::State, b"key").expect("it can be read").is_some());
    }
}
