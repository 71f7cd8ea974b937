//! Records as bytes: a tag, then fields in order. Numbers are little-endian, texts and blobs carry a 32-bit length.
use crate::packet::{RetainHandling, SubscriptionOptions, Will};
use crate::store::{Record, Target};
use crate::types::{
    ClientId, Message, Now, PacketId, PublishProperties, QoS, SessionKey, Text, TopicFilter, TopicName,
};
use bytes::{Buf, Bytes};
use std::sync::Arc;

/// A record that passed its checksum and still makes no sense: another version of the program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the delivery log has a form that this version does not know; start the version that wrote it")]
pub struct UnknownForm;

mod tag {
    pub const SESSION_BEGUN: u8 = 1;
    pub const SESSION_ATTACHED: u8 = 2;
    pub const SESSION_PARKED: u8 = 3;
    pub const SESSION_ENDED: u8 = 4;
    pub const SUBSCRIBED: u8 = 5;
    pub const UNSUBSCRIBED: u8 = 6;
    pub const PUBLISHED: u8 = 7;
    pub const DONE: u8 = 8;
    pub const RECEIVED: u8 = 9;
    pub const INBOUND_RELEASED: u8 = 10;
    pub const INBOUND_OPEN: u8 = 11;
}

pub fn encode(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::SessionBegun { session, client_id, is_v5 } => {
            head(out, tag::SESSION_BEGUN, *session);
            blob(out, client_id.as_text().as_bytes());
            out.push(u8::from(*is_v5));
        }
        Record::SessionAttached { session, expiry_s, will } => {
            head(out, tag::SESSION_ATTACHED, *session);
            out.extend_from_slice(&expiry_s.to_le_bytes());
            option(out, will.as_deref(), put_will);
        }
        Record::SessionParked { session, expires_at, will_at, sent_below } => {
            head(out, tag::SESSION_PARKED, *session);
            option(out, expires_at.as_ref(), |out, at| u64(out, at.as_millis()));
            option(out, will_at.as_ref(), |out, at| u64(out, at.as_millis()));
            u64(out, *sent_below);
        }
        Record::SessionEnded { session } => head(out, tag::SESSION_ENDED, *session),
        Record::Subscribed { session, filter, options, id } => {
            head(out, tag::SUBSCRIBED, *session);
            blob(out, filter.as_text().as_bytes());
            put_options(out, *options);
            option(out, id.as_ref(), |out, id| out.extend_from_slice(&id.to_le_bytes()));
        }
        Record::Unsubscribed { session, filter } => {
            head(out, tag::UNSUBSCRIBED, *session);
            blob(out, filter.as_text().as_bytes());
        }
        Record::Published { message, inbound, is_retained, targets } => {
            out.push(tag::PUBLISHED);
            put_message(out, message);
            option(out, inbound.as_ref(), |out, (session, id)| {
                u64(out, session.0);
                out.extend_from_slice(&id.value().to_le_bytes());
            });
            out.push(u8::from(*is_retained));
            count(out, targets.len());
            targets.iter().for_each(|target| put_target(out, target));
        }
        Record::Done { session, position } => {
            head(out, tag::DONE, *session);
            u64(out, *position);
        }
        Record::Received { session, position } => {
            head(out, tag::RECEIVED, *session);
            u64(out, *position);
        }
        Record::InboundReleased { session, id } => {
            head(out, tag::INBOUND_RELEASED, *session);
            out.extend_from_slice(&id.value().to_le_bytes());
        }
        Record::InboundOpen { session, id } => {
            head(out, tag::INBOUND_OPEN, *session);
            out.extend_from_slice(&id.value().to_le_bytes());
        }
    }
}

