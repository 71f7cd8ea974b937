//! The real directory and its files.
use std::any::Any;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{Entry, File, Files};

const LOCK: &str = "LOCK";

/// A directory of the file system, made with mode 0700 where it is missing; its files with mode 0600.
#[derive(Debug)]
pub struct DiskFiles {
    dir: PathBuf,
    /// Held open: names have to be synced also while the process may open nothing more.
    handle: fs::File,
}

impl DiskFiles {
    /// Names the directory and makes it, durably, if it is missing.
    pub fn create(dir: &Path) -> io::Result<Self> {
        create_dir(dir)?;
        Self::existing(dir)
    }

    /// Whether a process has taken the directory.
    pub fn is_in_use(&self) -> io::Result<bool> {
        let file = match fs::File::open(self.dir.join(LOCK)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// Names a directory that exists, and changes nothing.
    pub fn existing(dir: &Path) -> io::Result<Self> {
        fs::read_dir(dir)?;
        Ok(Self { dir: dir.to_path_buf(), handle: fs::File::open(dir)? })
    }
}

impl Files for DiskFiles {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // A name that is not UTF-8 is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let file =
            fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.dir.join(name))?;
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::OpenOptions::new().read(true).write(true).open(self.dir.join(name))?))
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::open(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn make_dir(&self, name: &str) -> io::Result<Option<Box<dyn Files>>> {
        let dir = self.dir.join(name);
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !dir.is_dir() || fs::read_dir(&dir)?.next().is_some() {
                    return Ok(None);
                }
            }
            made => made?,
        }
        self.sync_dir()?;
        Ok(Some(Box::new(Self::existing(&dir)?)))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let file =
            fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.dir.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }
}

/// Makes a directory and its missing parents, each with its name synced in the parent.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_dir(parent)?;
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        made => made?,
    }
    fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_synced_without_opening_the_directory_again() {
        let around = tempfile::tempdir().unwrap();
        let (here, there) = (around.path().join("here"), around.path().join("there"));
        let files = DiskFiles::create(&here).unwrap();
        fs::rename(&here, &there).unwrap();
        files.sync_dir().unwrap();
    }
}
