//! Publishing by hand.
use super::groups::topic_name;
use crate::admin::Desk;
use crate::admin::problem::{Input, Problem, Ready};
use crate::broker::Submitted;
use crate::codec::ForwardProperties;
use crate::types::{Message, QoS, ReasonCode, Stamp, Text};
use axum::Json;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::future::poll_fn;

/// A message to publish. Without a payload it is empty.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Publication {
    topic: String,
    payload_text: Option<String>,
    payload_base64: Option<String>,
    /// 0, 1 or 2.
    #[serde(default)]
    qos: u8,
    #[serde(default)]
    retain: bool,
    /// Seconds after which it is not delivered any more.
    expiry_s: Option<u32>,
    content_type: Option<String>,
    /// User Properties, names and values.
    #[serde(default)]
    properties: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Published {
    pub topic: String,
    /// False if nobody is subscribed to the topic.
    pub had_subscribers: bool,
}

/// Publishes a message, above all access rules but for `$` topics; answered once it is durable where it has to be
#[cfg_attr(test, utoipa::path(post, path = "/api/v1/publish", tag = "operations", request_body = Publication, responses((status = 200, body = Published), (status = 400, body = Problem), (status = 507, description = "the broker does not take it: a queue or the disk is full", body = Problem))))]
pub(super) async fn publish(
    Ready(desk): Ready,
    Input(publication): Input<Publication>,
) -> Result<Json<Published>, Problem> {
    let topic = publication.topic.clone();
    let message = publication.into_message(&desk)?;
    let (code, submitted) = desk.broker.publish(message, desk.clock.now());
    wait(submitted).await;
    match code {
        ReasonCode::Success => Ok(Json(Published { topic, had_subscribers: true })),
        ReasonCode::NoMatchingSubscribers => Ok(Json(Published { topic, had_subscribers: false })),
        code => {
            let detail = format!("refused with 0x{:02x} ({code:?})", code as u8);
            Err(Problem::new(StatusCode::INSUFFICIENT_STORAGE, detail))
        }
    }
}

impl Publication {
    fn into_message(self, desk: &Desk) -> Result<Message, Problem> {
        let topic = topic_name(&self.topic)?;
        if topic.is_internal() {
            return Err(Problem::bad("topic: those that begin with $ belong to the broker"));
        }
        let payload = match (self.payload_text, self.payload_base64) {
            (Some(_), Some(_)) => return Err(Problem::bad("give one of payload_text and payload_base64")),
            (Some(text), None) => Bytes::from(text),
            (None, Some(encoded)) => match BASE64_STANDARD.decode(encoded) {
                Ok(decoded) => Bytes::from(decoded),
                Err(error) => return Err(Problem::bad(format!("payload_base64: {error}"))),
            },
            (None, None) => Bytes::new(),
        };
        let text = |text: &str| Text::try_from(text).map_err(|violation| Problem::bad(violation.why));
        let user = self.properties.iter().map(|(name, value)| Ok((text(name)?, text(value)?)));
        let properties = ForwardProperties {
            content_type: self.content_type.as_deref().map(text).transpose()?,
            user: user.collect::<Result<_, Problem>>()?,
            ..ForwardProperties::default()
        };
        Ok(Message {
            topic,
            payload,
            qos: QoS::from_bits(self.qos).ok_or_else(|| Problem::bad("qos is 0, 1 or 2"))?,
            retain: self.retain,
            forward: properties.encode().map_err(|error| Problem::bad(error.to_string()))?,
            expires_at: self.expiry_s.map(|expiry_s| desk.clock.now().plus_seconds(expiry_s)),
            received: Stamp::default(),
        })
    }
}

/// Waits until what was submitted is durable.
pub(super) async fn wait(submitted: Option<Submitted>) {
    if let Some(submitted) = submitted {
        poll_fn(|context| submitted.poll_durable(context)).await;
    }
}
