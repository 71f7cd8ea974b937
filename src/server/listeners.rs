//! Sockets that are listened on, and the connections that come in through them.
use super::connection::Connection;
use super::handshake::{self, Failure};
use super::inherited::Inherited;
use super::peer::{Entrance, Peer};
use super::transport::{Duplex, Transport};
use super::{ServerError, Shared};
use crate::config::{Config, Listener};
use crate::identity::Authenticators;
use crate::session::Close;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A socket with its address taken, on which nobody listens yet.
pub(super) struct Bound {
    socket: Socket,
    at: At,
    pub entrance: Arc<Entrance>,
}

enum At {
    Address,
    Path(PathBuf),
    /// A path that somebody else made, and takes away.
    ForeignPath,
}

/// A socket that takes connections.
pub(super) struct Open {
    socket: Kind,
    /// Held for its Drop, which removes the file of a Unix socket.
    _file: Option<SocketFile>,
    entrance: Arc<Entrance>,
}

enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket's file was gone already");
        }
    }
}

/// Connections that the system keeps until they are accepted.
const BACKLOG: i32 = 1024;

/// Takes every listener's address, but for one of this machine's own IPv6 address where there is no IPv6.
pub(super) fn bind(
    config: &Config,
    authenticators: &Authenticators,
    mut inherited: Inherited,
) -> Result<Vec<Bound>, ServerError> {
    let mut bound = Vec::new();
    for listener in &config.listeners {
        let entrance = Entrance::open(listener, authenticators, config.limits.packet_bytes_max);
        let entrance = entrance.map_err(ServerError::Listener)?;
        match bind_one(listener, Arc::new(entrance), &mut inherited) {
            Ok(one) => bound.push(one),
            Err(ServerError::Bind { address, source }) if is_without_ipv6(listener, &source) && !bound.is_empty() => {
                tracing::warn!(%address, "this machine has no IPv6, so that this listener is left out");
            }
            Err(error) => return Err(error),
        }
    }
    inherited.close_unused();
    Ok(bound)
}

fn bind_one(listener: &Listener, entrance: Arc<Entrance>, inherited: &mut Inherited) -> Result<Bound, ServerError> {
    let (bound, at) = match (listener.address, &listener.unix) {
        (Some(address), _) => match inherited.at(address) {
            Some(socket) => (socket.set_nonblocking(true).map(|()| socket), At::Address),
            None => (bind_address(address), At::Address),
        },
        (None, Some(path)) => match inherited.at_path(path) {
            Some(socket) => (socket.set_nonblocking(true).map(|()| socket), At::ForeignPath),
            None => (bind_path(path, listener.unix_mode.as_deref()), At::Path(path.clone())),
        },
        (None, None) => (Err(io::ErrorKind::InvalidInput.into()), At::Path(PathBuf::new())),
    };
    let socket = bound.map_err(|source| ServerError::Bind { address: listener.to_string(), source })?;
    Ok(Bound { socket, at, entrance })
}

fn is_without_ipv6(listener: &Listener, source: &io::Error) -> bool {
    /// EAFNOSUPPORT on Linux, which has no name in the standard library.
    const NO_SUCH_FAMILY: i32 = 97;
    let is_missing = source.kind() == io::ErrorKind::AddrNotAvailable || source.raw_os_error() == Some(NO_SUCH_FAMILY);
    listener.address.is_some_and(|address| address.is_ipv6() && address.ip().is_loopback()) && is_missing
}

fn bind_address(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket's file that nobody listens on any more is replaced; anything else that is there is not.
fn bind_path(path: &Path, mode: Option<&str>) -> io::Result<Socket> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if let Some(mode) = mode.and_then(|mode| u32::from_str_radix(mode, 8).ok()) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(socket)
}

