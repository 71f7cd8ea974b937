//! PUBLISH on the wire (section 3.3): the packet that is worth being quick about.
use super::forward::{self, Kept};
use super::property::{self, Properties};
use super::reader::Reader;
use super::writer::{EncodeError, VARINT_MAX, Written, check_subscription_id, put_varint};
use crate::packet::{Packet, Publish, PublishFrame, PublishQoS, Version, varint_len};
use crate::types::{PublishProperties, ReasonCode, Text, TopicName, Violation};
use bytes::{BufMut, Bytes, BytesMut};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// `flags` are those of the fixed header, already checked; `last_topic` is that of the last PUBLISH before.
pub(super) fn decode(
    reader: &mut Reader<'_>,
    flags: u8,
    version: Version,
    last_topic: &mut Option<TopicName>,
) -> Result<Packet, Violation> {
    let topic = decode_topic(reader, version, last_topic)?;
    let qos = decode_qos(reader, flags)?;
    let parts = if version.is_v5() { decode_properties(reader)? } else { Parts::default() };
    // [MQTT-3.3.2-1]
    if topic.is_none() && parts.topic_alias.is_none() {
        return Err(Violation::protocol("sec:3.3.2.1", "a PUBLISH has neither a Topic Name nor a Topic Alias"));
    }
    Ok(Packet::Publish(Publish {
        dup: flags & DUP != 0,
        qos,
        retain: flags & RETAIN != 0,
        topic,
        topic_alias: parts.topic_alias,
        subscription_ids: parts.subscription_ids,
        properties: PublishProperties { expiry_s: parts.expiry_s, forward: parts.forward },
        payload: reader.rest(),
    }))
}

/// The Topic Name, if there is one; the same as last time is legal as it was then.
fn decode_topic(
    reader: &mut Reader<'_>,
    version: Version,
    last: &mut Option<TopicName>,
) -> Result<Option<TopicName>, Violation> {
    let bytes = reader.binary_slice()?;
    if let Some(last) = last.as_ref().filter(|last| **last.as_bytes() == *bytes) {
        return Ok(Some(last.clone()));
    }
    // [MQTT-3.3.2-1]
    let text = Text::parse(reader.frame().slice_ref(bytes))?;
    if text.is_empty() && version.is_v5() {
        return Ok(None);
    }
    *last = Some(reader.topic_name(text)?);
    Ok(last.clone())
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
    let sizes = check(frame, version)?;
    out.reserve(sizes.packet_len());
    put_head(frame, version, &sizes, out);
    out.put_slice(frame.payload);
    Ok(())
}

/// The same without the payload, which the caller lets follow.
pub fn encode_publish_head(frame: &PublishFrame<'_>, version: Version, out: &mut BytesMut) -> Written {
    let sizes = check(frame, version)?;
    put_head(frame, version, &sizes, out);
    Ok(())
}

fn put_head(frame: &PublishFrame<'_>, version: Version, sizes: &Sizes, out: &mut BytesMut) {
    out.put_u8(first_byte(frame));
    put_varint(out, sizes.remaining);
    out.put_u16(sizes.topic);
    out.put_slice(frame.topic);
    if let Some(id) = frame.qos.id() {
        out.put_u16(id.value());
    }
    if version.is_v5() {
        put_varint(out, sizes.properties);
        put_properties(frame, out);
    }
}

/// The lengths that a PUBLISH tells of itself.
pub(super) struct Sizes {
    /// The Remaining Length.
    remaining: usize,
    properties: usize,
    topic: u16,
}

impl Sizes {
    pub(super) const fn packet_len(&self) -> usize {
        1 + varint_len(self.remaining) + self.remaining
    }
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

/// Whether a frame can be written; gives its lengths.
pub(super) fn check(frame: &PublishFrame<'_>, version: Version) -> Result<Sizes, EncodeError> {
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
    let properties = frame.properties_len(version);
    let remaining = frame.remaining_len_with(properties, version);
    if remaining > VARINT_MAX {
        return Err(EncodeError::TooLong("a PUBLISH"));
    }
    let topic = u16::try_from(frame.topic.len()).map_err(|_| EncodeError::TooLong("a Topic Name"))?;
    Ok(Sizes { remaining, properties, topic })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, hex, read, written};
    use super::super::{Limits, decode as decode_frame};
    use super::*;
    use crate::types::PacketId;

