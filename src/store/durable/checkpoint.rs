//! Where replay begins: one small file, replaced whole.
use crate::store::log::Lsn;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    directory: PathBuf,
}

impl Checkpoint {
    pub fn in_directory(directory: &Path) -> Self {
        Self { path: directory.join("CHECKPOINT"), directory: directory.to_owned() }
    }

    /// `None` before the first checkpoint.
    pub fn read(&self) -> io::Result<Option<Lsn>> {
        let text = match std::fs::read_to_string(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let lsn = u64::from_str_radix(text.trim(), 16);
        let broken = |_| io::Error::new(io::ErrorKind::InvalidData, format!("{}: no position", self.path.display()));
        Ok(Some(Lsn::new(lsn.map_err(broken)?)))
    }

    /// Durable when it returns.
    pub fn write(&self, lsn: Lsn) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        writeln!(file, "{:016x}", lsn.value())?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        File::open(&self.directory)?.sync_all()
    }
}