impl Bound {
    pub fn listen(self) -> Result<Open, ServerError> {
        let Self { socket, at, entrance } = self;
        let file = match &at {
            At::Address | At::ForeignPath => None,
            At::Path(path) => Some(SocketFile(path.clone())),
        };
        let opened = socket.listen(BACKLOG).and_then(|()| match at {
            At::Address => TcpListener::from_std(socket.into()).map(Kind::Tcp),
            At::Path(_) | At::ForeignPath => UnixListener::from_std(socket.into()).map(Kind::Unix),
        });
        match opened {
            Ok(socket) => Ok(Open { socket, _file: file, entrance }),
            Err(source) => Err(ServerError::Bind { address: entrance.name.clone(), source }),
        }
    }
}

/// A connection as it was accepted.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Open {
    /// Accepts connections until told to stop, then waits for those it has.
    pub async fn accept(self, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
        let Entrance { name, allow_anonymous, tls, websocket, .. } = &*self.entrance;
        let (tls, websocket) = (tls.is_some(), websocket.is_some());
        tracing::info!(address = name, allow_anonymous, tls, websocket, "listening");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept_one() => match accepted {
                    Ok(accepted) => self.admit(&shared, accepted, &mut connections),
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
        drop(self);
        while !connections.is_empty() {
            shared.broker.close_all(Close::Shutdown);
            // A connection that was just opening may have missed the call.
            let _ = tokio::time::timeout(Duration::from_millis(200), connections.join_next()).await;
        }
    }

    async fn accept_one(&self) -> io::Result<Accepted> {
        match &self.socket {
            Kind::Tcp(socket) => socket.accept().await.map(|(stream, address)| Accepted::Tcp(stream, address)),
            Kind::Unix(socket) => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    fn admit(&self, shared: &Arc<Shared>, accepted: Accepted, connections: &mut JoinSet<()>) {
        let address = match &accepted {
            Accepted::Tcp(_, address) => Some(*address),
            Accepted::Unix(_) => None,
        };
        let counters = &shared.broker.counters;
        let is_direct = self.entrance.proxies.is_none();
        let from = address.map(|address| address.ip());
        if is_direct && !shared.broker.abuse.may_connect(from, counters, shared.clock.now()) {
            return;
        }
        let Some(pass) = shared.admission.admit(address.map(|address| address.ip()), counters) else { return };
        let place = match self.entrance.room.clone().map(|room| room.try_acquire_owned()) {
            Some(Err(_)) => return counters.connections_refused_listener.add(1),
            Some(Ok(place)) => Some(place),
            None => None,
        };
        let peer = Peer { entrance: self.entrance.clone(), address, certificate: None };
        let shared = shared.clone();
        match accepted {
            Accepted::Tcp(stream, _) => {
                // A lone small packet must not wait for an acknowledgement of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    return tracing::debug!(address = %peer, %error, "the client was gone before it was served");
                }
                if peer.entrance.is_plain() {
                    // The most of all connections: their task holds what serves them, and nothing else.
                    connections.spawn(Connection::new(shared, Transport::Tcp(stream), peer).serve((pass, place)));
                } else {
                    connections.spawn(serve(shared, stream, peer, (pass, place)));
                }
            }
            Accepted::Unix(stream) => {
                connections.spawn(serve(shared, stream, peer, (pass, place)));
            }
        }
    }
}

/// Does what comes before MQTT, then serves.
async fn serve<S: Duplex + 'static, P>(shared: Arc<Shared>, stream: S, mut peer: Peer, place: P) {
    let patience = shared.limits.connect_timeout;
    // On the heap, and gone once it is over: handshakes are large, and connections are many.
    let shaken = Box::pin(tokio::time::timeout(patience, handshake::shake(&shared, stream, &mut peer))).await;
    match shaken.unwrap_or(Err(Failure::TimedOut)) {
        Ok(transport) => pin!(Connection::new(shared, transport, peer).serve(place)).await,
        Err(failure) => failure.report(&shared.broker.counters, &peer),
    }
}
