//! The lines, and what they stand for.
use crate::packet::{RetainHandling, SubscriptionOptions, Will};
use crate::store::{Presence, SessionImage, Target};
use crate::types::{
    Attributes, ClientId, Identity, Message, Now, PublishProperties, QoS, SessionKey, Stamp, SubscriptionIds, Text,
    TopicFilter, TopicName,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The version of this format; readers refuse a later one. Since 2 sessions have their owners.
pub const FORMAT: u32 = 2;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    Begin {
        format: u32,
        vowmq: String,
    },
    Session(Box<SessionLine>),
    Message(Box<MessageLine>),
    /// A delivery of which only PUBCOMP is missing.
    Received {
        position: u64,
    },
    Retained(Box<BodyLine>),
    End {
        sessions: u64,
        messages: u64,
        retained: u64,
    },
    /// The export could not be finished.
    Error {
        why: String,
    },
}

/// Times are in milliseconds since the Unix epoch; without one there is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionLine {
    pub client_id: String,
    pub v5: bool,
    /// Whom the session belongs to; missing for one begun before owners were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerLine>,
    pub expiry_s: u32,
    /// Whether a client was connected.
    pub attached: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will_at_ms: Option<u64>,
    pub sent_below: u64,
    pub next_position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub will: Option<WillLine>,
    pub subscriptions: Vec<SubscriptionLine>,
    /// Subscriptions to which retained messages are on their way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<ScanLine>,
    /// QoS 2 identifiers that the client has not released.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<u16>,
}

