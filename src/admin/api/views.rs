//! Sessions and messages as JSON.
use crate::broker::{Inspection, Slot};
use crate::codec::ForwardProperties;
use crate::packet::{RetainHandling, Version};
use crate::session::{InHand, Stage, Subscribed};
use crate::types::{Message, Now, QoS, TopicFilter};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// A session, and its last connection.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct SessionSummary {
    pub client_id: String,
    pub connected: bool,
    /// Whether it outlives its connection.
    pub durable: bool,
    /// MQTT version of the last connection: `3.1`, `3.1.1` or `5.0`; this and what follows is absent for a session that
    /// was not connected since the broker's start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean_start: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive_s: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected_at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disconnected_at_ms: Option<u64>,
    /// QoS 1 and 2 deliveries not finished, and their bytes.
    pub queued_messages: u64,
    pub queued_bytes: u64,
    /// QoS 1 and 2 exchanges under way on its connection, in both directions.
    pub handshakes: u64,
}

impl SessionSummary {
    pub fn of(slot: &Slot) -> Self {
        let (visit, left_at) = slot.visit_notes();
        let backlog = slot.backlog();
        let (connected, visit) = (slot.is_live(), visit.as_deref());
        let address = visit.and_then(|visit| match visit.address() {
            Some(address) => Some(address.to_string()),
            None => visit.identity.address.map(|address| address.to_string()),
        });
        Self {
            client_id: slot.client_id.to_string(),
            connected,
            durable: slot.is_durable,
            version: visit.map(|visit| version(visit.version).to_owned()),
            user: visit.and_then(|visit| visit.identity.user.as_ref()).map(ToString::to_string),
            address,
            listener: visit.and_then(|visit| visit.listener.as_deref()).map(str::to_owned),
            clean_start: visit.map(|visit| visit.clean_start),
            keep_alive_s: visit.map(|visit| visit.keep_alive_s),
            connected_at_ms: visit.map(|visit| visit.connected_at.as_millis()),
            disconnected_at_ms: left_at.filter(|_| !connected).map(Now::as_millis),
            queued_messages: backlog.messages,
            queued_bytes: backlog.bytes,
            handshakes: slot.in_doubt(),
        }
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

/// What a session has in hand.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct SessionDetail {
    #[serde(flatten)]
    pub summary: SessionSummary,
    /// Seconds that it outlives its connection; 4294967295 is for ever.
    pub session_expiry_s: u32,
    /// When it ends if the client does not come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    pub has_will: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub will_at_ms: Option<u64>,
    pub subscriptions: Vec<SubscriptionView>,
    /// PUBLISHes of this connection by QoS 0, 1 and 2; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received: Option<Vec<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Vec<u64>>,
    /// Deliveries that may be in flight at once, and those that are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u16>,
    pub in_flight: u64,
    /// Acknowledgements to the client that wait for the disk.
    pub held_responses: usize,
    /// Packet Identifiers of QoS 2 messages from the client whose PUBREL is due.
    pub awaiting_pubrel: Vec<u16>,
    /// Deliveries not finished, in their order.
    pub deliveries: Vec<DeliveryView>,
    /// Pass as `from` to see the next deliveries; absent if these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl SessionDetail {
    pub fn of(slot: &Slot, inspection: Inspection, with_payloads: bool) -> Self {
        let Inspection { look, connection, expires_at, will_at } = inspection;
        Self {
            summary: SessionSummary::of(slot),
            session_expiry_s: look.expiry_s,
            expires_at_ms: expires_at.map(Now::as_millis),
            has_will: look.has_will,
            will_at_ms: will_at.map(Now::as_millis),
            subscriptions: look
                .subscriptions
                .iter()
                .map(|(filter, found)| SubscriptionView::of(filter, found))
                .collect(),
            received: connection.map(|live| live.received.to_vec()),
            sent: connection.map(|live| live.sent.to_vec()),
            in_flight_max: connection.map(|live| live.window),
            in_flight: look.in_flight,
            held_responses: look.held_responses,
            awaiting_pubrel: look.inbound.iter().map(|id| id.value()).collect(),
            deliveries: look.deliveries.iter().map(|in_hand| DeliveryView::of(in_hand, with_payloads)).collect(),
            next: look.next,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct SubscriptionView {
    pub filter: String,
    pub qos: u8,
    pub no_local: bool,
    pub retain_as_published: bool,
    /// 0 sends retained messages always, 1 to a new subscription, 2 never.
    pub retain_handling: u8,
    /// Subscription Identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

impl SubscriptionView {
    pub fn of(filter: &TopicFilter, subscribed: &Subscribed) -> Self {
        let options = &subscribed.options;
        Self {
            filter: filter.to_string(),
            qos: qos(options.qos),
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: match options.retain_handling {
                RetainHandling::Always => 0,
                RetainHandling::IfNew => 1,
                RetainHandling::Never => 2,
            },
            id: subscribed.id.map(NonZeroU32::get),
        }
    }
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum DeliveryState {
    /// It was never sent.
    Queued,
    AwaitingPuback,
    AwaitingPubrec,
    /// The client has it, and PUBREL was sent.
    AwaitingPubcomp,
}

/// One message for one session.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct DeliveryView {
    /// Its place in the session's queue; it never changes.
    pub position: u64,
    pub state: DeliveryState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_id: Option<u16>,
    /// When it was sent last, or PUBREC came; absent if that was before the broker's start, or never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    /// How often it was sent again since the broker's start.
    pub resent: u16,
    /// The shared subscription that it came by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// Absent once the client has the message: it is not kept any longer then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
}

impl DeliveryView {
    pub fn of(in_hand: &InHand, with_payload: bool) -> Self {
        let delivery = in_hand.delivery.as_ref();
        Self {
            position: in_hand.position,
            state: match in_hand.stage {
                Stage::Queued => DeliveryState::Queued,
                Stage::AwaitingPubAck => DeliveryState::AwaitingPuback,
                Stage::AwaitingPubRec => DeliveryState::AwaitingPubrec,
                Stage::AwaitingPubComp => DeliveryState::AwaitingPubcomp,
            },
            packet_id: in_hand.packet_id.map(|id| id.value()),
            since_ms: in_hand.since.map(Now::as_millis),
            resent: in_hand.resent,
            share: delivery.and_then(|delivery| delivery.share.as_ref()).map(ToString::to_string),
            message: delivery.map(|delivery| MessageView {
                qos: qos(delivery.qos),
                retain: delivery.retain,
                ..MessageView::of(&delivery.message, with_payload)
            }),
        }
    }
}

/// A message; its payload only if it was asked for.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct MessageView {
    pub topic: String,
    pub qos: u8,
    pub retain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    pub payload_bytes: usize,
    #[serde(flatten)]
    pub payload: Payload,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_base64: Option<String>,
    /// User Properties, names and values, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<(String, String)>,
}

/// A payload, as text where it is one.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
}

impl Payload {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self { payload_text: Some(text.to_owned()), payload_base64: None },
            Err(_) => Self { payload_text: None, payload_base64: Some(BASE64_STANDARD.encode(bytes)) },
        }
    }
}

impl MessageView {
    pub fn of(message: &Message, with_payload: bool) -> Self {
        let properties = ForwardProperties::parse(&message.forward).unwrap_or_default();
        let user = properties.user.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self {
            topic: message.topic.to_string(),
            qos: qos(message.qos),
            retain: message.retain,
            expires_at_ms: message.expires_at.map(Now::as_millis),
            payload_bytes: message.payload.len(),
            payload: if with_payload { Payload::of(&message.payload) } else { Payload::default() },
            content_type: properties.content_type.map(|text| text.to_string()),
            response_topic: properties.response_topic.map(|topic| topic.to_string()),
            correlation_base64: properties.correlation_data.map(|data| BASE64_STANDARD.encode(data)),
            properties: user.collect(),
        }
    }
}

pub(super) fn qos(qos: QoS) -> u8 {
    match qos {
        QoS::AtMostOnce => 0,
        QoS::AtLeastOnce => 1,
        QoS::ExactlyOnce => 2,
    }
}
