//! Who is at the other end of a connection, as far as its transport tells.
use super::room::Room;
use super::websocket::Rules;
use crate::broker::Standing;
use crate::config::Listener;
use crate::identity::{Authenticators, Chain, Voucher};
use crate::tls::{Guard, Place as TlsPlace, Shown};
use crate::types::{Rare, Text};
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

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
    /// What the peer's TLS handshake proved, if it showed a certificate there.
    pub tls: Rare<TlsPeer>,
}

/// A peer with a certificate of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsPeer {
    /// The name in the certificate.
    pub name: Option<Text>,
    /// What it showed, where that may be revoked while it is connected.
    pub shown: Option<Arc<Shown>>,
}

impl Peer {
    /// The name in the certificate of the peer.
    pub fn certificate(&self) -> Option<&Text> {
        self.tls.get()?.name.as_ref()
    }

    /// What may be taken back of what the client was let in by.
    pub fn standing(&self, proved: Option<(Voucher, Text)>) -> Option<Standing> {
        let shown = self.tls.get().and_then(|tls| tls.shown.clone());
        if proved.is_none() && shown.is_none() {
            return None;
        }
        let entrance = self.entrance.clone();
        Some(Standing::new(move || {
            let guard = entrance.tls.as_ref();
            let is_revoked = guard.zip(shown.as_ref()).is_some_and(|(guard, shown)| guard.is_revoked(shown));
            let is_known = |(voucher, user): &(Voucher, Text)| entrance.authenticators.vouches(voucher, user.as_str());
            !is_revoked && proved.as_ref().is_none_or(is_known)
        }))
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
