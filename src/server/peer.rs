//! Who is at the other end of a connection, as far as its transport tells.
use super::tls::Guard;
use super::websocket::Rules;
use crate::config::Listener;
use crate::identity::{Authenticators, Chain};
use crate::types::{Identity, Text};
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The rules of the listener that a connection came through.
pub(super) struct Entrance {
    /// As the configuration names it.
    pub name: String,
    /// Whether a client that gives no proof of who it is is let in.
    pub allow_anonymous: bool,
    /// Who is asked who a client is.
    pub authenticators: Chain,
    pub tls: Option<Arc<Guard>>,
    pub websocket: Option<Rules>,
    /// The networks whose PROXY headers are believed, where each connection begins with one.
    pub proxies: Option<Vec<IpNet>>,
    /// Room for connections through this listener; `None` sets no limit.
    pub room: Option<Arc<Semaphore>>,
}

impl Entrance {
    pub fn open(listener: &Listener, authenticators: &Authenticators, packet_bytes_max: usize) -> Result<Self, String> {
        Ok(Self {
            name: listener.to_string(),
            allow_anonymous: listener.allow_anonymous,
            authenticators: authenticators.chain(listener.authenticators.as_deref()),
            tls: listener.tls.as_ref().map(Guard::open).transpose()?.map(Arc::new),
            websocket: Rules::of(listener, packet_bytes_max),
            proxies: listener.proxy_protocol.then(|| listener.proxy_trusted.clone()),
            room: (listener.connections_max > 0).then(|| Arc::new(Semaphore::new(listener.connections_max))),
        })
    }

    /// Whether MQTT begins with the first byte.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.websocket.is_none() && self.proxies.is_none()
    }
}

impl fmt::Debug for Entrance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Entrance").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub entrance: Arc<Entrance>,
    /// `None` for one on a Unix socket.
    pub address: Option<SocketAddr>,
    /// The name in the certificate that the peer's TLS handshake proved.
    pub certificate: Option<Text>,
}

impl Peer {
    /// What is known without any proof by the client itself.
    pub fn identity(&self) -> Identity {
        Identity {
            certificate: self.certificate.clone(),
            address: self.address.map(|address| address.ip()),
            ..Identity::default()
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(address) => address.fmt(formatter),
            None => formatter.write_str(&self.entrance.name),
        }
    }
}
