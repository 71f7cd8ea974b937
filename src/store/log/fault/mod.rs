//! A test double: a directory in memory that fails like a real one, from a seed.
//!
//! It keeps two images. The *live* one is what the process sees; the *durable* one is what a power cut leaves. A write
//! changes the live image, and any page of it may reach the durable one at any time, in any order; a sync makes all of
//! them reach it. Renames and removals likewise wait for the sync of the directory. Not for use outside tests.
use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use self::image::{Change, Directory};
use super::file::{Entry, File, Files};

mod image;

/// A small seeded generator (splitmix64), so that a failing test can be replayed from its seed.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What goes wrong at an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A write does nothing and fails.
    WriteFails,
    /// A write does a part of its work and fails.
    WriteBreaks,
    /// A write does a part of its work and says so.
    WriteFallsShort,
    /// A sync of a file fails. Some pages reached the disk; the others never will, unless they are written again.
    SyncFails,
    /// A sync of the directory fails.
    DirSyncFails,
    /// The power goes in the middle of any operation that changes something; all fail until [`FaultFiles::cut_power`].
    PowerFails,
}

/// How often each kind of operation was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub writes: u64,
    pub syncs: u64,
    pub dir_syncs: u64,
    pub renames: u64,
}

/// The directory. Clones are the same directory; [`FaultFiles::fork`] makes another one.
#[derive(Clone)]
pub struct FaultFiles {
    directory: Arc<Mutex<Directory>>,
    /// Before the names of files: a directory within the directory, and a slash.
    prefix: String,
}

impl FaultFiles {
    /// An empty directory on a disk whose pages of this size reach it one by one.
    pub fn new(seed: u64, page_bytes: usize) -> Self {
        Self { directory: Arc::new(Mutex::new(Directory::new(seed, page_bytes))), prefix: String::new() }
    }

    /// A copy that goes its own way, unlocked.
    pub fn fork(&self) -> Self {
        let mut copy = self.directory.lock().clone();
        copy.locked = false;
        Self { directory: Arc::new(Mutex::new(copy)), prefix: self.prefix.clone() }
    }

    /// Lets `after` operations of the fault's sort pass and fails the next one.
    pub fn fail_after(&self, after: u64, fault: Fault) {
        self.directory.lock().faults.push((after, fault));
    }

    /// Forgets the faults to come.
    pub fn heal(&self) {
        self.directory.lock().faults.clear();
    }

    /// The size of the disk. Files that have grown keep their size.
    pub fn limit_bytes(&self, bytes_max: u64) {
        self.directory.lock().bytes_max = bytes_max;
    }

    /// The process ends, as by SIGKILL: open files and the lock are gone, the system and its caches live on.
    pub fn kill_process(&self) {
        let mut directory = self.directory.lock();
        directory.process += 1;
        directory.locked = false;
    }

    /// The power goes and comes back: of what was not synced, a random part is left.
    pub fn cut_power(&self) {
        self.kill_process();
        self.directory.lock().lose_unsynced();
    }

    pub fn has_power(&self) -> bool {
        self.directory.lock().powered
    }

    pub fn counts(&self) -> Counts {
        self.directory.lock().counts
    }

    /// The files of this directory, without those of directories in it.
    pub fn names(&self) -> Vec<String> {
        let directory = self.directory.lock();
        directory.live.keys().filter_map(|name| self.own(name)).map(str::to_owned).collect()
    }

    /// The directories made in this one.
    pub fn dirs(&self) -> Vec<String> {
        self.directory.lock().dirs.iter().filter_map(|name| self.own(name)).map(str::to_owned).collect()
    }

    fn own<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(&self.prefix).filter(|name| !name.contains('/'))
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The live content of a file that exists.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let directory = self.directory.lock();
        directory.contents[directory.live[name]].live.clone()
    }

    /// Puts a file there, durably, or replaces it.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.directory.lock().put(name, bytes);
    }

    /// Takes a file away, durably.
    pub fn take(&self, name: &str) {
        let mut directory = self.directory.lock();
        directory.live.remove(name);
        directory.durable.remove(name);
    }

    fn handle(&self, directory: &Directory, content: usize, writable: bool) -> Arc<dyn File> {
        Arc::new(FaultFile { files: self.clone(), content, writable, process: directory.process })
    }
}

impl Files for FaultFiles {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(self.full(name))
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let directory = self.directory.lock();
        directory.check_power()?;
        let bytes = |number: usize| directory.contents[number].live.len() as u64;
        let entries = directory.live.iter().filter_map(|(name, &number)| Some((self.own(name)?, number)));
        Ok(entries.map(|(name, number)| Entry { name: name.to_owned(), bytes: bytes(number) }).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut directory = self.directory.lock();
        let name = self.full(name);
        if directory.live.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = directory.create(&name)?;
        Ok(self.handle(&directory, content, true))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let directory = self.directory.lock();
        directory.check_power()?;
        let content = *directory.live.get(&self.full(name)).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&directory, content, true))
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let directory = self.directory.lock();
        directory.check_power()?;
        let content = *directory.live.get(&self.full(name)).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&directory, content, false))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = self.directory.lock();
        directory.counts.renames += 1;
        let (from, to) = (self.full(from), self.full(to));
        assert!(!directory.live.contains_key(&to), "{to} would be lost");
        directory.change(Change::Rename(from, to))
    }

    fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = self.directory.lock();
        directory.counts.renames += 1;
        directory.change(Change::Rename(self.full(from), self.full(to)))
    }

    fn make_dir(&self, name: &str) -> io::Result<Option<Box<dyn Files>>> {
        let name = self.full(name);
        if !self.directory.lock().make_dir(&name)? {
            return Ok(None);
        }
        Ok(Some(Box::new(Self { directory: self.directory.clone(), prefix: format!("{name}/") })))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.lock().change(Change::Remove(self.full(name)))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.lock().sync_names()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut directory = self.directory.lock();
        directory.check_power()?;
        if directory.locked {
            return Ok(None);
        }
        directory.locked = true;
        Ok(Some(Box::new(Held { files: self.clone(), process: directory.process })))
    }
}

/// The lock, until it is dropped.
struct Held {
    files: FaultFiles,
    process: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut directory = self.files.directory.lock();
        if directory.process == self.process {
            directory.locked = false;
        }
    }
}

/// An open file of one process.
struct FaultFile {
    files: FaultFiles,
    content: usize,
    writable: bool,
    process: u64,
}

impl FaultFile {
    fn directory(&self) -> parking_lot::MutexGuard<'_, Directory> {
        let directory = self.files.directory.lock();
        assert_eq!(directory.process, self.process, "a file was used after its process ended");
        directory
    }
}

impl File for FaultFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let directory = self.directory();
        directory.check_power()?;
        let live = &directory.contents[self.content].live;
        let rest = live.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        assert!(self.writable, "a file opened to read was written");
        self.directory().write(self.content, bytes, offset as usize)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.directory().sync(self.content)
    }
}
