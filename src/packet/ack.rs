//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7).
use crate::types::{PacketId, ReasonCode, Text, UserProperties};

/// Reason String and User Properties that explain a response (5.0 only).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    pub reason_string: Option<Text>,
    pub user: UserProperties,
}

/// One step of a QoS 1 or 2 handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub id: PacketId,
    /// Always `Success` in 3.1.1.
    pub code: ReasonCode,
    pub diagnostics: Option<Box<Diagnostics>>,
}

/// Which step of a handshake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AckType {
    PubAck,
    PubRec,
    PubRel,
    PubComp,
}

impl AckType {
    /// The packet's name as the standard writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
        }
    }
}

impl Ack {
    pub const fn new(id: PacketId, code: ReasonCode) -> Self {
        Self { id, code, diagnostics: None }
    }

    pub const fn success(id: PacketId) -> Self {
        Self::new(id, ReasonCode::Success)
    }
}
