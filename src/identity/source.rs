//! Files that authenticators are made from, and how they are read anew.
use super::LoadError;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was read from a file, replaced as a whole when the file changes.
pub(super) struct Source<T> {
    path: PathBuf,
    parse: Parse<T>,
    /// Users: logins (to read, for a moment) and reload.
    current: RwLock<Loaded<T>>,
}

/// The error begins with the line, or with a blank where there is none.
type Parse<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

struct Loaded<T> {
    value: Arc<T>,
    /// Tells whether the file has changed, without a second copy of its secrets.
    digest: [u8; 32],
}

/// Puts in force what was read anew and found to be good.
pub(super) type Change<'a> = Box<dyn FnOnce() + 'a>;

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Source").field(&self.path).finish()
    }
}

impl<T> Source<T> {
    pub fn open(
        path: &Path,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Self, LoadError> {
        let loaded = read(path, &parse)?;
        Ok(Self { path: path.to_owned(), parse: Box::new(parse), current: RwLock::new(loaded) })
    }

    pub fn current(&self) -> Arc<T> {
        self.current.read().value.clone()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file anew; `None` if it is as it was.
    pub fn refresh(&self) -> Result<Option<Change<'_>>, LoadError> {
        let loaded = read(&self.path, &self.parse)?;
        if loaded.digest == self.current.read().digest {
            return Ok(None);
        }
        Ok(Some(Box::new(move || *self.current.write() = loaded)))
    }
}

fn read<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<Loaded<T>, LoadError> {
    let fail = |what: String| LoadError::File { path: path.to_owned(), what };
    let bytes = std::fs::read(path).map_err(|error| fail(format!(" {error}")))?;
    warn_of_mode(path);
    let value = Arc::new(parse(&bytes).map_err(fail)?);
    Ok(Loaded { value, digest: Sha256::digest(&bytes).into() })
}

/// Others than the owner and the readers of his group have no business with secrets.
fn warn_of_mode(path: &Path) {
    const TOO_WIDE: u32 = 0o037;
    if let Ok(metadata) = std::fs::metadata(path)
        && metadata.mode() & TOO_WIDE != 0
    {
        let (file, mode) = (path.display(), metadata.mode() & 0o777);
        tracing::warn!("{file}: mode {mode:04o} lets others read or change it; run chmod 0640 {file}");
    }
}

/// For files of text.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        format!("{}: this is no UTF-8", 1 + before.iter().filter(|byte| **byte == b'\n').count())
    })
}
