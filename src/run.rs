//! The whole program on one floor above all others: the server, and the admin side beside it.
use crate::admin::{self, AdminError, Credentials, Desk, LogLevel, Opened, Reloaded};
use crate::config::{Config, Sources};
use crate::server::{self, Inherited, Reloadable, Rereading, ServerError, Surroundings};
use crate::service;
use crate::traces::{self, TracesError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// Why it cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Traces(#[from] TracesError),
}

/// Runs the broker and what operators see of it, until `shutdown` resolves. `config` was read from `sources`, which are
/// read again when asked to. The service manager is told how it goes.
pub async fn run(
    config: Config,
    sources: Sources,
    inherited: Inherited,
    log_level: Option<Arc<dyn LogLevel>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let admin = admin::open(&config)?;
    let mut spans = traces::open(&config.traces)?;
    let mut exporting = None;
    let data_dir = config.persistence.then(|| config.data_dir.clone());
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stopping = is_stopping.clone();
    let shutdown = async {
        shutdown.await;
        stopping.store(true, Ordering::Relaxed);
        service::tell_stopping();
    };
    let log = log_level.clone();
    let set_log_level = Arc::new(move |level: &str| match &log {
        Some(log) => log.set(level),
        None => Err("the log of this broker is not its own".to_owned()),
    });
    let rereading = Some(Rereading { sources, set_log_level });
    let surroundings = Surroundings {
        rereading,
        inherited,
        guards: admin.iter().filter_map(Opened::guard).collect(),
        reloadable: admin.iter().map(|admin| admin.credentials() as Arc<dyn Reloadable>).collect(),
    };
    let mut watchdog = JoinSet::new();
    let served = server::run_with(config, surroundings, shutdown, |broker, clock, reloads| {
        service::tell_ready();
        if let Some(pause) = service::pause_between_signs_of_life() {
            watchdog.spawn(service::show_life(broker.clone(), pause));
        }
        match spans.take().map(|spans| spans.begin(&broker, clock)).transpose() {
            Ok(begun) => exporting = begun,
            Err(error) => tracing::error!(%error, "no spans are sent"),
        }
        let Some(admin) = &admin else { return };
        let told = reloads.clone();
        let settings = Arc::new(move || told.settings());
        let doors = reloads.clone();
        let certificates = Arc::new(move || doors.certificates());
        let reload = Arc::new(move || {
            let all = reloads.reload_all().into_iter();
            all.map(|(name, result)| Reloaded { name, result }).collect()
        });
        admin.begin(Desk { broker, clock, data_dir, log_level, is_stopping, settings, certificates, reload });
    });
    let served = served.await;
    watchdog.shutdown().await;
    if let Some(exporting) = exporting {
        exporting.stop().await;
    }
    if let Some(admin) = admin {
        admin.stop().await;
    }
    Ok(served?)
}

impl Reloadable for Credentials {
    fn name(&self) -> String {
        "admin.token".to_owned()
    }

    fn files(&self) -> Vec<PathBuf> {
        self.files()
    }

    fn reload(&self) -> Result<bool, String> {
        self.reload()
    }
}
