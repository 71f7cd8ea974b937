//! Settings that are read again while the broker runs.
use super::doors::{Doors, Outcome};
use super::{Shared, settings};
use crate::config::{Change, Config, InForce, Sources, Takeover};
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Changes what is logged; the text says why it cannot.
pub type SetLogLevel = Arc<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Where settings are read again, and what of them is not the server's own.
#[derive(Clone)]
pub struct Rereading {
    pub sources: Sources,
    pub set_log_level: SetLogLevel,
}

/// The settings in force.
pub(super) struct Live {
    /// `None` if whoever embeds the broker made its settings: then they stay as they are.
    rereading: Option<Rereading>,
    shared: Arc<Shared>,
    doors: Arc<Doors>,
    sys_interval_s: watch::Sender<u64>,
    /// Users: reloads, one after the other; the broker's end. Held while one is under way.
    in_force: Mutex<Config>,
}

impl Live {
    pub fn new(rereading: Option<Rereading>, config: Config, shared: Arc<Shared>, doors: Arc<Doors>) -> Self {
        let sys_interval_s = watch::channel(config.sys.interval_s).0;
        Self { rereading, shared, doors, sys_interval_s, in_force: Mutex::new(config) }
    }

    /// Seconds between publications of `$SYS`, as they change.
    pub fn sys_interval_s(&self) -> watch::Receiver<u64> {
        self.sys_interval_s.subscribe()
    }

    pub fn shutdown_grace_ms(&self) -> u64 {
        self.in_force.lock().shutdown_grace_ms
    }

    /// The conf file, if there is one.
    pub fn files(&self) -> Vec<PathBuf> {
        self.rereading.iter().filter_map(|rereading| rereading.sources.file.clone()).collect()
    }

    /// The settings in force, and where each comes from. Reads the conf file.
    pub fn told(&self) -> Vec<InForce> {
        let config = Config { listeners: self.doors.settings(), ..self.in_force.lock().clone() };
        let none = Sources::default();
        config.in_force(self.rereading.as_ref().map_or(&none, |rereading| &rereading.sources))
    }

    /// Reads all settings again, and puts those in force that can change while the broker runs. With a mistake in them
    /// nothing changes. May wait for the disk and for sockets; to be called where there is a runtime, and not in a task.
    pub fn reload(&self) -> Vec<Outcome> {
        let Some(rereading) = &self.rereading else { return Vec::new() };
        let mut in_force = self.in_force.lock();
        // What is open counts, and not what should have been.
        let before = Config { listeners: self.doors.settings(), ..in_force.clone() };
        let Takeover { config, changes, at_restart } = match before.reread(&rereading.sources) {
            Ok(takeover) => takeover,
            Err(mistakes) => {
                return mistakes.into_iter().map(|mistake| (named("configuration"), Err(mistake))).collect();
            }
        };
        let mut told = Vec::new();
        let mut config = config;
        for Change { key, from, to } in changes {
            let mut result = Ok(true);
            if key == "log.level" {
                let set = (rereading.set_log_level)(&config.log.level);
                result = set.map(|()| true).inspect_err(|_| config.log.level.clone_from(&before.log.level));
            }
            told.push((format!("{key}: {to} in place of {from}"), result));
        }
        self.put_in_force(&config);
        told.extend(self.doors.change(&config.listeners, config.limits.packet_bytes_max));
        let later = |key: &String| (key.clone(), Err("it takes a restart, and stays as it is until then".to_owned()));
        told.extend(at_restart.iter().map(later));
        *in_force = config;
        if told.is_empty() { vec![(named("configuration"), Ok(false))] } else { told }
    }

    fn put_in_force(&self, config: &Config) {
        let Shared { broker, limits, admission, handshakes, .. } = &*self.shared;
        limits.store(Arc::new(settings::link(config)));
        admission.limit(&config.limits);
        // Those under way end in the old one's places.
        handshakes.store(Arc::new(Semaphore::new(config.limits.tls_handshakes_max)));
        // The seed is used at the start only.
        broker.adapt(settings::broker(config, 0));
        self.sys_interval_s.send_if_modified(|in_force| {
            let is_new = *in_force != config.sys.interval_s;
            *in_force = config.sys.interval_s;
            is_new
        });
    }
}

fn named(name: &str) -> String {
    name.to_owned()
}