pub fn decode(bytes: &[u8]) -> Result<Record, UnknownForm> {
    let mut fields = Fields(Bytes::copy_from_slice(bytes));
    let tag = fields.u8()?;
    if tag == tag::PUBLISHED {
        return fields.published();
    }
    let session = SessionKey(fields.u64()?);
    let record = match tag {
        tag::SESSION_BEGUN => Record::SessionBegun { session, client_id: fields.client_id()?, is_v5: fields.flag()? },
        tag::SESSION_ATTACHED => Record::SessionAttached {
            session,
            expiry_s: fields.u32()?,
            will: fields.option(Fields::will)?.map(Box::new),
        },
        tag::SESSION_PARKED => Record::SessionParked {
            session,
            expires_at: fields.option(Fields::now)?,
            will_at: fields.option(Fields::now)?,
            sent_below: fields.u64()?,
        },
        tag::SESSION_ENDED => Record::SessionEnded { session },
        tag::SUBSCRIBED => Record::Subscribed {
            session,
            filter: fields.filter()?,
            options: fields.options()?,
            id: fields.option(Fields::u32)?,
        },
        tag::UNSUBSCRIBED => Record::Unsubscribed { session, filter: fields.filter()? },
        tag::DONE => Record::Done { session, position: fields.u64()? },
        tag::RECEIVED => Record::Received { session, position: fields.u64()? },
        tag::INBOUND_RELEASED => Record::InboundReleased { session, id: fields.packet_id()? },
        tag::INBOUND_OPEN => Record::InboundOpen { session, id: fields.packet_id()? },
        _ => return Err(UnknownForm),
    };
    Ok(record)
}

fn head(out: &mut Vec<u8>, tag: u8, session: SessionKey) {
    out.push(tag);
    u64(out, session.0);
}

fn u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a packet bounds what a record holds");
    out.extend_from_slice(&count.to_le_bytes());
}

