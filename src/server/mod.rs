//! Sockets, the connection loop and the order of start and end (floor 4).
mod admission;
mod certificate;
mod connection;
mod control;
mod disk;
mod engine;
mod expiry;
mod handshake;
mod inherited;
mod link;
mod listeners;
mod opening;
mod peer;
mod proving;
mod proxy;
mod reload;
mod settings;
mod timers;
mod tls;
mod transport;
mod websocket;

use crate::broker::{AccessRules, Broker};
use crate::clock::Clock;
use crate::codec;
use crate::config::Config;
use crate::identity::Authenticators;
use admission::Admission;
pub use inherited::Inherited;
use listeners::Bound;
use reload::Reloadable;
pub use reload::Reloads;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Why the broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("listener.address: {address}: {source}; stop the other program or choose another address")]
    Bind { address: String, source: std::io::Error },
    /// Something that a listener needs cannot be used; the text says what, and what to do.
    #[error("{0}")]
    Listener(String),
    #[error(transparent)]
    Access(#[from] crate::broker::AccessError),
    #[error(transparent)]
    Identity(#[from] crate::identity::IdentityError),
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// What all connections of this server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    pub decoding: codec::Limits,
    pub limits: settings::LinkLimits,
    pub admission: Admission,
    /// TLS handshakes that may run at once.
    pub handshakes: Semaphore,
}

/// Runs the broker until `shutdown` resolves: then it stops accepting, tells its clients, and returns.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    run_with(config, Inherited::default(), shutdown, |_, _, _| {}).await
}

/// The same; `inherited` are sockets that are open already, and `ready` is told of the broker once it serves.
pub async fn run_with(
    config: Config,
    inherited: Inherited,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(Arc<Broker>, Clock, Arc<Reloads>),
) -> Result<(), ServerError> {
    // Bound first, so that a port in use is told before any data is touched; listening once the routes are there.
    let clock = Clock::start();
    let authenticators = Authenticators::load(&config, clock)?;
    let bound = listeners::bind(&config, &authenticators, inherited)?;
    let guards = bound.iter().filter_map(|bound| bound.entrance.tls.clone()).collect::<Vec<_>>();
    let (broker, engine) = engine::start(&config, clock)?;
    let shared = Arc::new(Shared {
        broker,
        clock,
        decoding: settings::decoding(&config),
        limits: settings::link(&config),
        admission: Admission::new(&config.limits),
        handshakes: Semaphore::new(config.limits.tls_handshakes_max),
    });
    let open = bound.into_iter().map(Bound::listen).collect::<Result<Vec<_>, ServerError>>()?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for listener in open {
        tasks.spawn(listener.accept(shared.clone(), stopped.clone()));
    }
    let mut reloadable: Vec<Arc<dyn Reloadable>> =
        vec![Arc::new(AccessRules(shared.broker.clone())), Arc::new(authenticators)];
    reloadable.extend(guards.iter().map(|guard| guard.clone() as Arc<dyn Reloadable>));
    let reloads = Arc::new(Reloads::new(reloadable, shared.broker.counters.clone()));
    tasks.spawn(reloads.clone().run(stopped.clone()));
    tasks.spawn(expiry::watch(guards, stopped.clone()));
    tasks.spawn(timers::run(shared.clone(), config.sys.interval_s, stopped));
    ready(shared.broker.clone(), clock, reloads);
    shutdown.await;
    tracing::info!("shutting down: clients are told");
    stop.send_replace(true);
    let grace = Duration::from_millis(config.shutdown_grace_ms);
    if tokio::time::timeout(grace, async { while tasks.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("some connections did not end within shutdown_grace_ms and were cut");
        tasks.shutdown().await;
    }
    engine.stop().await;
    Ok(())
}
