//! The two images of the directory, and what becomes of them when something fails.
use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::{Counts, Fault, Seeded};

/// One directory and its disk.
#[derive(Clone)]
pub(super) struct Directory {
    pub seeded: Seeded,
    pub page_bytes: usize,
    pub contents: Vec<Content>,
    pub live: BTreeMap<String, usize>,
    pub durable: BTreeMap<String, usize>,
    /// Directories within; made durable at once.
    pub dirs: BTreeSet<String>,
    /// Changes of names since the last sync of the directory.
    pub unsynced: Vec<Change>,
    /// Faults to come, each with the number of operations of its sort to let pass.
    pub faults: Vec<(u64, Fault)>,
    pub counts: Counts,
    pub powered: bool,
    /// Raised when the process ends: its open files are of no use to the next one.
    pub process: u64,
    pub locked: bool,
    pub bytes_max: u64,
}

/// A file, under whatever name.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub live: Vec<u8>,
    pub durable: Vec<u8>,
    /// The pages whose images may differ.
    pub dirty: BTreeSet<usize>,
}

/// A change of names.
#[derive(Clone)]
pub(super) enum Change {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

impl Directory {
    pub fn new(seed: u64, page_bytes: usize) -> Self {
        Self {
            seeded: Seeded::new(seed),
            page_bytes,
            contents: Vec::new(),
            live: BTreeMap::new(),
            durable: BTreeMap::new(),
            dirs: BTreeSet::new(),
            unsynced: Vec::new(),
            faults: Vec::new(),
            counts: Counts::default(),
            powered: true,
            process: 0,
            locked: false,
            bytes_max: u64::MAX,
        }
    }

    /// Puts a file into both images.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let number = self.contents.len();
        self.contents.push(Content { live: bytes.clone(), durable: bytes, dirty: BTreeSet::new() });
        self.live.insert(name.to_owned(), number);
        self.durable.insert(name.to_owned(), number);
    }

    /// A new empty file, under a name of the live image.
    pub fn create(&mut self, name: &str) -> io::Result<usize> {
        let number = self.contents.len();
        self.change(Change::Create(name.to_owned(), number))?;
        self.contents.push(Content::default());
        Ok(number)
    }

    /// Whether the directory is there for the caller: new, or empty.
    pub fn make_dir(&mut self, name: &str) -> io::Result<bool> {
        if self.due(&[Fault::PowerFails])?.is_some() {
            return Err(input_output_error());
        }
        let is_new = self.dirs.insert(name.to_owned());
        let is_empty = !self.live.keys().any(|file| file.strip_prefix(name).is_some_and(|rest| rest.starts_with('/')));
        Ok(is_new || is_empty)
    }

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

    pub fn check_power(&self) -> io::Result<()> {
        if self.powered { Ok(()) } else { Err(io::Error::other("the power is off")) }
    }

    pub fn write(&mut self, content: usize, bytes: &[u8], offset: usize) -> io::Result<usize> {
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
            None | Some(_) if done == 0 && wanted > 0 => Err(io::ErrorKind::StorageFull.into()),
            None | Some(_) => Ok(done),
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

    pub fn sync(&mut self, content: usize) -> io::Result<()> {
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

    pub fn sync_names(&mut self) -> io::Result<()> {
        self.counts.dir_syncs += 1;
        if self.due(&[Fault::DirSyncFails, Fault::PowerFails])?.is_some() {
            return Err(input_output_error());
        }
        self.unsynced.clear();
        self.durable = self.live.clone();
        Ok(())
    }

    pub fn change(&mut self, change: Change) -> io::Result<()> {
        if self.due(&[Fault::PowerFails])?.is_some() {
            return Err(input_output_error());
        }
        if !apply(&mut self.live, &change) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.unsynced.push(change);
        Ok(())
    }

    pub fn lose_unsynced(&mut self) {
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
