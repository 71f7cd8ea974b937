//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK (sections 3.8 to 3.11).
use super::Diagnostics;
use crate::types::{PacketId, QoS, ReasonCode, TopicFilter, UserProperties};

/// When retained messages are sent at a SUBSCRIBE (5.0 section 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RetainHandling {
    /// At every SUBSCRIBE; 3.1.1's only way.
    #[default]
    Always,
    /// Only if the subscription did not exist.
    IfNew,
    Never,
}

/// Subscription Options (section 3.8.3.1); all but the QoS have 3.1.1's behaviour as their default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriptionOptions {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeFilter {
    pub filter: TopicFilter,
    pub options: SubscriptionOptions,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    pub id: PacketId,
    /// 1 to 268,435,455 (5.0 section 3.8.2.1.2).
    pub subscription_id: Option<u32>,
    pub user: UserProperties,
    /// Never empty [MQTT-3.8.3-2].
    pub filters: Vec<SubscribeFilter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    pub id: PacketId,
    /// One code per filter, in order [MQTT-3.9.3-1]; the codec writes 0x80 for every failure to a 3.1.1 client.
    pub codes: Vec<ReasonCode>,
    pub diagnostics: Option<Box<Diagnostics>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    pub id: PacketId,
    pub user: UserProperties,
    /// Never empty [MQTT-3.10.3-2].
    pub filters: Vec<TopicFilter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    pub id: PacketId,
    /// One code per filter, in order [MQTT-3.11.3-1]; not written to a 3.1.1 client.
    pub codes: Vec<ReasonCode>,
    pub diagnostics: Option<Box<Diagnostics>>,
}
