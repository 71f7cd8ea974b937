//! PUBLISH (section 3.3): the hot packet. Topic, payload and the properties passed on stay slices of the read buffer.
use super::property::{self, Seen};
use super::reader::Reader;
use super::writer::{self, EncodeError};
use crate::packet::{Packet, Publish, PublishFrame, PublishQoS, Version};
use crate::types::{PublishProperties, QoS, ReasonCode, Text, TopicName, Violation};
use bytes::{BufMut, Bytes, BytesMut};

const ALLOWED: &[u8] = &[
    property::PAYLOAD_FORMAT,
    property::MESSAGE_EXPIRY,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::SUBSCRIPTION_ID,
    property::TOPIC_ALIAS,
    property::USER_PROPERTY,
];

pub(super) fn decode(mut reader: Reader<'_>, first: u8, version: Version) -> Result<Packet, Violation> {
    let (dup, retain) = (first & 0x08 != 0, first & 0x01 != 0);
    // [MQTT-3.3.1-4]
    let level = QoS::from_bits(first >> 1 & 3).ok_or(Violation::malformed("MQTT-3.3.1-4", "a PUBLISH of QoS 3"))?;
    // [MQTT-3.3.1-2]
    if dup && level == QoS::AtMostOnce {
        return Err(Violation::malformed("MQTT-3.3.1-2", "a PUBLISH of QoS 0 with DUP"));
    }
    // [MQTT-3.3.2-1]
    let topic = topic(reader.text()?, version, reader.limits)?;
    let qos = match level {
        // [MQTT-2.2.1-2]
        QoS::AtMostOnce => PublishQoS::AtMostOnce,
        QoS::AtLeastOnce => PublishQoS::AtLeastOnce(reader.packet_id()?),
        QoS::ExactlyOnce => PublishQoS::ExactlyOnce(reader.packet_id()?),
    };
    let mut publish = Publish {
        dup,
        qos,
        retain,
        topic,
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::new(),
    };
    if version.is_v5() {
        let count = reader.varint()?;
        if count > 0 {
            read_properties(reader.block(count)?, &mut publish)?;
        }
        // An empty topic needs an alias (section 3.3.2.1).
        if publish.topic.is_none() && publish.topic_alias.is_none() {
            return Err(Violation::protocol("MQTT-4.7.3-1", "a PUBLISH has neither a topic nor an alias"));
        }
    }
    publish.payload = reader.remaining();
    Ok(Packet::Publish(publish))
}

fn topic(text: Text, version: Version, limits: &super::Limits) -> Result<Option<TopicName>, Violation> {
    if text.is_empty() && version.is_v5() {
        return Ok(None);
    }
    if text.len() > limits.topic_bytes_max {
        let why = "a Topic Name is longer than limits.topic_bytes_max";
        return Err(Violation::new(ReasonCode::TopicNameInvalid, "limits.topic_bytes_max", why));
    }
    let levels = 1 + text.as_bytes().iter().filter(|byte| **byte == b'/').count();
    if levels > limits.topic_levels_max {
        let why = "a Topic Name has more levels than limits.topic_levels_max";
        return Err(Violation::new(ReasonCode::TopicNameInvalid, "limits.topic_levels_max", why));
    }
    TopicName::parse(text).map(Some)
}

/// Checks all properties, takes out those that concern this hop, and keeps the rest as they are.
fn read_properties(mut block: Reader<'_>, publish: &mut Publish) -> Result<(), Violation> {
    let whole = block.bytes(block.len())?;
    let mut block = Reader::new(whole.clone(), block.limits);
    let mut seen = Seen::default();
    let mut kept: Kept = Kept { whole, runs: Vec::new() };
    while !block.is_empty() {
        let start = kept.whole.len() - block.len();
        let id = block.u8()?;
        seen.note(id, ALLOWED, &block)?;
        let value = property::read_value(id, &mut block)?;
        match (id, value) {
            (property::MESSAGE_EXPIRY, property::Value::Four(expiry_s)) => {
                publish.properties.expiry_s = Some(expiry_s);
            }
            (property::TOPIC_ALIAS, property::Value::Two(alias)) => publish.topic_alias = Some(alias),
            (property::SUBSCRIPTION_ID, property::Value::Varint(id)) => publish.subscription_ids.push(id),
            _ => kept.add(start, kept.whole.len() - block.len()),
        }
    }
    publish.properties.forward = kept.into_bytes();
    Ok(())
}

/// The parts of a property block that are passed on.
struct Kept {
    whole: Bytes,
    runs: Vec<(usize, usize)>,
}

impl Kept {
    fn add(&mut self, start: usize, end: usize) {
        match self.runs.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.runs.push((start, end)),
        }
    }

    /// One slice where the parts are neighbours, which is usual; otherwise a copy.
    fn into_bytes(self) -> Bytes {
        match self.runs.as_slice() {
            [] => Bytes::new(),
            [(start, end)] => self.whole.slice(*start..*end),
            runs => {
                let mut joined = BytesMut::with_capacity(self.whole.len());
                for (start, end) in runs {
                    joined.put_slice(&self.whole.slice(*start..*end));
                }
                joined.freeze()
            }
        }
    }
}

/// Appends a PUBLISH to `out`: one reservation, then straight copies.
pub fn encode_publish(frame: &PublishFrame<'_>, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let properties = frame.properties_len(version);
    let topic_len = u16::try_from(frame.topic.len()).map_err(|_| EncodeError::FieldTooLong)?;
    let remaining = frame.remaining_len(version);
    if remaining > 268_435_455 {
        return Err(EncodeError::TooLong);
    }
    out.reserve(5 + remaining);
    let level = frame.qos.level() as u8;
    out.put_u8(0x30 | u8::from(frame.dup) << 3 | level << 1 | u8::from(frame.retain));
    writer::varint(out, remaining)?;
    out.put_u16(topic_len);
    out.put_slice(frame.topic);
    if let Some(id) = frame.qos.id() {
        out.put_u16(id.value());
    }
    if version.is_v5() {
        writer::varint(out, properties)?;
        if properties > 0 {
            encode_properties(frame, out)?;
        }
    }
    out.put_slice(frame.payload);
    Ok(())
}

fn encode_properties(frame: &PublishFrame<'_>, out: &mut BytesMut) -> Result<(), EncodeError> {
    if let Some(expiry_s) = frame.expiry_s {
        out.put_u8(property::MESSAGE_EXPIRY);
        out.put_u32(expiry_s);
    }
    if let Some(alias) = frame.topic_alias {
        out.put_u8(property::TOPIC_ALIAS);
        out.put_u16(alias);
    }
    for id in frame.subscription_ids {
        out.put_u8(property::SUBSCRIPTION_ID);
        writer::varint(out, usize::try_from(*id).map_err(|_| EncodeError::TooLong)?)?;
    }
    out.put_slice(frame.forward);
    Ok(())
}
