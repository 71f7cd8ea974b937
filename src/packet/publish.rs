//! PUBLISH (section 3.3).
use super::Version;
use crate::types::{PacketId, PublishProperties, QoS, TopicName};
use bytes::Bytes;

/// The level of a PUBLISH, with the identifier that levels 1 and 2 need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishQoS {
    AtMostOnce,
    AtLeastOnce(PacketId),
    ExactlyOnce(PacketId),
}

impl PublishQoS {
    pub const fn level(self) -> QoS {
        match self {
            Self::AtMostOnce => QoS::AtMostOnce,
            Self::AtLeastOnce(_) => QoS::AtLeastOnce,
            Self::ExactlyOnce(_) => QoS::ExactlyOnce,
        }
    }

    pub const fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

/// A PUBLISH as it was received; topic and payload are slices of the read buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub dup: bool,
    pub qos: PublishQoS,
    pub retain: bool,
    /// `None` when only a Topic Alias names the topic (5.0).
    pub topic: Option<TopicName>,
    pub topic_alias: Option<u16>,
    /// Subscription Identifiers, in the order sent; a client must send none [MQTT-3.3.4-6].
    pub subscription_ids: Vec<u32>,
    pub properties: PublishProperties,
    pub payload: Bytes,
}

/// A PUBLISH to be written, borrowed from wherever its parts live, so that nothing is copied but into the frame.
#[derive(Debug, Clone, Copy)]
pub struct PublishFrame<'a> {
    pub dup: bool,
    pub qos: PublishQoS,
    pub retain: bool,
    /// Empty when `topic_alias` alone names the topic.
    pub topic: &'a [u8],
    pub topic_alias: Option<u16>,
    pub expiry_s: Option<u32>,
    pub subscription_ids: &'a [u32],
    /// Properties already encoded; see [`PublishProperties::forward`].
    pub forward: &'a [u8],
    pub payload: &'a [u8],
}

impl Publish {
    pub fn frame(&self) -> PublishFrame<'_> {
        PublishFrame {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.as_ref().map_or(&[], |topic| topic.as_bytes()),
            topic_alias: self.topic_alias,
            expiry_s: self.properties.expiry_s,
            subscription_ids: &self.subscription_ids,
            forward: &self.properties.forward,
            payload: &self.payload,
        }
    }
}

impl PublishFrame<'_> {
    /// Length of the properties proper, without the length that precedes them; 0 before 5.0.
    pub fn properties_len(&self, version: Version) -> usize {
        if !version.is_v5() {
            return 0;
        }
        let alias = self.topic_alias.map_or(0, |_| 3);
        let expiry = self.expiry_s.map_or(0, |_| 5);
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + varint_len(*id as usize)).sum();
        alias + expiry + ids + self.forward.len()
    }

    /// The Remaining Length of the packet (section 2.1.4).
    pub fn remaining_len(&self, version: Version) -> usize {
        self.remaining_len_with(self.properties_len(version), version)
    }

    /// The same where the length of the properties is known already.
    pub const fn remaining_len_with(&self, properties_len: usize, version: Version) -> usize {
        let properties = if version.is_v5() { varint_len(properties_len) + properties_len } else { 0 };
        let id = if matches!(self.qos, PublishQoS::AtMostOnce) { 0 } else { 2 };
        2 + self.topic.len() + id + properties + self.payload.len()
    }

    /// Bytes of the whole packet, as the peer's Maximum Packet Size counts them (5.0 section 3.1.2.11.4).
    pub fn packet_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version);
        1 + varint_len(remaining) + remaining
    }
}

/// Bytes of a Variable Byte Integer (section 1.5.5).
pub const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}
