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

/// Bytes of a keyspace held in memory before they are written as a table.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Bytes of fjall's own journals, which a start after a crash has to read: the least it accepts.
const JOURNAL_BYTES_MAX: u64 = 64 << 20;
const CACHE_BYTES: u64 = 16 << 20;
const WORKER_THREADS: usize = 2;

pub struct Database {
    path: PathBuf,
    /// `None` while it is being opened anew, or could not be.
    open: RwLock<Option<Open>>,
}

struct Open {
    database: fjall::Database,
    keyspaces: [fjall::Keyspace; Space::ALL.len()],
}

impl Database {
    /// Opens the database in `directory`, or makes it.
    ///
    /// A new one is made under another name: fjall cannot go on with one that a crash left half made. Whoever makes one
    /// sees to it that nobody else does.
    pub fn open(directory: &Path) -> Result<Self, ColdError> {
        if !directory.exists() {
            Self::make(directory)?;
        }
        let open = Open::at(directory)?;
        Ok(Self { path: directory.to_owned(), open: RwLock::new(Some(open)) })
    }

    fn make(directory: &Path) -> Result<(), ColdError> {
        let unfinished = directory.with_extension("new");
        let io = |doing| move |error: std::io::Error| failed(directory, doing, fjall::Error::Io(error));
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(io("remove the unfinished beginning of"))?;
        }
        drop(Open::at(&unfinished)?);
        std::fs::rename(&unfinished, directory).map_err(io("name"))?;
        let parent = directory.parent().unwrap_or(Path::new("."));
        std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(io("name"))
    }

    fn with<R>(&self, doing: &'static str, run: impl FnOnce(&Open) -> fjall::Result<R>) -> Result<R, ColdError> {
        let open = self.open.read();
        match &*open {
            Some(open) => run(open).map_err(|error| failed(&self.path, doing, error)),
            None => Err(ColdError::Failed {
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
        let mut open = self.open.write();
        // The old one has to let go of its lock first.
        *open = None;
        *open = Some(Open::at(&self.path)?);
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
