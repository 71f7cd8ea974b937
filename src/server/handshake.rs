//! What comes before MQTT on a connection: a PROXY header, TLS, WebSocket.
use super::peer::{Peer, TlsPeer};
use super::transport::{Duplex, Transport};
use super::{Shared, proxy};
use crate::broker::Counters;
use std::io;
use std::sync::Arc;
use tokio_tungstenite::tungstenite;

/// Why a connection never came to MQTT.
#[derive(Debug)]
pub(super) enum Failure {
    TimedOut,
    /// The peer is no proxy of ours, or sent no header.
    Proxy(io::Error),
    /// The address that the proxy told is kept out, or connects too often; counted there.
    KeptOut,
    /// No room for a handshake.
    NoRoom,
    Tls(io::Error),
    /// The certificate has no name to know the client by.
    Nameless,
    WebSocket(Box<tungstenite::Error>),
}

impl Failure {
    pub fn report(&self, counters: &Counters, peer: &Peer) {
        let counter = match self {
            Self::KeptOut => None,
            Self::TimedOut => Some(&counters.handshakes_timed_out),
            Self::Proxy(_) => Some(&counters.proxies_refused),
            Self::NoRoom => Some(&counters.handshakes_refused),
            Self::Tls(_) | Self::Nameless => Some(&counters.handshakes_failed),
            Self::WebSocket(_) => Some(&counters.upgrades_refused),
        };
        if let Some(counter) = counter {
            counter.add(1);
        }
        let address = peer.to_string();
        match self {
            Self::KeptOut => tracing::debug!(address, "kept out"),
            Self::TimedOut => tracing::debug!(address, "no handshake within limits.connect_timeout_ms"),
            Self::NoRoom => tracing::warn!(address, "too many TLS handshakes at once; see limits.tls_handshakes_max"),
            Self::Proxy(error) => tracing::warn!(address, %error, "refused: the PROXY header"),
            Self::Tls(error) => tracing::info!(address, %error, "refused: the TLS handshake failed"),
            Self::Nameless => tracing::info!(address, "refused: the client's certificate has no name to know it by"),
            Self::WebSocket(error) => tracing::info!(address, %error, "refused: the WebSocket handshake failed"),
        }
    }
}

/// Does whatever the listener asks for; the peer learns its address and the name in its certificate.
pub(super) async fn shake<S: Duplex + 'static>(
    shared: &Shared,
    mut stream: S,
    peer: &mut Peer,
) -> Result<Transport, Failure> {
    let entrance = peer.entrance.clone();
    if let Some(trusted) = &entrance.proxies {
        let is_trusted = peer.address.is_none_or(|address| trusted.iter().any(|net| net.contains(&address.ip())));
        if !is_trusted {
            let why = "it comes from an address that is not in listener.proxy_trusted";
            return Err(Failure::Proxy(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        if let Some(address) = proxy::read_header(&mut stream).await.map_err(Failure::Proxy)? {
            peer.address = Some(address);
        }
        let from = peer.address.map(|address| address.ip());
        if !shared.broker.abuse.may_connect(from, &shared.broker.counters, shared.clock.now()) {
            return Err(Failure::KeptOut);
        }
    }
    let Some(guard) = &entrance.tls else { return upgrade(stream, peer).await };
    // Whoever is connected already is not held up by those who are about to be: few handshakes run at once.
    let Ok(place) = shared.handshakes.load_full().acquire_owned().await else { return Err(Failure::NoRoom) };
    // Asked for first: files that change in between are looked at once more than needed.
    let before = guard.digest();
    let stream = guard.acceptor().accept(stream).await.map_err(Failure::Tls)?;
    let name = guard.client_name(stream.get_ref().1);
    let shown = guard.shown(stream.get_ref().1, before).map(Arc::new);
    if name.is_some() || shown.is_some() {
        *peer.tls.edit() = TlsPeer { name, shown };
    }
    if guard.needs_name() && peer.certificate().is_none() {
        return Err(Failure::Nameless);
    }
    drop(place);
    upgrade(stream, peer).await
}

async fn upgrade<S: Duplex + 'static>(stream: S, peer: &Peer) -> Result<Transport, Failure> {
    match &peer.entrance.websocket {
        None => Ok(Transport::Other(Box::new(stream))),
        Some(rules) => {
            let framed = rules.upgrade(stream).await.map_err(|error| Failure::WebSocket(Box::new(error)))?;
            Ok(Transport::Other(Box::new(framed)))
        }
    }
}
