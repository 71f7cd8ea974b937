//! Which packets belong to the same exchange.
use super::Waypoint;
use super::ring::Exchange;
use crate::types::{QoS, SessionKey};

impl Waypoint {
    /// The exchange that begins with this step.
    pub(super) fn begins(self, session: SessionKey) -> Option<Exchange> {
        match self {
            Self::Received { packet_id, .. } => Some(Exchange { session, is_outbound: false, packet_id: packet_id? }),
            Self::Sent { packet_id, .. } => Some(Exchange { session, is_outbound: true, packet_id: packet_id? }),
            _ => None,
        }
    }

    /// The exchange that a packet belongs to, and whether the packet is its last.
    pub(super) fn names(self, session: SessionKey) -> Option<(Exchange, bool)> {
        let (packet, packet_id, code, is_answer) = match self {
            Self::Answered { packet, packet_id, code } => (packet, packet_id, code, true),
            Self::Acknowledged { packet, packet_id, code } => (packet, packet_id, code, false),
            _ => return None,
        };
        // PUBREL goes the way of its PUBLISH, all others the other way.
        let is_outbound = is_answer == (packet == "PUBREL");
        let is_last = matches!(packet, "PUBACK" | "PUBCOMP") || (packet == "PUBREC" && code.is_failure());
        Some((Exchange { session, is_outbound, packet_id }, is_last))
    }

    /// Whether the message is shown with it: once where it comes in, and where it leaves.
    pub(super) fn shows_payload(self) -> bool {
        matches!(self, Self::Received { .. } | Self::Sent { .. })
    }

    /// The name it is told by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Received { .. } => "received",
            Self::Refused { .. } => "refused",
            Self::Routed { .. } => "routed",
            Self::Stored { .. } => "stored",
            Self::Sent { .. } => "sent",
            Self::Answered { .. } => "answered",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Dropped { .. } => "dropped",
        }
    }

    /// The QoS of a PUBLISH.
    pub fn qos(self) -> Option<QoS> {
        match self {
            Self::Received { qos, .. } | Self::Routed { qos, .. } | Self::Sent { qos, .. } => Some(qos),
            _ => None,
        }
    }
}
