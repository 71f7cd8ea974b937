//! Who is at the other end of a connection, as far as its transport tells.
use super::websocket::Rules;
use crate::broker::Standing;
use crate::config::Listener;
use crate::identity::{Authenticators, Chain, Voucher};
use crate::tls::{Guard, Place as TlsPlace, Shown};
use crate::types::{Identity, Text};
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many connections came through a listener and are there. Only its accept loop lets anybody in, so that the limit
/// holds though nothing is locked.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// A connection's place; dropping it makes room.
pub(super) struct Place(Room);

impl Room {
    /// `at_most` of 0 sets no limit.
    pub fn enter(&self, at_most: usize) -> Option<Place> {
        if at_most > 0 && self.0.load(Ordering::Relaxed) >= at_most {
            return None;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Some(Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The rules of the listener that a connection came through.
pub(super) struct Entrance {
    /// As the configuration names it.
    pub name: Arc<str>,
    /// Whether a client that gives no proof of who it is is let in.
    pub allow_anonymous: bool,
    /// Who is asked who a client is.
    pub authenticators: Chain,
    pub tls: Option<Arc<Guard>>,
    pub websocket: Option<Rules>,
    /// The networks whose PROXY headers are believed, where each connection begins with one.
    pub proxies: Option<Vec<IpNet>>,
    /// The connections through this listener, and how many there may be; 0 sets no limit.
    pub room: Room,
    pub connections_max: usize,
}

impl Entrance {
    pub fn open(listener: &Listener, authenticators: &Authenticators, packet_bytes_max: usize) -> Result<Self, String> {
        Ok(Self {
            name: listener.to_string().into(),
            allow_anonymous: listener.allow_anonymous,
            authenticators: authenticators.chain(listener.authenticators.as_deref()),
            tls: listener.tls.as_ref().map(|tls| Guard::open(tls, TlsPlace::Listener)).transpose()?.map(Arc::new),
            websocket: Rules::of(listener, packet_bytes_max),
            proxies: listener.proxy_protocol.then(|| listener.proxy_trusted.clone()),
            room: Room::default(),
            connections_max: listener.connections_max,
        })
    }

    /// The same listener with other settings: who is there keeps counting, and TLS that stays as it is is not made anew.
    pub fn changed(
        &self,
        from: &Listener,
        to: &Listener,
        authenticators: &Authenticators,
        packet_bytes_max: usize,
    ) -> Result<Self, String> {
        let is_same = from.tls == to.tls;
        let bare = Listener { tls: to.tls.clone().filter(|_| !is_same), ..to.clone() };
        let opened = Self::open(&bare, authenticators, packet_bytes_max)?;
        let tls = if is_same { self.tls.clone() } else { opened.tls };
        Ok(Self { name: self.name.clone(), room: self.room.clone(), tls, ..opened })
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
    /// What it showed there, where that may be revoked while it is connected.
    pub shown: Option<Arc<Shown>>,
}

impl Peer {
    /// What may be taken back of what the client was let in by.
    pub fn standing(&self, proved: Option<(Voucher, Text)>) -> Option<Standing> {
        if proved.is_none() && self.shown.is_none() {
            return None;
        }
        let (entrance, shown) = (self.entrance.clone(), self.shown.clone());
        Some(Standing::new(move || {
            let guard = entrance.tls.as_ref();
            let is_revoked = guard.zip(shown.as_ref()).is_some_and(|(guard, shown)| guard.is_revoked(shown));
            let is_known = |(voucher, user): &(Voucher, Text)| entrance.authenticators.vouches(voucher, user.as_str());
            !is_revoked && proved.as_ref().is_none_or(is_known)
        }))
    }

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
