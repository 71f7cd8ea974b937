//! Settings and files that are read again while the broker runs: at SIGHUP, and when one of them has changed.
use super::doors::{Doors, Outcome};
use super::live::Live;
use crate::broker::{AccessRules, Broker};
use crate::config::InForce;
use crate::identity::Authenticators;
use crate::tls::{Guard, Life};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Something that is made from files.
pub trait Reloadable: Send + Sync {
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

impl Reloadable for Guard {
    fn name(&self) -> String {
        self.name()
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
    live: Arc<Live>,
    /// Their certificates come and go with listeners.
    doors: Arc<Doors>,
    files: Vec<Arc<dyn Reloadable>>,
    broker: Arc<Broker>,
}

/// What was seen at the last look.
struct Looked {
    settings: Seen,
    /// The settings have changed, and are read once their file has rested from one look to the next: an editor may be at
    /// work in it.
    is_unread: bool,
    files: Vec<(Arc<dyn Reloadable>, Seen)>,
}

impl Reloads {
    pub(super) fn new(
        live: Arc<Live>,
        doors: Arc<Doors>,
        files: Vec<Arc<dyn Reloadable>>,
        broker: Arc<Broker>,
    ) -> Self {
        Self { live, doors, files, broker }
    }

    /// Until when the certificates of each listener are good, by its name.
    pub fn certificates(&self) -> Vec<(String, Vec<Life>)> {
        self.doors.certificates()
    }

    /// The settings in force, and where each comes from. May wait for the disk.
    pub fn settings(&self) -> Vec<InForce> {
        self.live.told()
    }

    /// Reads everything again, settings first; for each thing its name, and whether anything is different now or why it
    /// stays as it was. May wait for the disk; to be called where there is a runtime, and not in a task.
    pub fn reload_all(&self) -> Vec<(String, Result<bool, String>)> {
        let mut told = self.reload_settings();
        told.extend(self.all().iter().map(|one| (one.name(), self.reload(one.as_ref()))));
        told
    }

    /// Reads again what has changed, until told to stop.
    pub(super) async fn run(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let Ok(mut hangup) = signal(SignalKind::hangup()) else {
            return tracing::error!("SIGHUP cannot be handled; files are read again after a restart only");
        };
        let mut looked = Looked { settings: look(self.live.files()), is_unread: false, files: self.look_at_files() };
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let is_asked = tokio::select! {
                _ = ticks.tick() => false,
                _ = hangup.recv() => true,
                _ = stopped.changed() => return,
            };
            if is_asked {
                tracing::info!("SIGHUP: settings and files are read again");
            }
            let work = self.clone();
            match tokio::task::spawn_blocking(move || work.look(&looked, is_asked)).await {
                Ok(now) => looked = now,
                Err(error) => return tracing::error!(%error, "reading files again failed; it is not tried any more"),
            }
        }
    }

    fn all(&self) -> Vec<Arc<dyn Reloadable>> {
        let guards = self.doors.guards().into_iter().map(|guard| guard as Arc<dyn Reloadable>);
        self.files.iter().cloned().chain(guards).collect()
    }

    fn look_at_files(&self) -> Vec<(Arc<dyn Reloadable>, Seen)> {
        self.all().into_iter().map(|one| (one.clone(), look(one.files()))).collect()
    }

    fn look(&self, before: &Looked, is_asked: bool) -> Looked {
        let settings = look(self.live.files());
        let has_changed = settings != before.settings;
        if is_asked || (before.is_unread && !has_changed) {
            // What came of it is in the log, here and below.
            self.reload_settings();
        }
        let files = self.look_at_files();
        for (one, now) in &files {
            let seen = before.files.iter().find(|(other, _)| Arc::ptr_eq(one, other)).map(|(_, seen)| seen);
            // What came with a new listener was read just now.
            if is_asked || seen.is_some_and(|seen| seen != now) {
                let _ = self.reload(one.as_ref());
            }
        }
        Looked { settings, is_unread: has_changed && !is_asked, files }
    }

    fn reload_settings(&self) -> Vec<Outcome> {
        let told = self.live.reload();
        told.iter().for_each(|(name, result)| self.tell(name, result));
        told
    }

    fn reload(&self, one: &dyn Reloadable) -> Result<bool, String> {
        let result = one.reload();
        self.tell(&one.name(), &result);
        // Whoever was let in by what is gone now goes as well.
        if result == Ok(true) {
            self.broker.dismiss_withdrawn();
        }
        result
    }

    fn tell(&self, name: &str, result: &Result<bool, String>) {
        match result {
            Ok(false) => {}
            Ok(true) => {
                self.broker.counters.reloads.add(1);
                tracing::info!("read again: {name}");
            }
            Err(why) => {
                self.broker.counters.reloads_failed.add(1);
                tracing::error!("not taken, what was there before stays in force: {name}: {why}");
            }
        }
    }
}

fn look(files: Vec<PathBuf>) -> Seen {
    let state = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.into_iter().map(|file| (file.clone(), state(&file))).collect()
}
