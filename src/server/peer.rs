//! Who is at the other end of a connection, as far as its transport tells.
use crate::identity::Chain;
use crate::types::{Identity, Text};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The rules of the listener that a connection came through.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    /// As the configuration names it.
    pub name: String,
    /// Whether a client that gives no proof of who it is is let in.
    pub allow_anonymous: bool,
    /// Who is asked who a client is.
    pub authenticators: Chain,
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
