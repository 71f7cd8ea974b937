//! Files that are read again while the broker runs: at SIGHUP, and when one of them has changed.
use crate::broker::{AccessRules, Counters};
use crate::identity::Authenticators;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Something that is made from files.
pub(super) trait Reloadable: Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> String;
    /// The files whose change is to be noticed.
    fn files(&self) -> Vec<PathBuf>;
    /// Reads them again; whether anything is different now. After an error, which says why, what was there before stays
    /// in force. May wait for the disk.
    fn reload(&self) -> Result<bool, String>;
}

impl Reloadable for AccessRules {
    fn name(&self) -> String {
        "access rules".to_owned()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files()
    }

    fn reload(&self) -> Result<bool, String> {
        self.reload()
    }
}

impl Reloadable for Authenticators {
    fn name(&self) -> String {
        "users and keys".to_owned()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files()
    }

    fn reload(&self) -> Result<bool, String> {
        self.reload()
    }
}

/// How often the files are looked at. Asking the file system for their times works everywhere, also where files are
/// swapped behind symbolic links, and costs a few microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// When each file was last changed, and how long it is.
type Seen = HashMap<PathBuf, Option<(SystemTime, u64)>>;

/// Everything that can be read again.
pub struct Reloads {
    all: Vec<Arc<dyn Reloadable>>,
    counters: Arc<Counters>,
}

impl Reloads {
    pub(super) fn new(all: Vec<Arc<dyn Reloadable>>, counters: Arc<Counters>) -> Self {
        Self { all, counters }
    }

    /// Reads everything again; for each thing its name, and whether anything is different now or why it stays as it was.
    /// May wait for the disk.
    pub fn reload_all(&self) -> Vec<(String, Result<bool, String>)> {
        self.all.iter().map(|one| (one.name(), self.reload(one.as_ref()))).collect()
    }

    /// Reads again what has changed, until told to stop.
    pub(super) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return tracing::error!("SIGHUP cannot be handled; files are read again after a restart only");
        };
        let mut seen: Vec<Seen> = self.all.iter().map(|one| look(one.as_ref())).collect();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let is_asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
                _ = stopped.changed() => return,
            };
            if is_asked {
                tracing::info!("SIGHUP: files are read again");
            }
            let work = self.clone();
            match tokio::task::spawn_blocking(move || work.look(seen, is_asked)).await {
                Ok(now) => seen = now,
                Err(error) => return tracing::error!(%error, "reading files again failed; it is not tried any more"),
            }
        }
    }

    fn look(&self, seen: Vec<Seen>, is_asked: bool) -> Vec<Seen> {
        let looked = self.all.iter().zip(seen).map(|(one, before)| {
            let now = look(one.as_ref());
            if is_asked || now != before {
                // What came of it is in the log.
                let _ = self.reload(one.as_ref());
            }
            now
        });
        looked.collect()
    }

    fn reload(&self, one: &dyn Reloadable) -> Result<bool, String> {
        let result = one.reload();
        match &result {
            Ok(false) => {}
            Ok(true) => {
                self.counters.reloads.add(1);
                tracing::info!("read again: {}", one.name());
            }
            Err(why) => {
                self.counters.reloads_failed.add(1);
                tracing::error!("not read again, what was there before stays in force: {}: {why}", one.name());
            }
        }
        result
    }
}

fn look(one: &dyn Reloadable) -> Seen {
    let state = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    one.files().into_iter().map(|file| (file.clone(), state(&file))).collect()
}