/// Without a user it is an anonymous client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnerLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionLine {
    pub filter: String,
    pub qos: u8,
    #[serde(default)]
    pub no_local: bool,
    #[serde(default)]
    pub retain_as_published: bool,
    #[serde(default)]
    pub retain_handling: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanLine {
    pub filter: String,
    /// The topic up to which they are in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WillLine {
    #[serde(flatten)]
    pub body: BodyLine,
    pub delay_s: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_s: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageLine {
    pub position: u64,
    /// As it is to be delivered; the message's own may be higher.
    pub delivery_qos: u8,
    pub delivery_retain: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscription_ids: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub give_up_at_ms: Option<u64>,
    #[serde(flatten)]
    pub body: BodyLine,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyLine {
    pub topic: String,
    /// The payload, if it is a text; otherwise `payload_base64` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
    pub qos: u8,
    pub retain: bool,
    /// The properties that travel with the message, as 5.0 encodes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
}

/// What is wrong with a line, in words.
pub type Fault = String;

impl SessionLine {
    pub fn of(image: &SessionImage) -> Self {
        let (attached, expires_at, will_at, sent_below) = match image.presence {
            Presence::Attached => (true, None, None, 0),
            Presence::Parked { expires_at, will_at, sent_below } => (false, expires_at, will_at, sent_below),
        };
        Self {
            client_id: image.client_id.as_str().to_owned(),
            v5: image.is_v5,
            owner: image.owner.as_deref().map(OwnerLine::of),
            expiry_s: image.expiry_s,
            attached,
            expires_at_ms: expires_at.map(Now::as_millis),
            will_at_ms: will_at.map(Now::as_millis),
            sent_below,
            next_position: image.queue.next_position,
            will: image.will.as_deref().map(WillLine::of),
            subscriptions: image
                .subscriptions
                .iter()
                .map(|(filter, (options, id))| SubscriptionLine::of(filter, *options, *id))
                .collect(),
            scans: image
                .scans
                .iter()
                .map(|(filter, after)| ScanLine {
                    filter: filter.as_str().to_owned(),
                    after: after.as_ref().map(|topic| topic.as_str().to_owned()),
                })
                .collect(),
            inbound: image.inbound.iter().map(|id| id.value()).collect(),
        }
    }

    pub fn client_id(&self) -> Result<ClientId, Fault> {
        let text = Text::try_from(self.client_id.as_str()).map_err(|_| "the client_id is no MQTT text".to_owned())?;
        ClientId::new(&text).ok_or_else(|| "the client_id is empty".to_owned())
    }
}

impl OwnerLine {
    fn of(owner: &Identity) -> Self {
        let text = |text: &Text| text.as_str().to_owned();
        let Attributes { groups, claims, certificate, expires_at_ms: _ } = owner.attributes();
        Self {
            user: owner.user.as_ref().map(text),
            groups: groups.iter().map(text).collect(),
            claims: claims.clone(),
            certificate: certificate.as_ref().map(text),
            address: owner.address,
        }
    }

    pub fn identity(&self) -> Result<Identity, Fault> {
        let text = |text: &String| {
            Text::try_from(text.as_str()).map_err(|_| format!("the owner's name \"{text}\" is no MQTT text"))
        };
        let attributes = Attributes {
            groups: self.groups.iter().map(text).collect::<Result<_, _>>()?,
            claims: self.claims.clone(),
            certificate: self.certificate.as_ref().map(text).transpose()?,
            expires_at_ms: None,
        };
        let user = self.user.as_ref().map(text).transpose()?;
        Ok(Identity { user, address: self.address, ..Identity::default() }.with(attributes))
    }
}

impl SubscriptionLine {
    fn of(filter: &TopicFilter, options: SubscriptionOptions, id: Option<u32>) -> Self {
        Self {
            filter: filter.as_str().to_owned(),
            qos: options.qos as u8,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: match options.retain_handling {
                RetainHandling::Always => 0,
                RetainHandling::IfNew => 1,
                RetainHandling::Never => 2,
            },
            id,
        }
    }

    pub fn options(&self) -> Result<SubscriptionOptions, Fault> {
        Ok(SubscriptionOptions {
            qos: qos(self.qos)?,
            no_local: self.no_local,
            retain_as_published: self.retain_as_published,
            retain_handling: match self.retain_handling {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                other => return Err(format!("{other} is no retain_handling")),
            },
        })
    }
}

impl WillLine {
    fn of(will: &Will) -> Self {
        let body = BodyLine::from_parts(&will.topic, &will.payload, will.qos, will.retain, &will.properties.forward);
        Self { body, delay_s: will.delay_s, expiry_s: will.properties.expiry_s }
    }

    pub fn will(&self) -> Result<Will, Fault> {
        let message = self.body.message()?;
        Ok(Will {
            topic: message.topic,
            payload: message.payload,
            qos: message.qos,
            retain: message.retain,
            delay_s: self.delay_s,
            properties: PublishProperties { expiry_s: self.expiry_s, forward: message.forward },
        })
    }
}

impl MessageLine {
    pub fn of(message: &Message, target: &Target) -> Self {
        Self {
            position: target.position,
            delivery_qos: target.qos as u8,
            delivery_retain: target.retain,
            subscription_ids: target.subscription_ids.as_slice().to_vec(),
            share: target.share.as_deref().map(|share| share.as_str().to_owned()),
            give_up_at_ms: target.give_up_at.map(Now::as_millis),
            body: BodyLine::of(message),
        }
    }

    pub fn target(&self, session: SessionKey) -> Result<Target, Fault> {
        Ok(Target {
            session,
            position: self.position,
            qos: qos(self.delivery_qos)?,
            retain: self.delivery_retain,
            subscription_ids: SubscriptionIds::from(self.subscription_ids.clone()),
            share: self.share.as_deref().map(filter).transpose()?.map(Arc::new),
            give_up_at: self.give_up_at_ms.map(Now::from_millis),
        })
    }
}

impl BodyLine {
    pub fn of(message: &Message) -> Self {
        let Message { topic, payload, qos, retain, forward, expires_at, received: _ } = message;
        let line = Self::from_parts(topic, payload, *qos, *retain, forward);
        Self { expires_at_ms: expires_at.map(Now::as_millis), ..line }
    }

    fn from_parts(topic: &TopicName, payload: &Bytes, qos: QoS, retain: bool, forward: &Bytes) -> Self {
        let text = std::str::from_utf8(payload).ok().map(str::to_owned);
        Self {
            topic: topic.as_str().to_owned(),
            payload_base64: text.is_none().then(|| STANDARD.encode(payload)),
            payload: text,
            qos: qos as u8,
            retain,
            properties_base64: (!forward.is_empty()).then(|| STANDARD.encode(forward)),
            expires_at_ms: None,
        }
    }

    pub fn message(&self) -> Result<Message, Fault> {
        let decode = |text: &str| STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("base64: {error}"));
        let payload = match (&self.payload, &self.payload_base64) {
            (Some(text), None) => Bytes::copy_from_slice(text.as_bytes()),
            (None, Some(text)) => decode(text)?,
            _ => return Err("there must be either payload or payload_base64".to_owned()),
        };
        Ok(Message {
            topic: topic(&self.topic)?,
            payload,
            qos: qos(self.qos)?,
            retain: self.retain,
            forward: self.properties_base64.as_deref().map(decode).transpose()?.unwrap_or_default(),
            expires_at: self.expires_at_ms.map(Now::from_millis),
            received: Stamp::default(),
        })
    }
}

pub fn filter(text: &str) -> Result<TopicFilter, Fault> {
    TopicFilter::try_from(text).map_err(|_| format!("\"{text}\" is no topic filter"))
}

pub fn topic(text: &str) -> Result<TopicName, Fault> {
    TopicName::try_from(text).map_err(|_| format!("\"{text}\" is no topic name"))
}

fn qos(bits: u8) -> Result<QoS, Fault> {
    QoS::from_bits(bits).ok_or_else(|| format!("{bits} is no QoS"))
}
