//! Looking at a database without touching it: what it would change at a start is copied aside, the rest is linked.
use super::{ColdError, Database};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// Where tables are, which are never changed once they are written.
const TABLES: &str = "tables";

/// A database over copies; they go with it.
pub struct View {
    // In the order in which they must go.
    pub database: Database,
    _copies: TempDir,
}

impl View {
    /// Of the database in `directory`. Needs room for its journals, 64 MiB and more, in the directory for temporary files.
    pub fn of(directory: &Path) -> Result<Self, ColdError> {
        let copied = tempfile::tempdir().and_then(|copies| copy(directory, copies.path()).map(|()| copies));
        let copies = copied.map_err(|error| ColdError::Failed {
            path: directory.to_owned(),
            doing: "copy",
            why: error.to_string(),
        })?;
        let database = Database::open(copies.path())?;
        Ok(Self { database, _copies: copies })
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else if from.file_name().is_some_and(|name| name == TABLES) {
            symlink(fs::canonicalize(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
