//! Following messages: one event a step, for as long as somebody listens.
use super::sessions::client_id;
use super::views::{Payload, qos};
use crate::admin::Shared;
use crate::admin::problem::{Asked, Problem, Ready};
use crate::broker::{Event, Steps, Wanted, Waypoint};
use crate::types::{Now, ReasonCode, TopicFilter};
use axum::extract::State;
use axum::response::sse::{self, KeepAlive, Sse};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    /// What this client publishes, and what is for it.
    client_id: Option<String>,
    /// Messages on topics that match this Topic Filter.
    topic: Option<String>,
    /// Messages with this User Property, as `name=value`.
    property: Option<String>,
    /// Messages with this Correlation Data, as text.
    correlation: Option<String>,
    /// The same in Base64.
    correlation_base64: Option<String>,
    /// Whether payloads are shown.
    #[serde(default)]
    payload: bool,
}

/// One step of a message, or of a client. `event` says which of the others are there.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct TraceEvent {
    pub at_ms: u64,
    /// Microseconds since the trace began.
    pub at_us: u64,
    /// connected, disconnected, received, refused, routed, stored, sent, answered, acknowledged or dropped.
    pub event: String,
    pub client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The same for all steps of a message, and for messages alike in topic, properties and payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qos: Option<u8>,
    /// The packet that came or left: PUBLISH, PUBACK, PUBREC, PUBREL or PUBCOMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_id: Option<u16>,
    /// Whether it was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dup: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<bool>,
    /// Whether the delivery waits for the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable: Option<bool>,
    /// The place in the queue of the client's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Reason Code, with its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// Why it was refused or dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub payload: Payload,
}

/// Follows messages as Server-Sent Events of type `step`; `lost` tells how many steps there was no room for
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/trace", tag = "messages", params(Asks), responses((status = 200, description = "a stream of TraceEvent", content_type = "text/event-stream", body = TraceEvent), (status = 400, body = Problem), (status = 503, body = Problem))))]
pub(super) async fn trace(
    State(shared): State<Arc<Shared>>,
    Ready(desk): Ready,
    Asked(asks): Asked<Asks>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let with_payloads = asks.payload;
    let wanted = asks.wanted()?;
    let too_many = || Problem::unavailable("too many traces are open; end one of them first");
    let place = shared.streams.clone().try_acquire_owned().map_err(|_| too_many())?;
    let following = desk.broker.counters.tracer.follow(wanted, with_payloads).ok_or_else(too_many)?;
    let began = desk.clock.now();
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        // The first event says that steps from now on are told.
        let mut is_open = sender.send(Ok(sse::Event::default().event("begun").data("{}"))).await.is_ok();
        while is_open {
            let steps = tokio::select! {
                steps = poll_fn(|context| following.trace.poll_steps(context)) => steps,
                () = sender.closed() => break,
            };
            is_open = tell(&sender, &steps, began).await;
        }
        drop((following, place));
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default()))
}

/// False once nobody listens.
async fn tell(sender: &mpsc::Sender<Result<sse::Event, Infallible>>, steps: &Steps, began: Now) -> bool {
    for event in &steps.events {
        let told = sse::Event::default().event("step").data(json(&TraceEvent::of(event, began)));
        if sender.send(Ok(told)).await.is_err() {
            return false;
        }
    }
    if steps.lost > 0 {
        let told = sse::Event::default().event("lost").data(format!("{{\"lost\":{}}}", steps.lost));
        return sender.send(Ok(told)).await.is_ok();
    }
    true
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("views are plain texts and numbers")
}

impl Asks {
    fn wanted(self) -> Result<Wanted, Problem> {
        let property = self.property.map(|property| {
            let pair = property.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Problem::bad("property: write name=value"))
        });
        let correlation = match (self.correlation, self.correlation_base64) {
            (Some(text), _) => Some(Bytes::from(text)),
            (None, Some(encoded)) => {
                let decoded = BASE64_STANDARD.decode(encoded);
                Some(Bytes::from(decoded.map_err(|error| Problem::bad(format!("correlation_base64: {error}")))?))
            }
            (None, None) => None,
        };
        let topic = self.topic.map(|topic| TopicFilter::try_from(topic.as_str())).transpose();
        Ok(Wanted {
            client_id: self.client_id.map(|name| client_id(&name)).transpose()?,
            topic: topic.map_err(|violation| Problem::bad(format!("topic: {}", violation.why)))?,
            property: property.transpose()?,
            correlation,
        })
    }
}

impl TraceEvent {
    fn of(event: &Event, began: Now) -> Self {
        let mut told = Self {
            at_ms: began.plus_millis(event.at_us / 1000).as_millis(),
            at_us: event.at_us,
            event: event.step.name().to_owned(),
            client_id: event.client_id.to_string(),
            topic: event.topic.as_ref().map(ToString::to_string),
            message: event.fingerprint.map(|fingerprint| format!("{fingerprint:016x}")),
            qos: event.step.qos().map(qos),
            packet: None,
            packet_id: None,
            dup: None,
            retain: None,
            durable: None,
            position: None,
            code: None,
            reason: None,
            payload: event.payload.as_ref().map(|payload| Payload::of(payload)).unwrap_or_default(),
        };
        told.add(event.step);
        told
    }

    fn add(&mut self, step: Waypoint) {
        match step {
            Waypoint::Connected | Waypoint::Disconnected => {}
            Waypoint::Received { packet_id, retain, .. } => {
                self.packet = Some("PUBLISH".to_owned());
                self.packet_id = packet_id.map(|id| id.value());
                self.retain = Some(retain);
            }
            Waypoint::Refused { code } => self.add_code(code),
            Waypoint::Routed { is_durable, .. } => self.durable = Some(is_durable),
            Waypoint::Stored { position } => self.position = Some(position),
            Waypoint::Sent { packet_id, dup, .. } => {
                self.packet = Some("PUBLISH".to_owned());
                self.packet_id = packet_id.map(|id| id.value());
                self.dup = Some(dup);
            }
            Waypoint::Answered { packet, packet_id, code } | Waypoint::Acknowledged { packet, packet_id, code } => {
                self.packet = Some(packet.to_owned());
                self.packet_id = Some(packet_id.value());
                self.add_code(code);
            }
            Waypoint::Dropped { reason } => self.reason = Some(reason.to_owned()),
        }
    }

    fn add_code(&mut self, code: ReasonCode) {
        self.code = Some(code as u8);
        if code != ReasonCode::Success {
            self.reason = Some(format!("{code:?}"));
        }
    }
}
