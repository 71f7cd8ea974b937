//! The seam between the log and the disk: one directory of files, as little of it as the log needs.
use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// One file of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}

/// A directory. Names are plain file names within it.
pub trait Files: Send + Sync {
    /// Where a file is, for people to read.
    fn path(&self, name: &str) -> PathBuf;

    /// The files of the directory, in any order.
    fn list(&self) -> io::Result<Vec<Entry>>;

    /// Makes a file that must not exist yet, for its owner's eyes only.
    fn create(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file to read and write.
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Opens a file to read only.
    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn File>>;

    /// Renames in one step; durable after [`Files::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Renames in one step over a file that exists; durable after [`Files::sync_dir`].
    fn replace(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes a directory within this one, durably, or takes an empty one; `None` when the name is taken.
    fn make_dir(&self, name: &str) -> io::Result<Option<Box<dyn Files>>>;

    /// Removes a file; durable after [`Files::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// Takes the directory for this process until the answer is dropped; `None` when another one has it.
    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Reads up to `buffer.len()` bytes; fewer are allowed, none means the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes up to `bytes.len()` bytes; fewer are allowed.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the written bytes, and what is needed to find them, durable (fdatasync).
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads until the buffer is full or the file ends, and says how much was read.
pub(super) fn read_full(file: &dyn File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let mut total = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                total += read;
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Writes all the bytes: one call of the system, unless it is cut short.
pub(super) fn write_full(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                bytes = &bytes[written..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