fn blob(out: &mut Vec<u8>, bytes: &[u8]) {
    count(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn option<T: ?Sized>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_options(out: &mut Vec<u8>, options: SubscriptionOptions) {
    let retain_handling = match options.retain_handling {
        RetainHandling::Always => 0,
        RetainHandling::IfNew => 1,
        RetainHandling::Never => 2,
    };
    let flags = [options.qos as u8, u8::from(options.no_local), u8::from(options.retain_as_published), retain_handling];
    out.extend_from_slice(&flags);
}

fn put_message(out: &mut Vec<u8>, message: &Message) {
    blob(out, message.topic.as_bytes());
    blob(out, &message.payload);
    out.extend_from_slice(&[message.qos as u8, u8::from(message.retain)]);
    blob(out, &message.forward);
    option(out, message.expires_at.as_ref(), |out, at| u64(out, at.as_millis()));
}

fn put_will(out: &mut Vec<u8>, will: &Will) {
    blob(out, will.topic.as_bytes());
    blob(out, &will.payload);
    out.extend_from_slice(&[will.qos as u8, u8::from(will.retain)]);
    out.extend_from_slice(&will.delay_s.to_le_bytes());
    option(out, will.properties.expiry_s.as_ref(), |out, expiry_s| out.extend_from_slice(&expiry_s.to_le_bytes()));
    blob(out, &will.properties.forward);
}

fn put_target(out: &mut Vec<u8>, target: &Target) {
    u64(out, target.session.0);
    u64(out, target.position);
    out.extend_from_slice(&[target.qos as u8, u8::from(target.retain)]);
    let ids = target.subscription_ids.as_deref().unwrap_or_default();
    count(out, ids.len());
    ids.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    option(out, target.share.as_deref(), |out, filter: &TopicFilter| blob(out, filter.as_text().as_bytes()));
    option(out, target.give_up_at.as_ref(), |out, at| u64(out, at.as_millis()));
}

/// A cursor over a record.
struct Fields(Bytes);

impl Fields {
    fn u8(&mut self) -> Result<u8, UnknownForm> {
        self.0.try_get_u8().map_err(|_| UnknownForm)
    }

    fn u32(&mut self) -> Result<u32, UnknownForm> {
        self.0.try_get_u32_le().map_err(|_| UnknownForm)
    }

    fn u64(&mut self) -> Result<u64, UnknownForm> {
        self.0.try_get_u64_le().map_err(|_| UnknownForm)
    }

    fn now(&mut self) -> Result<Now, UnknownForm> {
        self.u64().map(Now::from_millis)
    }

    fn flag(&mut self) -> Result<bool, UnknownForm> {
        self.u8().map(|value| value == 1)
    }

    fn blob(&mut self) -> Result<Bytes, UnknownForm> {
        let count = usize::try_from(self.u32()?).map_err(|_| UnknownForm)?;
        if count > self.0.len() {
            return Err(UnknownForm);
        }
        Ok(self.0.split_to(count))
    }

    fn text(&mut self) -> Result<Text, UnknownForm> {
        Text::parse(self.blob()?).map_err(|_| UnknownForm)
    }

    fn topic(&mut self) -> Result<TopicName, UnknownForm> {
        TopicName::parse(self.text()?).map_err(|_| UnknownForm)
    }

    fn filter(&mut self) -> Result<TopicFilter, UnknownForm> {
        Ok(TopicFilter::parse(self.text()?).map_err(|_| UnknownForm)?.detached())
    }

    fn client_id(&mut self) -> Result<ClientId, UnknownForm> {
        ClientId::new(&self.text()?).ok_or(UnknownForm)
    }

    fn packet_id(&mut self) -> Result<PacketId, UnknownForm> {
        PacketId::new(self.0.try_get_u16_le().map_err(|_| UnknownForm)?).ok_or(UnknownForm)
    }

    fn qos(&mut self) -> Result<QoS, UnknownForm> {
        QoS::from_bits(self.u8()?).ok_or(UnknownForm)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, UnknownForm>) -> Result<Option<T>, UnknownForm> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    fn options(&mut self) -> Result<SubscriptionOptions, UnknownForm> {
        Ok(SubscriptionOptions {
            qos: self.qos()?,
            no_local: self.flag()?,
            retain_as_published: self.flag()?,
            retain_handling: match self.u8()? {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                _ => return Err(UnknownForm),
            },
        })
    }

    fn will(&mut self) -> Result<Will, UnknownForm> {
        Ok(Will {
            topic: self.topic()?,
            payload: self.blob()?,
            qos: self.qos()?,
            retain: self.flag()?,
            delay_s: self.u32()?,
            properties: PublishProperties { expiry_s: self.option(Self::u32)?, forward: self.blob()? },
        })
    }

    fn message(&mut self) -> Result<Message, UnknownForm> {
        Ok(Message {
            topic: self.topic()?,
            payload: self.blob()?,
            qos: self.qos()?,
            retain: self.flag()?,
            forward: self.blob()?,
            expires_at: self.option(Self::now)?,
        })
    }

    fn target(&mut self) -> Result<Target, UnknownForm> {
        let session = SessionKey(self.u64()?);
        let (position, qos, retain) = (self.u64()?, self.qos()?, self.flag()?);
        let ids: Vec<u32> = (0..self.u32()?).map(|_| self.u32()).collect::<Result<_, _>>()?;
        let subscription_ids = (!ids.is_empty()).then(|| Arc::from(ids));
        let share = self.option(Self::filter)?.map(Arc::new);
        let give_up_at = self.option(Self::now)?;
        Ok(Target { session, position, qos, retain, subscription_ids, share, give_up_at })
    }

    fn published(&mut self) -> Result<Record, UnknownForm> {
        let message = Arc::new(self.message()?);
        let inbound = self.option(|fields| Ok((SessionKey(fields.u64()?), fields.packet_id()?)))?;
        let is_retained = self.flag()?;
        let targets = (0..self.u32()?).map(|_| self.target()).collect::<Result<_, _>>()?;
        Ok(Record::Published { message, inbound, is_retained, targets })
    }
}