    fn publish(first: u8, body: &str, version: Version) -> Publish {
        match read(framed(first, body), Some(version)).unwrap() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_identifier_and_payload_are_read() {
        let id = PacketId::new(0x1234).unwrap();
        for version in [Version::V31, Version::V311] {
            let publish = publish(0x3d, "0003 612f62 1234 6869", version);
            assert_eq!((publish.dup, publish.retain, publish.qos), (true, true, PublishQoS::ExactlyOnce(id)));
            assert_eq!(publish.topic.as_ref().unwrap().as_str(), "a/b");
            assert_eq!(publish.payload, hex("6869"));
        }
        let empty = publish(0x30, "0001 61 00", Version::V5);
        assert!(empty.payload.is_empty(), "a payload may be empty");
    }

    #[test]
    fn nothing_is_copied_when_the_properties_lie_together() {
        let frame = framed(0x30, "0001 61 0d 230005 0200000009 0101 030000 7061796c6f6164");
        let Packet::Publish(publish) = decode_frame(frame.clone(), Some(Version::V5), &Limits::default()).unwrap()
        else {
            panic!("no PUBLISH")
        };
        let inside = frame.as_ptr_range();
        for part in [publish.topic.unwrap().as_bytes(), &publish.properties.forward, &publish.payload] {
            assert!(inside.contains(&part.as_ptr()));
        }
        assert_eq!((publish.topic_alias, publish.properties.expiry_s), (Some(5), Some(9)));
        assert_eq!(publish.properties.forward, hex("0101 030000"));
    }

    #[test]
    fn properties_to_pass_on_keep_their_order_however_they_lie() {
        for (block, forward) in [
            ("0101 0200000009 030000", "0101 030000"),
            ("0101 0b01 030000 0b02 2600016b0000", "0101 030000 2600016b0000"),
            ("2600016b000176 230005", "2600016b000176"),
            ("0b01 230005", ""),
            ("", ""),
        ] {
            let body = format!("0001 61 {:02x} {block}", hex(block).len());
            let publish = publish(0x30, &body, Version::V5);
            assert_eq!(publish.properties.forward, hex(forward), "{block} [MQTT-3.3.2-17]");
            assert!(publish.payload.is_empty());
        }
    }

    #[test]
    fn several_subscription_identifiers_come_in_order() {
        let publish = publish(0x30, "0001 61 0a 0b03 0bffffff7f 0b8001", Version::V5);
        assert_eq!(publish.subscription_ids, [3, 268_435_455, 128]);
        let bytes = written(&Packet::Publish(publish), Version::V5);
        assert_eq!(bytes, Ok(framed(0x30, "0001 61 0a 0b03 0bffffff7f 0b8001")), "[MQTT-3.3.4-3]");
    }

    #[test]
    fn a_known_alias_may_stand_for_the_topic() {
        let by_alias = publish(0x30, "0000 03 230001 78", Version::V5);
        assert_eq!((by_alias.topic.clone(), by_alias.topic_alias), (None, Some(1)));
        assert!(written(&Packet::Publish(by_alias), Version::V311).is_err(), "3.1.1 has no aliases");
    }

    #[test]
    fn illegal_publishes_name_their_fault() {
        let rows = [
            (0x36, "0001 61 00", 0x81, "MQTT-3.3.1-4"),
            (0x38, "0001 61 00", 0x81, "MQTT-3.3.1-2"),
            (0x32, "0001 61 0000 00", 0x82, "MQTT-2.2.1-3"),
            (0x30, "0003 612f2b 00", 0x82, "MQTT-3.3.2-2"),
            (0x30, "0000 00", 0x82, "sec:3.3.2.1"),
            (0x30, "0001 61", 0x81, "MQTT-4.13.1-1"),
            (0x30, "0001 61 02 01", 0x81, "MQTT-4.13.1-1"),
            (0x30, "0001 61 02 0102", 0x82, "MQTT-4.13.1-1"),
            (0x30, "0001 61 03 230000", 0x94, "MQTT-3.3.2-8"),
            (0x30, "0001 61 06 230001230001", 0x82, "sec:2.2.2.2"),
            (0x30, "0001 61 02 0b00", 0x82, "sec:3.8.2.1.2"),
            (0x30, "0001 61 03 0b8000", 0x81, "MQTT-1.5.5-1"),
            (0x30, "0001 61 05 08000161 08", 0x82, "sec:2.2.2.2"),
            (0x30, "0001 61 04 08000123", 0x82, "MQTT-3.3.2-14"),
            (0x30, "0001 61 03 080000", 0x82, "MQTT-3.3.2-14"),
            (0x30, "0001 61 04 030001ff", 0x81, "MQTT-1.5.4-1"),
            (0x30, "0001 61 05 1100000001", 0x81, "sec:2.2.2.2"),
            (0x30, "0001 61 02 7f00", 0x81, "sec:2.2.2.2"),
            (0x30, "0001 61 8000", 0x81, "MQTT-1.5.5-1"),
        ];
        assert_refused(Some(Version::V5), &rows);
        assert_refused(Some(Version::V311), &[(0x30, "0000 78", 0x82, "MQTT-4.7.3-1")]);
    }

    #[test]
    fn limits_have_a_code_of_their_own() {
        let limits = Limits { topic_bytes_max: 4, topic_levels_max: 2, user_properties_max: 1, ..Limits::default() };
        for (body, refused) in [
            ("0004 61616161 00", None),
            ("0005 6161616161 00", Some((ReasonCode::TopicNameInvalid, "limits.topic_bytes_max"))),
            ("0003 612f61 00", None),
            ("0002 2f2f 00", Some((ReasonCode::TopicNameInvalid, "limits.topic_levels_max"))),
            ("0001 61 05 2600000000", None),
            ("0001 61 0a 26000000002600000000", Some((ReasonCode::QuotaExceeded, "limits.user_properties_max"))),
        ] {
            let decoded = decode_frame(framed(0x30, body), Some(Version::V5), &limits);
            assert_eq!(decoded.err().map(|violation| (violation.reason, violation.rule)), refused, "{body}");
        }
    }

    #[test]
    fn a_frame_that_cannot_be_written_leaves_the_output_alone() {
        let frame = PublishFrame {
            dup: false,
            qos: PublishQoS::AtMostOnce,
            retain: false,
            topic: b"a",
            topic_alias: None,
            expiry_s: None,
            subscription_ids: &[],
            forward: &[],
            payload: &[],
        };
        let long = vec![b'a'; 65_536];
        let huge = vec![0; 268_435_455];
        for (broken, error) in [
            (PublishFrame { dup: true, ..frame }, EncodeError::NotAllowed("DUP at QoS 0")),
            (PublishFrame { topic: b"", ..frame }, EncodeError::NotAllowed("an empty Topic Name")),
            (PublishFrame { topic_alias: Some(0), ..frame }, EncodeError::NotAllowed("the Topic Alias")),
            (PublishFrame { subscription_ids: &[0], ..frame }, EncodeError::NotAllowed("a Subscription Identifier")),
            (
                PublishFrame { subscription_ids: &[268_435_456], ..frame },
                EncodeError::NotAllowed("a Subscription Identifier"),
            ),
            (PublishFrame { topic: &long, ..frame }, EncodeError::TooLong("a Topic Name")),
            (PublishFrame { payload: &huge, ..frame }, EncodeError::TooLong("a PUBLISH")),
        ] {
            let mut out = BytesMut::new();
            assert_eq!(encode_publish(&broken, Version::V5, &mut out), Err(error));
            assert!(out.is_empty());
        }
    }

    #[test]
    fn properties_are_not_shown_before_5_0() {
        let publish = publish(0x30, "0001 61 0a 0101 0200000009 230005 78", Version::V5);
        assert_eq!(written(&Packet::Publish(publish), Version::V311), Ok(framed(0x30, "0001 61 78")));
    }
}
