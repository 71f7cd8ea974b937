//! Sockets, the connection loop and the order of start and end (floor 4).
mod admission;
mod connection;
mod control;
mod disk;
mod engine;
mod link;
mod opening;
mod peer;
mod settings;
mod timers;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::codec;
use crate::config::Config;
use crate::session::Close;
use admission::{Admission, Pass};
use connection::Connection;
use peer::{Entrance, Peer};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Why the broker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("listener.address: {address}: {source}; stop the other program or choose another address")]
    Bind { address: SocketAddr, source: std::io::Error },
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
}

/// Runs the broker until `shutdown` resolves: then it stops accepting, tells its clients, and returns.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
    run_with(config, shutdown, |_, _| {}).await
}

/// The same; `ready` is told of the broker once it serves.
pub async fn run_with(
    config: Config,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(Arc<Broker>, Clock),
) -> Result<(), ServerError> {
    // Bound first, so that a port in use is told before any data is touched; listening once the routes are there.
    let bound = bind_listeners(&config)?;
    let clock = Clock::start();
    let (broker, engine) = engine::start(&config, clock)?;
    let shared = Arc::new(Shared {
        broker,
        clock,
        decoding: settings::decoding(&config),
        limits: settings::link(&config),
        admission: Admission::new(&config.limits),
    });
    let listeners = bound
        .into_iter()
        .map(|(address, socket, entrance)| Ok((listen(address, socket)?, entrance)))
        .collect::<Result<Vec<_>, ServerError>>()?;
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for (socket, entrance) in listeners {
        tasks.spawn(accept(shared.clone(), socket, entrance, stopped.clone()));
    }
    tasks.spawn(timers::run(shared.clone(), config.sys.interval_s, stopped));
    ready(shared.broker.clone(), clock);
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

/// Binds every listener, but for one of this machine's own IPv6 address where there is no IPv6.
fn bind_listeners(config: &Config) -> Result<Vec<(SocketAddr, Socket, Arc<Entrance>)>, ServerError> {
    let mut opened = Vec::new();
    for listener in &config.listeners {
        match bind(listener.address) {
            Ok(socket) => {
                let (name, allow_anonymous) = (listener.address.to_string(), listener.allow_anonymous);
                opened.push((listener.address, socket, Arc::new(Entrance { name, allow_anonymous })));
            }
            Err(ServerError::Bind { address, source }) if is_without_ipv6(address, &source) && !opened.is_empty() => {
                tracing::warn!(%address, "this machine has no IPv6, so that this listener is left out");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(opened)
}

fn is_without_ipv6(address: SocketAddr, source: &std::io::Error) -> bool {
    /// EAFNOSUPPORT on Linux, which has no name in the standard library.
    const NO_SUCH_FAMILY: i32 = 97;
    let is_missing =
        source.kind() == std::io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(NO_SUCH_FAMILY);
    address.is_ipv6() && address.ip().is_loopback() && is_missing
}

fn bind(address: SocketAddr) -> Result<Socket, ServerError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().map_err(|source| ServerError::Bind { address, source })
}

fn listen(address: SocketAddr, socket: Socket) -> Result<TcpListener, ServerError> {
    let listening = socket.listen(1024).and_then(|()| TcpListener::from_std(socket.into()));
    listening.map_err(|source| ServerError::Bind { address, source })
}

/// Accepts connections until told to stop, then waits for those it has.
async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    entrance: Arc<Entrance>,
    mut stopped: watch::Receiver<bool>,
) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, allow_anonymous = entrance.allow_anonymous, "listening");
    }
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    if let Some(pass) = shared.admission.admit(address.ip(), &shared.broker.counters) {
                        let peer = Peer { entrance: entrance.clone(), address: Some(address), certificate: None };
                        connections.spawn(serve(shared.clone(), stream, peer, pass));
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most often: connections that end make room.
                    tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while !connections.is_empty() {
        shared.broker.close_all(Close::Shutdown);
        // A connection that was just opening may have missed the call.
        let _ = tokio::time::timeout(Duration::from_millis(200), connections.join_next()).await;
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: Peer, pass: Pass) {
    // A lone small packet must not wait for an acknowledgement of the one before.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(address = %peer, %error, "the client was gone before it was served");
        return;
    }
    Connection::new(shared, stream, peer).serve().await;
    drop(pass);
}
