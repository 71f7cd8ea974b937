//! PUBLISH on the wire (section 3.3): the packet that is worth being quick about.
use super::forward::{self, Kept};
use super::property::{self, Properties};
use super::reader::Reader;
use super::writer::{EncodeError, VARINT_MAX, Written, check_subscription_id, put_varint};
use crate::packet::{Publish, PublishFrame, PublishQoS, Version};
use crate::types::{PublishProperties, ReasonCode, Violation};
use bytes::{BufMut, Bytes, BytesMut};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// `flags` are those of the fixed header, already checked.
pub(super) fn decode(reader: &mut Reader<'_>, flags: u8, version: Version) -> Result<Publish, Violation> {
    // [MQTT-3.3.2-1]
    let text = reader.text()?;
    let topic = if text.is_empty() && version.is_v5() { None } else { Some(reader.topic_name(text)?) };
    let qos = decode_qos(reader, flags)?;
    let parts = if version.is_v5() { decode_properties(reader)? } else { Parts::default() };
    // [MQTT-3.3.2-1]
    if topic.is_none() && parts.topic_alias.is_none() {
        return Err(Violation::protocol("sec:3.3.2.1", "a PUBLISH has neither a Topic Name nor a Topic Alias"));
    }
    Ok(Publish {
        dup: flags & DUP != 0,
        qos,
        retain: flags & RETAIN != 0,
        topic,
        topic_alias: parts.topic_alias,
        subscription_ids: parts.subscription_ids,
        properties: PublishProperties { expiry_s: parts.expiry_s, forward: parts.forward },
        payload: reader.rest(),
    })
}

fn decode_qos(reader: &mut Reader<'_>, flags: u8) -> Result<PublishQoS, Violation> {
    match (flags >> 1) & 0b11 {
        0 => Ok(PublishQoS::AtMostOnce),
        1 => reader.packet_id().map(PublishQoS::AtLeastOnce),
        2 => reader.packet_id().map(PublishQoS::ExactlyOnce),
        // [MQTT-3.3.1-4]
        _ => Err(Violation::malformed("MQTT-3.3.1-4", "a PUBLISH has QoS 3")),
    }
}

/// The properties of a PUBLISH, sorted by who is to know them.
#[derive(Default)]
struct Parts {
    topic_alias: Option<u16>,
    subscription_ids: Vec<u32>,
    expiry_s: Option<u32>,
    forward: Bytes,
}

fn decode_properties(reader: &mut Reader<'_>) -> Result<Parts, Violation> {
    let mut block = Properties::open(reader)?.with_many_subscription_ids();
    let mut parts = Parts::default();
    if block.reader.is_empty() {
        return Ok(parts);
    }
    let mut kept = Kept::of(reader.frame());
    loop {
        let from = block.reader.position();
        match block.next_id()? {
            None => break,
            Some(property::TOPIC_ALIAS) => parts.topic_alias = Some(topic_alias(&mut block)?),
            Some(property::MESSAGE_EXPIRY_INTERVAL) => parts.expiry_s = Some(block.reader.u32()?),
            Some(property::SUBSCRIPTION_IDENTIFIER) => parts.subscription_ids.push(block.subscription_id()?),
            Some(id) => {
                forward::check(id, &mut block, &mut kept)?;
                kept.keep(from..block.reader.position());
            }
        }
    }
    parts.forward = kept.into_bytes();
    Ok(parts)
}

fn topic_alias(block: &mut Properties<'_>) -> Result<u16, Violation> {
    match block.reader.u16()? {
        // [MQTT-3.3.2-8]
        0 => Err(Violation::new(ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-8", "a Topic Alias is 0")),
        alias => Ok(alias),
    }
}

/// Appends a PUBLISH to `out`, or leaves `out` alone if it cannot be written in this version.
pub fn encode_publish(frame: &PublishFrame<'_>, version: Version, out: &mut BytesMut) -> Written {
    let topic_len = check(frame, version)?;
    out.reserve(frame.packet_len(version));
    out.put_u8(first_byte(frame));
    put_varint(out, frame.remaining_len(version));
    out.put_u16(topic_len);
    out.put_slice(frame.topic);
    if let Some(id) = frame.qos.id() {
        out.put_u16(id.value());
    }
    if version.is_v5() {
        put_varint(out, frame.properties_len(version));
        put_properties(frame, out);
    }
    out.put_slice(frame.payload);
    Ok(())
}

const fn first_byte(frame: &PublishFrame<'_>) -> u8 {
    let dup = if frame.dup { DUP } else { 0 };
    let retain = if frame.retain { RETAIN } else { 0 };
    0x30 | dup | ((frame.qos.level() as u8) << 1) | retain
}

fn put_properties(frame: &PublishFrame<'_>, out: &mut BytesMut) {
    if let Some(alias) = frame.topic_alias {
        out.put_u8(property::TOPIC_ALIAS);
        out.put_u16(alias);
    }
    if let Some(expiry_s) = frame.expiry_s {
        out.put_u8(property::MESSAGE_EXPIRY_INTERVAL);
        out.put_u32(expiry_s);
    }
    for id in frame.subscription_ids {
        out.put_u8(property::SUBSCRIPTION_IDENTIFIER);
        put_varint(out, check_subscription_id(*id).expect("checked before anything was put"));
    }
    out.put_slice(frame.forward);
}

/// Whether a frame can be written; gives the length of its topic.
pub(super) fn check(frame: &PublishFrame<'_>, version: Version) -> Result<u16, EncodeError> {
    // [MQTT-3.3.1-2]
    if frame.dup && frame.qos == PublishQoS::AtMostOnce {
        return Err(EncodeError::NotAllowed("DUP at QoS 0"));
    }
    let alias = frame.topic_alias.filter(|_| version.is_v5());
    // [MQTT-3.3.2-8]
    if alias == Some(0) {
        return Err(EncodeError::NotAllowed("the Topic Alias"));
    }
    // [MQTT-4.7.3-1]
    if frame.topic.is_empty() && alias.is_none() {
        return Err(EncodeError::NotAllowed("an empty Topic Name"));
    }
    if version.is_v5() {
        frame.subscription_ids.iter().try_for_each(|id| check_subscription_id(*id).map(drop))?;
    }
    if frame.remaining_len(version) > VARINT_MAX {
        return Err(EncodeError::TooLong("a PUBLISH"));
    }
    u16::try_from(frame.topic.len()).map_err(|_| EncodeError::TooLong("a Topic Name"))
}
