//! Who may do what: the one gate that publishes, wills, subscriptions and deliveries pass.
//!
//! The rules themselves are in [`crate::access`]; here they are read from their file, put in force, and asked.
mod guard;
mod review;

pub(super) use guard::Guard;

use super::Broker;
use crate::access::{Fault, Rights, Rules, Subject};
use crate::config;
use parking_lot::RwLock;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The access rules in force.
#[derive(Debug, Default)]
pub struct Access {
    /// Users: whoever needs rights (to read), a reload (to write). Held for a clone.
    inner: RwLock<InForce>,
    /// Moves on when the rules change.
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct InForce {
    source: Option<AccessFile>,
    rules: Arc<Rules>,
}

/// Where the rules are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessFile {
    /// In VowMQ's own form.
    Own(PathBuf),
    /// In the form of Mosquitto's `acl_file`.
    Mosquitto(PathBuf),
}

impl AccessFile {
    /// The one that the configuration names, if it does.
    pub fn configured(config: &config::Access) -> Option<Self> {
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        let own = is_set(&config.file).then(|| Self::Own(config.file.clone()));
        own.or_else(|| is_set(&config.mosquitto_file).then(|| Self::Mosquitto(config.mosquitto_file.clone())))
    }

    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Mosquitto(path) => path,
        }
    }

    pub fn read(&self) -> Result<Rules, AccessError> {
        let path = || self.path().to_owned();
        let text =
            std::fs::read_to_string(self.path()).map_err(|source| AccessError::Unreadable { path: path(), source })?;
        let parsed = match self {
            Self::Own(_) => Rules::parse(&text),
            Self::Mosquitto(_) => Rules::parse_mosquitto(&text),
        };
        parsed.map_err(|faults| AccessError::Faulty { path: path(), faults })
    }
}

/// The file of rules as something that can be read again while the broker runs.
#[derive(Debug, Clone)]
pub struct AccessRules(pub Arc<Broker>);

impl AccessRules {
    pub fn files(&self) -> Vec<PathBuf> {
        self.0.access_files()
    }

    /// True if the rules have changed; after an error the old ones stay in force.
    pub fn reload(&self) -> Result<bool, String> {
        self.0.reload_access()
    }
}

/// Why a file of rules cannot be put in force.
#[derive(Debug)]
pub enum AccessError {
    Unreadable { path: PathBuf, source: std::io::Error },
    Faulty { path: PathBuf, faults: Vec<Fault> },
}

impl fmt::Display for AccessError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(formatter, "{}: {source}; name a file that the broker may read", path.display())
            }
            Self::Faulty { path, faults } => {
                for (index, fault) in faults.iter().enumerate() {
                    let separator = if index > 0 { "\n" } else { "" };
                    write!(formatter, "{separator}{}: {fault}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for AccessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::Faulty { .. } => None,
        }
    }
}

impl Access {
    /// Puts rules in force.
    pub(super) fn set(&self, source: Option<AccessFile>, rules: Rules) {
        let mut inner = self.inner.write();
        inner.source = source;
        inner.rules = Arc::new(rules);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Counts the changes of the rules.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// What the rules in force come to for one client.
    pub fn rights(&self, subject: Subject<'_>) -> Rights {
        let rules = self.inner.read().rules.clone();
        rules.rights(subject)
    }

    fn source(&self) -> Option<AccessFile> {
        self.inner.read().source.clone()
    }
}
