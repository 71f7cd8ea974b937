//! How a network connection comes to its end, and what remains of the session.
use super::{Parked, Turn};
use crate::types::{ReasonCode, Violation};

/// Why this side closes the network connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The client sent DISCONNECT; the code is what it said.
    ByClient(ReasonCode),
    /// The client broke the protocol or a limit.
    Violation(Violation),
    /// A message of a 3.1.1 client was refused, which it can be told in no other way.
    Refused(ReasonCode),
    /// Nothing came for one and a half keep-alive periods.
    KeepAlive,
    /// Another connection took the Client Identifier.
    TakenOver {
        clean_start: bool,
    },
    Shutdown,
    /// What proved who the client is counts no more.
    ProofExpired,
    /// What proved who the client is was taken back.
    ProofWithdrawn,
    /// The peer took nothing of what was written to it for too long.
    Stalled,
    /// An operator's or a safeguard's decision.
    Administrative(ReasonCode),
}

impl Close {
    /// The code of the DISCONNECT that tells a 5.0 client; `None` where nothing is sent.
    pub fn code(&self) -> Option<ReasonCode> {
        match self {
            Self::ByClient(_) | Self::Stalled => None,
            Self::Violation(violation) => Some(violation.reason),
            Self::Refused(code) | Self::Administrative(code) => Some(*code),
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver { .. } => Some(ReasonCode::SessionTakenOver),
            Self::Shutdown => Some(ReasonCode::ServerShuttingDown),
            Self::ProofExpired => Some(ReasonCode::MaximumConnectTime),
            Self::ProofWithdrawn => Some(ReasonCode::NotAuthorized),
        }
    }

    /// The Reason String to go with it.
    pub fn why(&self) -> Option<&'static str> {
        match self {
            Self::Violation(violation) => Some(violation.why),
            Self::KeepAlive => Some("nothing came within 1.5 times the keep-alive"),
            Self::TakenOver { .. } => Some("another connection uses this client identifier"),
            Self::Shutdown => Some("the broker is shutting down"),
            Self::ProofExpired => Some("what proved who the client is has expired"),
            Self::ProofWithdrawn => Some("what proved who the client is was taken back"),
            Self::ByClient(_) | Self::Refused(_) | Self::Stalled | Self::Administrative(_) => None,
        }
    }
}

/// How the network connection ended, as far as the session cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// DISCONNECT with 0x00: the will is forgotten [MQTT-3.14.4-3].
    Normal,
    /// Everything else: the will takes its course [MQTT-3.1.2-8].
    Lost,
    /// Another connection starts afresh with the Client Identifier: the session ends, and its will is due.
    Discarded,
}

impl From<Close> for Cause {
    fn from(close: Close) -> Self {
        match close {
            Close::ByClient(ReasonCode::Success) => Self::Normal,
            Close::TakenOver { clean_start: true } => Self::Discarded,
            _ => Self::Lost,
        }
    }
}

/// What is left when a connection has ended. Publications of a will are in the turn.
#[derive(Debug)]
pub enum Ended {
    /// The session waits for its client, or for its will or expiry to come due.
    Parked(Box<Parked>),
    /// The session is over. Unfinished shared deliveries are with the [`Parked`] remains, for other members.
    Discarded(Box<Parked>),
}

impl Turn {
    /// Takes the close that was asked for.
    pub fn take_close(&mut self) -> Option<Close> {
        self.close.take()
    }
}
