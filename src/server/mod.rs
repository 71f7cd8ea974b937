//! Sockets, the connection loop and the order of start and end (floor 4).
mod admission;
mod alarm;
mod binding;
mod connection;
mod control;
mod disk;
mod doors;
mod engine;
mod expiry;
mod handshake;
mod inherited;
mod link;
mod listeners;
mod live;
mod opening;
mod outbox;
mod peer;
mod proving;
mod proxy;
mod reload;
mod room;
mod settings;
mod timers;
mod transport;
mod websocket;

use crate::broker::{AccessRules, Broker};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::Authenticators;
use crate::tls::Guard;
use admission::Admission;
use arc_swap::ArcSwap;
use doors::Doors;
pub use inherited::Inherited;
use live::Live;
pub use live::Rereading;
pub use reload::{Reloadable, Reloads};
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
    /// For connections that come from now on.
    pub limits: ArcSwap<settings::LinkLimits>,
    pub admission: Admission,
    /// TLS handshakes that may run at once.
    pub handshakes: ArcSwap<Semaphore>,
}

/// What the program around the server brings along.
#[derive(Default)]
pub struct Surroundings {
    /// Where settings are read again; `None` keeps them as they are.
    pub rereading: Option<Rereading>,
    /// Sockets that are open already.
    pub inherited: Inherited,
    /// TLS that is looked after with the listeners' own.
    pub guards: Vec<Arc<Guard>>,
    /// What is read again with the server's own files.
    pub reloadable: Vec<Arc<dyn Reloadable>>,
}

/// Runs the broker until `shutdown` resolves: then it stops accepting, tells its clients, and returns.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    run_with(config, Surroundings::default(), shutdown, |_, _, _| {}).await
}

/// The same within a program; `ready` is told of the broker once it serves.
pub async fn run_with(
    config: Config,
    surroundings: Surroundings,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(Arc<Broker>, Clock, Arc<Reloads>),
) -> Result<(), ServerError> {
    // Bound first, so that a port in use is told before any data is touched; listening once the routes are there.
    let Surroundings { rereading, inherited, guards, reloadable } = surroundings;
    let clock = Clock::start();
    let authenticators = Arc::new(Authenticators::load(&config, clock)?);
    let bound = binding::bind(&config, &authenticators, inherited)?;
    let (broker, engine) = engine::start(&config, clock)?;
    let shared = Arc::new(Shared {
        broker,
        clock,
        limits: ArcSwap::from_pointee(settings::link(&config)),
        admission: Admission::new(&config.limits),
        handshakes: ArcSwap::from_pointee(Semaphore::new(config.limits.tls_handshakes_max)),
    });
    let doors = Doors::open(shared.clone(), authenticators.clone(), bound, guards)?;
    let live = Arc::new(Live::new(rereading, config, shared.clone(), doors.clone()));
    let mut files: Vec<Arc<dyn Reloadable>> = vec![Arc::new(AccessRules(shared.broker.clone())), authenticators];
    files.extend(reloadable);
    let reloads = Arc::new(Reloads::new(live.clone(), doors.clone(), files, shared.broker.clone()));
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(reloads.clone().run(stopped.clone()));
    tasks.spawn(expiry::watch(doors.clone(), stopped.clone()));
    tasks.spawn(timers::run(shared.clone(), live.sys_interval_s(), stopped));
    ready(shared.broker.clone(), clock, reloads);
    shutdown.await;
    tracing::info!("shutting down: clients are told");
    stop.send_replace(true);
    let mut listeners = doors.close();
    let grace = Duration::from_millis(live.shutdown_grace_ms());
    let ended = async {
        while listeners.join_next().await.is_some() {}
        while tasks.join_next().await.is_some() {}
    };
    if tokio::time::timeout(grace, ended).await.is_err() {
        tracing::warn!("some connections did not end within shutdown_grace_ms and were cut");
        listeners.shutdown().await;
        tasks.shutdown().await;
    }
    engine.stop().await;
    Ok(())
}
