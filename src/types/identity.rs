//! Who a client has proved to be.
use super::{Rare, Text};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What the broker knows of the person or device behind a connection, once it has been let in. Never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// The user that was proved; `None` is an anonymous client.
    pub user: Option<Text>,
    /// Where the client is; `None` for a peer without an address, such as one on a Unix socket.
    pub address: Option<IpAddr>,
    /// There is an identity for each connection, and few have more than the above. Set by [`Self::with`].
    pub attributes: Rare<Attributes>,
}

/// What some ways to prove who a client is tell beside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    pub groups: Vec<Text>,
    /// Claims of a token, for access rules to use.
    pub claims: BTreeMap<String, String>,
    /// The name in the client's certificate.
    pub certificate: Option<Text>,
    /// Milliseconds since 1970 from which on the proof is worth nothing, as for a token that expires.
    pub expires_at_ms: Option<u64>,
}

static NO_ATTRIBUTES: Attributes =
    Attributes { groups: Vec::new(), claims: BTreeMap::new(), certificate: None, expires_at_ms: None };

impl Identity {
    #[must_use]
    pub fn with(mut self, attributes: Attributes) -> Self {
        self.attributes.clear();
        if attributes != NO_ATTRIBUTES {
            *self.attributes.edit() = attributes;
        }
        self
    }

    pub fn attributes(&self) -> &Attributes {
        self.attributes.get().unwrap_or(&NO_ATTRIBUTES)
    }

    /// Whether both are the same client, as far as a session's owner goes: the same user, or, where neither has proved
    /// one, the same name in the certificate, if any.
    pub fn is_same_owner(&self, other: &Self) -> bool {
        let is_same_certificate = || self.attributes().certificate == other.attributes().certificate;
        self.user == other.user && (self.user.is_some() || is_same_certificate())
    }

    /// What a session remembers of its owner while the client is away. The proof itself ends with the connection.
    #[must_use]
    pub fn remembered(self: &Arc<Self>) -> Arc<Self> {
        if self.attributes().expires_at_ms.is_none() {
            return self.clone();
        }
        let attributes = Attributes { expires_at_ms: None, ..self.attributes().clone() };
        Arc::new(Self::clone(self).with(attributes))
    }
}
