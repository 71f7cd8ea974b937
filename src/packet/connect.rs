//! CONNECT (section 3.1).
use super::Version;
use crate::types::{PublishProperties, QoS, Text, TopicName, UserProperties};
use bytes::Bytes;

/// A client's request for a network connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    pub version: Version,
    /// Clean Start (5.0) or Clean Session (3.1.1).
    pub clean_start: bool,
    /// Seconds; 0 turns the keep-alive off.
    pub keep_alive_s: u16,
    /// Empty asks for an assigned identifier.
    pub client_id: Text,
    pub will: Option<Will>,
    pub user_name: Option<Text>,
    pub password: Option<Bytes>,
    pub properties: ConnectProperties,
}

/// CONNECT properties (5.0 section 3.1.2.11); `None` where the client left one out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectProperties {
    /// Seconds; `u32::MAX` never expires.
    pub session_expiry_s: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_packet_bytes: Option<u32>,
    pub topic_alias_maximum: Option<u16>,
    pub request_response_information: Option<bool>,
    pub request_problem_information: Option<bool>,
    pub user: UserProperties,
    pub authentication_method: Option<Text>,
    pub authentication_data: Option<Bytes>,
}

/// The message to publish when the client goes without saying so (section 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: QoS,
    pub retain: bool,
    /// Will Delay Interval, seconds.
    pub delay_s: u32,
    pub properties: PublishProperties,
}
