//! What a peer did wrong, told with the statement it breaks and the reason code to answer with.
use super::ReasonCode;

/// A breach of the protocol, or of a limit of this broker, that ends the network connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why} [{rule}] (reason code 0x{:02x})", *reason as u8)]
pub struct Violation {
    /// The reason code for a CONNACK or DISCONNECT, where the peer's version has one.
    pub reason: ReasonCode,
    /// The statement that was broken, as `MQTT-section-n`, `sec:x.y`, or the setting that set the limit.
    pub rule: &'static str,
    /// The fault in a few words, for the log and for the Reason String.
    pub why: &'static str,
}

impl Violation {
    pub const fn new(reason: ReasonCode, rule: &'static str, why: &'static str) -> Self {
        Self { reason, rule, why }
    }

    /// The packet cannot be parsed (MQTT 5.0 section 4.13: Malformed Packet, 0x81).
    pub const fn malformed(rule: &'static str, why: &'static str) -> Self {
        Self::new(ReasonCode::MalformedPacket, rule, why)
    }

    /// The packet can be parsed but is not allowed here (section 4.13: Protocol Error, 0x82).
    pub const fn protocol(rule: &'static str, why: &'static str) -> Self {
        Self::new(ReasonCode::ProtocolError, rule, why)
    }
}
