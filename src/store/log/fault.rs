//! A test double: a directory in memory that fails like a real one, from a seed.
//!
//! It keeps two images. The *live* one is what the process sees; the *durable* one is what a power cut leaves. A write
//! changes the live image, and any page of it may reach the durable one at any time, in any order; a sync makes all of
//! them reach it. Renames and removals likewise wait for the sync of the directory. Not for use outside tests.
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::file::{Entry, File, Files};

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
pub struct FaultFiles(Arc<Mutex<Directory>>);

#[derive(Clone)]
struct Directory {
    seeded: Seeded,
    page_bytes: usize,
    contents: Vec<Content>,
    live: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the directory.
    unsynced: Vec<Change>,
    /// Faults to come, each with the number of operations of its sort to let pass.
    faults: Vec<(u64, Fault)>,
    counts: Counts,
    powered: bool,
    /// Raised when the process ends: its open files are of no use to the next one.
    process: u64,
    locked: bool,
    bytes_max: u64,
}

#[derive(Clone, Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl FaultFiles {
    /// An empty directory on a disk whose pages of this size reach it one by one.
    pub fn new(seed: u64, page_bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Directory {
            seeded: Seeded::new(seed),
            page_bytes,
            contents: Vec::new(),
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            unsynced: Vec::new(),
            faults: Vec::new(),
            counts: Counts::default(),
            powered: true,
            process: 0,
            locked: false,
            bytes_max: u64::MAX,
        })))
    }

    /// A copy that goes its own way, unlocked.
    pub fn fork(&self) -> Self {
        let mut copy = self.0.lock().clone();
        copy.locked = false;
        Self(Arc::new(Mutex::new(copy)))
    }

    /// Lets `after` operations of the fault's sort pass and fails the next one.
    pub fn fail_after(&self, after: u64, fault: Fault) {
        self.0.lock().faults.push((after, fault));
    }

    /// Forgets the faults to come.
    pub fn heal(&self) {
        self.0.lock().faults.clear();
    }

    /// The size of the disk. Files that have grown keep their size.
    pub fn limit_bytes(&self, bytes_max: u64) {
        self.0.lock().bytes_max = bytes_max;
    }

    /// The process ends, as by SIGKILL: open files and the lock are gone, the system and its caches live on.
    pub fn kill_process(&self) {
        let mut directory = self.0.lock();
        directory.process += 1;
        directory.locked = false;
    }

    /// The power goes and comes back: of what was not synced, a random part is left.
    pub fn cut_power(&self) {
        self.kill_process();
        self.0.lock().lose_unsynced();
    }

    pub fn has_power(&self) -> bool {
        self.0.lock().powered
    }

    pub fn counts(&self) -> Counts {
        self.0.lock().counts
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().live.keys().cloned().collect()
    }

    /// The live content of a file that exists.
    pub fn content(&self, name: &str) -> Vec<u8> {
        let directory = self.0.lock();
        directory.contents[directory.live[name]].live.clone()
    }

    /// Puts a file there, durably, or replaces it.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut directory = self.0.lock();
        let number = directory.contents.len();
        directory.contents.push(Content { live: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
        directory.live.insert(name.to_owned(), number);
        directory.durable.insert(name.to_owned(), number);
    }

    /// Takes a file away, durably.
    pub fn take(&self, name: &str) {
        let mut directory = self.0.lock();
        directory.live.remove(name);
        directory.durable.remove(name);
    }

    fn handle(&self, directory: &Directory, content: usize, writable: bool) -> Arc<dyn File> {
        Arc::new(FaultFile { files: self.clone(), content, writable, process: directory.process })
    }
}

impl Directory {
    /// Counts down the faults of this sort; the one that is due, if any.
    fn due(&mut self, sort: &[Fault]) -> io::Result<Option<Fault>> {
        self.check_power()?;
        let mut due = None;
        self.faults.retain_mut(|(after, fault)| {
            if !sort.contains(fault) || due.is_some() {
                return true;
            }
            if *after == 0 {
                due = Some(*fault);
                return false;
            }
            *after -= 1;
            true
        });
        if due == Some(Fault::PowerFails) {
            self.powered = false;
        }
        Ok(due)
    }

    fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    fn write(&mut self, content: usize, bytes: &[u8], offset: usize) -> io::Result<usize> {
        self.counts.writes += 1;
        let fault = self.due(&[Fault::WriteFails, Fault::WriteBreaks, Fault::WriteFallsShort, Fault::PowerFails])?;
        let some = self.seeded.below(bytes.len() as u64 + 1) as usize;
        let wanted = match fault {
            None | Some(Fault::SyncFails | Fault::DirSyncFails) => bytes.len(),
            Some(Fault::WriteFails) => return Err(input_output_error()),
            Some(Fault::WriteBreaks | Fault::PowerFails) => some,
            Some(Fault::WriteFallsShort) => some.max(1),
        };
        let length = self.contents[content].live.len();
        let used: u64 = self.live.values().map(|&number| self.contents[number].live.len() as u64).sum();
        let growth = usize::try_from(self.bytes_max.saturating_sub(used)).unwrap_or(usize::MAX);
        let done = wanted.min((length.saturating_add(growth)).saturating_sub(offset));
        self.store(content, &bytes[..done], offset);
        match fault {
            Some(Fault::WriteBreaks | Fault::PowerFails) => Err(input_output_error()),
            _ if done == 0 && wanted > 0 => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(done),
        }
    }

