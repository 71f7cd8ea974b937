//! Sockets that are listened on, and the connections that come in through them.
use super::Shared;
use super::connection::Connection;
use super::handshake::{self, Failure};
use super::peer::{Entrance, Peer};
use super::room::Cut;
use super::transport::{Duplex, Transport};
use crate::session::Close;
use crate::types::{Rare, ReasonCode};
use arc_swap::ArcSwap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};

/// A socket that takes connections.
pub(super) struct Open {
    pub socket: Kind,
    /// Held for its Drop, which removes the file of a Unix socket.
    pub _file: Option<SocketFile>,
    /// The rules for those who come from now on.
    pub entrance: Arc<ArcSwap<Entrance>>,
}

pub(super) enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener),
}

pub(super) struct SocketFile(pub PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket's file was gone already");
        }
    }
}

/// Whether a listener is to end, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Open,
    /// With the broker.
    Shutdown,
    /// It is not in the configuration any more.
    Removed,
}

/// A connection as it was accepted.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Open {
    /// Accepts connections until told to stop, then waits for those it has.
    pub async fn accept(self, shared: Arc<Shared>, mut ending: watch::Receiver<Ending>, closed: oneshot::Sender<()>) {
        let Entrance { name, allow_anonymous, tls, websocket, .. } = &*self.entrance.load_full();
        let (tls, websocket) = (tls.is_some(), websocket.is_some());
        tracing::info!(address = %name, allow_anonymous, tls, websocket, "listening");
        let room = self.entrance.load().room.clone();
        let _cut = Cut(room.clone());
        loop {
            tokio::select! {
                accepted = self.accept_one() => match accepted {
                    Ok(accepted) => self.admit(&shared, accepted),
                    Err(error) => {
                        // Out of file descriptors, most often: connections that end make room.
                        tracing::warn!(%error, "cannot accept a connection; raise the limit of open files");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                _ = ending.changed() => break,
            }
        }
        drop(self);
        // Nobody listens to it while the broker ends.
        let _ = closed.send(());
        while !room.is_empty() {
            match *ending.borrow_and_update() {
                Ending::Removed => shared.broker.close_listener(name, ReasonCode::AdministrativeAction),
                Ending::Open | Ending::Shutdown => drop(shared.broker.close_all(Close::Shutdown)),
            }
            // A connection that was just opening may have missed the call.
            let _ = tokio::time::timeout(Duration::from_millis(200), room.left()).await;
        }
    }

    async fn accept_one(&self) -> io::Result<Accepted> {
        match &self.socket {
            Kind::Tcp(socket) => socket.accept().await.map(|(stream, address)| Accepted::Tcp(stream, address)),
            Kind::Unix(socket) => socket.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    fn admit(&self, shared: &Arc<Shared>, accepted: Accepted) {
        let address = match &accepted {
            Accepted::Tcp(_, address) => Some(*address),
            Accepted::Unix(_) => None,
        };
        let counters = &shared.broker.counters;
        let is_direct = self.entrance.load().proxies.is_none();
        let from = address.map(|address| address.ip());
        if is_direct && !shared.broker.abuse.may_connect(from, counters, shared.clock.now()) {
            return;
        }
        let Some(pass) = shared.admission.admit(address.map(|address| address.ip()), counters) else { return };
        let entrance = self.entrance.load_full();
        let Some(place) = entrance.room.enter(entrance.connections_max) else {
            return counters.connections_refused_listener.add(1);
        };
        let room = entrance.room.clone();
        let peer = Peer { entrance, address, tls: Rare::default() };
        let shared = shared.clone();
        match accepted {
            Accepted::Tcp(stream, _) => {
                // A lone small packet must not wait for an acknowledgement of the one before.
                if let Err(error) = stream.set_nodelay(true) {
                    return tracing::debug!(address = %peer, %error, "the client was gone before it was served");
                }
                if peer.entrance.is_plain() {
                    // The most of all connections: their task holds what serves them, and nothing else.
                    let connection = Connection::new(shared, Transport::Tcp(stream), peer);
                    room.spawn(place, |place| connection.serve((pass, place)));
                } else {
                    room.spawn(place, |place| serve(shared, stream, peer, (pass, place)));
                }
            }
            Accepted::Unix(stream) => {
                room.spawn(place, |place| serve(shared, stream, peer, (pass, place)));
            }
        }
    }
}

/// Does what comes before MQTT, then serves.
async fn serve<S: Duplex + 'static, P>(shared: Arc<Shared>, stream: S, mut peer: Peer, place: P) {
    let patience = shared.limits.load().connect_timeout;
    // On the heap, and gone once it is over: handshakes are large, and connections are many.
    let shaken = Box::pin(tokio::time::timeout(patience, handshake::shake(&shared, stream, &mut peer))).await;
    match shaken.unwrap_or(Err(Failure::TimedOut)) {
        Ok(transport) => pin!(Connection::new(shared, transport, peer).serve(place)).await,
        Err(failure) => failure.report(&shared.broker.counters, &peer),
    }
}
