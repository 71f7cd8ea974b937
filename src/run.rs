//! The whole program on one floor above all others: the server, and the admin side beside it.
use crate::admin::{self, AdminError, Desk, LogLevel, Reloaded};
use crate::config::Config;
use crate::server::{self, ServerError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why it cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Admin(#[from] AdminError),
}

/// Runs the broker and what operators see of it, until `shutdown` resolves.
pub async fn run(
    config: Config,
    log_level: Option<Arc<dyn LogLevel>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let admin = admin::open(&config)?;
    let data_dir = config.persistence.then(|| config.data_dir.clone());
    let is_stopping = Arc::new(AtomicBool::new(false));
    let stopping = is_stopping.clone();
    let shutdown = async {
        shutdown.await;
        stopping.store(true, Ordering::Relaxed);
    };
    let served = server::run_with(config, shutdown, |broker, clock, reloads| {
        let Some(admin) = &admin else { return };
        let tokens = admin.tokens();
        let reload = Arc::new(move || {
            let own = [("admin.token".to_owned(), tokens())];
            let all = own.into_iter().chain(reloads.reload_all());
            all.map(|(name, result)| Reloaded { name, result }).collect()
        });
        admin.begin(Desk { broker, clock, data_dir, log_level, is_stopping, reload });
    });
    let served = served.await;
    if let Some(admin) = admin {
        admin.stop().await;
    }
    Ok(served?)
}
