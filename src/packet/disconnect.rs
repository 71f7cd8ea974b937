//! DISCONNECT (section 3.14).
use super::Diagnostics;
use crate::types::{ReasonCode, Text};

/// The last packet of a network connection. The broker sends it in 5.0 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    pub code: ReasonCode,
    pub properties: Option<Box<DisconnectProperties>>,
}

/// DISCONNECT properties (5.0 section 3.14.2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisconnectProperties {
    /// Seconds; from clients only [MQTT-3.14.2-2].
    pub session_expiry_s: Option<u32>,
    pub server_reference: Option<Text>,
    pub diagnostics: Diagnostics,
}

impl Disconnect {
    pub const fn new(code: ReasonCode) -> Self {
        Self { code, properties: None }
    }
}
