//! CONNACK (section 3.2).
use super::Diagnostics;
use crate::types::{QoS, ReasonCode, Text};
use bytes::Bytes;

/// The answer to a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    pub session_present: bool,
    /// As 5.0 has it; the codec writes the nearest return code for older versions.
    pub code: ReasonCode,
    pub properties: ConnAckProperties,
}

/// CONNACK properties (5.0 section 3.2.2.3); `None` leaves one out, which stands for the standard's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties {
    pub session_expiry_s: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    pub maximum_packet_bytes: Option<u32>,
    pub assigned_client_id: Option<Text>,
    pub topic_alias_maximum: Option<u16>,
    pub wildcard_subscriptions: Option<bool>,
    pub subscription_identifiers: Option<bool>,
    pub shared_subscriptions: Option<bool>,
    pub server_keep_alive_s: Option<u16>,
    pub response_information: Option<Text>,
    pub server_reference: Option<Text>,
    pub authentication_method: Option<Text>,
    pub authentication_data: Option<Bytes>,
    pub diagnostics: Diagnostics,
}

impl ConnAck {
    /// A refusal: never claims a session [MQTT-3.2.2-6].
    pub fn refusal(code: ReasonCode) -> Self {
        Self { session_present: false, code, properties: ConnAckProperties::default() }
    }
}