    fn store(&mut self, content: usize, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        let target = &mut self.contents[content];
        let length = target.live.len();
        if length < end {
            target.live.resize(end, 0);
        }
        target.live[offset..end].copy_from_slice(bytes);
        target.dirty.extend(offset.min(length) / self.page_bytes..=(end - 1) / self.page_bytes);
        // The system writes back when it likes.
        if self.seeded.once_in(4) {
            self.write_back(content, 3);
        }
    }

    /// Each dirty page reaches the disk, once in so many times.
    fn write_back(&mut self, content: usize, once_in: u64) {
        let page_bytes = self.page_bytes;
        let Self { contents, seeded, .. } = self;
        let Content { live, durable, dirty } = &mut contents[content];
        dirty.retain(|&page| {
            if !seeded.once_in(once_in) {
                return true;
            }
            let start = page * page_bytes;
            let end = (start + page_bytes).min(live.len());
            if durable.len() < end {
                durable.resize(end, 0);
            }
            durable[start..end].copy_from_slice(&live[start..end]);
            false
        });
    }

    fn sync(&mut self, content: usize) -> io::Result<()> {
        self.counts.syncs += 1;
        match self.due(&[Fault::SyncFails, Fault::PowerFails])? {
            Some(fault) => {
                self.write_back(content, 2);
                if fault == Fault::SyncFails {
                    self.contents[content].dirty.clear();
                }
                Err(input_output_error())
            }
            None => {
                self.write_back(content, 1);
                Ok(())
            }
        }
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.counts.dir_syncs += 1;
        if self.due(&[Fault::DirSyncFails, Fault::PowerFails])?.is_some() {
            return Err(input_output_error());
        }
        self.unsynced.clear();
        self.durable = self.live.clone();
        Ok(())
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        if self.due(&[Fault::PowerFails])?.is_some() {
            return Err(input_output_error());
        }
        if !apply(&mut self.live, &change) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.unsynced.push(change);
        Ok(())
    }

    fn lose_unsynced(&mut self) {
        // A file system with a journal keeps the first so many changes of names; one without may keep any of them.
        let ordered = !self.seeded.once_in(4);
        for change in std::mem::take(&mut self.unsynced) {
            let kept = !self.seeded.once_in(2);
            if kept {
                apply(&mut self.durable, &change);
            } else if ordered {
                break;
            }
        }
        self.live = self.durable.clone();
        for content in 0..self.contents.len() {
            self.write_back(content, 2);
            let content = &mut self.contents[content];
            content.dirty.clear();
            content.live = content.durable.clone();
        }
        self.powered = true;
    }
}

/// Changes the names, unless the file to be changed is not there.
fn apply(names: &mut BTreeMap<String, usize>, change: &Change) -> bool {
    match change {
        Change::Create(name, content) => {
            names.insert(name.clone(), *content);
            true
        }
        Change::Rename(from, to) => match names.remove(from) {
            Some(content) => {
                names.insert(to.clone(), content);
                true
            }
            None => false,
        },
        Change::Remove(name) => names.remove(name).is_some(),
    }
}

fn input_output_error() -> io::Error {
    io::Error::other("injected input/output error")
}

impl Files for FaultFiles {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }

    fn list(&self) -> io::Result<Vec<Entry>> {
        let directory = self.0.lock();
        directory.check_power()?;
        let bytes = |number: usize| directory.contents[number].live.len() as u64;
        Ok(directory.live.iter().map(|(name, &number)| Entry { name: name.clone(), bytes: bytes(number) }).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut directory = self.0.lock();
        if directory.live.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = directory.contents.len();
        directory.change(Change::Create(name.to_owned(), content))?;
        directory.contents.push(Content::default());
        Ok(self.handle(&directory, content, true))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let directory = self.0.lock();
        directory.check_power()?;
        let content = *directory.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&directory, content, true))
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let directory = self.0.lock();
        directory.check_power()?;
        let content = *directory.live.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(&directory, content, false))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut directory = self.0.lock();
        directory.counts.renames += 1;
        assert!(!directory.live.contains_key(to), "{to} would be lost");
        directory.change(Change::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().change(Change::Remove(name.to_owned()))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.lock().sync_names()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut directory = self.0.lock();
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
        let mut directory = self.files.0.lock();
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
        let directory = self.files.0.lock();
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
