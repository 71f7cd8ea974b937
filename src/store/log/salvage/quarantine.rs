//! The place for what a repair changes: byte for byte as it was, with a note.
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::LogError;
use super::super::file::{File, Files, read_full, write_full};

const CHUNK_BYTES: u64 = 1024 * 1024;
const NOTES: &str = "WHAT-IS-THIS.txt";

/// A directory `quarantine-<n>`, made when it is first needed.
pub(super) struct Quarantine {
    files: Arc<dyn Files>,
    place: Option<Place>,
    /// Whether anything may have been changed of which it holds a copy.
    is_needed: bool,
}

struct Place {
    dir: Box<dyn Files>,
    kept: BTreeSet<String>,
    notes: Arc<dyn File>,
    notes_bytes: u64,
}

impl Quarantine {
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self { files, place: None, is_needed: false }
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|place| place.dir.path(""))
    }

    /// Copies files that are about to be changed, unless this repair did so before, and writes down what is about to
    /// be done. All of it is synced when this returns.
    pub fn keep(&mut self, names: &[String], notes: &[String]) -> Result<(), LogError> {
        let kept = self.try_keep(names, notes);
        if kept.is_err() && !self.is_needed {
            self.withdraw();
        }
        self.is_needed |= kept.is_ok();
        let path = self.path().unwrap_or_else(|| self.files.path("quarantine"));
        kept.map_err(LogError::io("keep a copy of what is damaged", path))
    }

    /// Nothing was changed yet, so the copies are of no use, and take room, which may be what is lacking. If even this
    /// fails, they stay.
    fn withdraw(&self) {
        let Some(place) = &self.place else { return };
        for entry in place.dir.list().unwrap_or_default() {
            let _ = place.dir.remove(&entry.name);
        }
    }

    fn try_keep(&mut self, names: &[String], notes: &[String]) -> io::Result<()> {
        let place = match &mut self.place {
            Some(place) => place,
            empty => empty.insert(Place::make(&*self.files)?),
        };
        place.begin()?;
        for name in names.iter().filter(|name| !place.kept.contains(*name)).collect::<Vec<_>>() {
            copy(&*self.files.open_to_read(name)?, &*place.dir.create(name)?, u64::MAX)?;
            place.kept.insert(name.clone());
        }
        place.note(&notes.iter().map(|note| format!("{note}\n")).collect::<String>())?;
        place.dir.sync_dir()
    }
}

impl Place {
    fn make(files: &dyn Files) -> io::Result<Self> {
        let mut number = 1;
        let dir = loop {
            match files.make_dir(&format!("quarantine-{number}"))? {
                Some(dir) => break dir,
                None => number += 1,
            }
        };
        let notes = dir.create(NOTES)?;
        Ok(Self { dir, kept: BTreeSet::new(), notes, notes_bytes: 0 })
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.notes_bytes > 0 {
            return Ok(());
        }
        self.note(
            "Here is what vowmq found damaged in the data directory above, before it repaired it: each file byte for\n\
             byte, under its own name. Below is what was done, line by line; what is gone is marked \"given up\".\n\
             The broker never reads this. Remove it when the broker runs again and nobody misses what was given up.\n\n",
        )
    }

    fn note(&mut self, text: &str) -> io::Result<()> {
        write_full(&*self.notes, text.as_bytes(), self.notes_bytes)?;
        self.notes_bytes += text.len() as u64;
        self.notes.sync_data()
    }
}

/// Copies a file up to a size, and syncs the copy.
pub(super) fn copy(from: &dyn File, to: &dyn File, bytes_max: u64) -> io::Result<()> {
    let mut chunk = vec![0; usize::try_from(CHUNK_BYTES.min(bytes_max)).expect("at most a chunk")];
    let mut at = 0;
    while at < bytes_max {
        let wanted = usize::try_from((bytes_max - at).min(CHUNK_BYTES)).expect("at most a chunk");
        let read = read_full(from, &mut chunk[..wanted], at)?;
        write_full(to, &chunk[..read], at)?;
        at += read as u64;
        if read < wanted {
            break;
        }
    }
    to.sync_data()
}
