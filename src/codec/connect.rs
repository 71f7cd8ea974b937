//! CONNECT on the wire (section 3.1).
use super::forward::{self, Kept};
use super::frame::{FixedHeader, PacketType, read_varint};
use super::property::{self, Properties};
use super::reader::Reader;
use super::writer::{EncodeError, Writer, Written};
use crate::packet::{Connect, ConnectProperties, Version, Will};
use crate::types::{PublishProperties, QoS, ReasonCode, Violation};

const USER_NAME: u8 = 0x80;
const PASSWORD: u8 = 0x40;
const WILL_RETAIN: u8 = 0x20;
const WILL_QOS: u8 = 0x18;
const WILL: u8 = 0x04;
const CLEAN_START: u8 = 0x02;
const RESERVED: u8 = 0x01;

/// The layout in which to refuse a first packet that could not be decoded; `None` to close without an answer.
///
/// Looks at the protocol name and level only, so that a packet refused for its length can be answered too. Before 5.0
/// only the reason Unsupported Protocol Version has a return code to answer with.
pub fn connect_version_hint(frame: &[u8]) -> Option<Version> {
    let (first, rest) = frame.split_first()?;
    let (_, length_bytes) = read_varint(rest).ok().flatten()?;
    let (name_len, rest) = rest.get(length_bytes..)?.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*name_len)))?;
    if *first != PacketType::Connect.first_byte() {
        return None;
    }
    match (name, *rest.first()?) {
        (_, 5) => Some(Version::V5),
        (b"MQTT", _) => Some(Version::V311),
        (b"MQIsdp", _) => Some(Version::V31),
        _ => None,
    }
}

pub(super) fn decode(reader: &mut Reader<'_>, header: &FixedHeader) -> Result<Connect, Violation> {
    let version = decode_version(reader)?;
    // [MQTT-1.5.5-1]
    if version.is_v5() && !header.is_minimal() {
        return Err(Violation::malformed("MQTT-1.5.5-1", "the Remaining Length is longer than it needs to be"));
    }
    let flags = reader.u8()?;
    check_flags(flags, version)?;
    let keep_alive_s = reader.u16()?;
    let properties = if version.is_v5() { decode_properties(reader)? } else { ConnectProperties::default() };
    // [MQTT-3.1.3-1], [MQTT-3.1.3-3], [MQTT-3.1.3-4]
    let client_id = reader.text()?;
    // [MQTT-3.1.2-9]
    let will = if flags & WILL != 0 { Some(decode_will(reader, flags, version)?) } else { None };
    // [MQTT-3.1.2-16], [MQTT-3.1.2-17]
    let user_name = if flags & USER_NAME != 0 { Some(reader.text()?) } else { None };
    // [MQTT-3.1.2-18], [MQTT-3.1.2-19]
    let password = if flags & PASSWORD != 0 { Some(reader.binary()?) } else { None };
    let clean_start = flags & CLEAN_START != 0;
    Ok(Connect { version, clean_start, keep_alive_s, client_id, will, user_name, password, properties })
}

fn decode_version(reader: &mut Reader<'_>) -> Result<Version, Violation> {
    let refused = |rule, why| Err(Violation::new(ReasonCode::UnsupportedProtocolVersion, rule, why));
    let name = reader.binary()?;
    let level = reader.u8()?;
    match (name.as_ref(), level) {
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQIsdp", 3) => Ok(Version::V31),
        // [MQTT-3.1.2-2]
        (b"MQTT" | b"MQIsdp", _) => refused("MQTT-3.1.2-2", "the protocol level is not served"),
        // [MQTT-3.1.2-1]
        _ => refused("MQTT-3.1.2-1", "the protocol name is not MQTT"),
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), Violation> {
    // [MQTT-3.1.2-3]
    if flags & RESERVED != 0 {
        return Err(Violation::malformed("MQTT-3.1.2-3", "the reserved CONNECT flag is set"));
    }
    // [MQTT-3.1.2-11] (5.0), [MQTT-3.1.2-13] (3.1.1)
    if flags & WILL == 0 && flags & WILL_QOS != 0 {
        return Err(Violation::malformed("MQTT-3.1.2-11", "there is a Will QoS without a Will"));
    }
    // [MQTT-3.1.2-13] (5.0), [MQTT-3.1.2-15] (3.1.1)
    if flags & WILL == 0 && flags & WILL_RETAIN != 0 {
        return Err(Violation::malformed("MQTT-3.1.2-13", "there is a Will Retain without a Will"));
    }
    // [MQTT-3.1.2-22] (3.1.1); 5.0 allows it.
    if !version.is_v5() && flags & USER_NAME == 0 && flags & PASSWORD != 0 {
        return Err(Violation::malformed("MQTT-3.1.2-22", "there is a password without a user name"));
    }
    Ok(())
}

fn decode_properties(reader: &mut Reader<'_>) -> Result<ConnectProperties, Violation> {
    let mut block = Properties::open(reader)?;
    let mut properties = ConnectProperties::default();
    while let Some(id) = block.next_id()? {
        decode_property(id, &mut block, &mut properties)?;
    }
    let (method, data) = (&properties.authentication_method, &properties.authentication_data);
    property::check_authentication(method.as_ref(), data.as_ref())?;
    Ok(properties)
}

fn decode_property(id: u8, block: &mut Properties<'_>, into: &mut ConnectProperties) -> Result<(), Violation> {
    match id {
        property::SESSION_EXPIRY_INTERVAL => into.session_expiry_s = Some(block.reader.u32()?),
        property::RECEIVE_MAXIMUM => {
            into.receive_maximum = Some(block.nonzero_u16("sec:3.1.2.11.3", "the Receive Maximum is 0")?);
        }
        property::MAXIMUM_PACKET_SIZE => {
            into.maximum_packet_bytes = Some(block.nonzero_u32("sec:3.1.2.11.4", "the Maximum Packet Size is 0")?);
        }
        property::TOPIC_ALIAS_MAXIMUM => into.topic_alias_maximum = Some(block.reader.u16()?),
        property::REQUEST_RESPONSE_INFORMATION => {
            let why = "Request Response Information is neither 0 nor 1";
            into.request_response_information = Some(block.flag(why)?);
        }
        property::REQUEST_PROBLEM_INFORMATION => {
            let why = "Request Problem Information is neither 0 nor 1";
            into.request_problem_information = Some(block.flag(why)?);
        }
        property::USER_PROPERTY => block.reader.user_property(&mut into.user)?,
        property::AUTHENTICATION_METHOD => into.authentication_method = Some(block.reader.text()?),
        property::AUTHENTICATION_DATA => into.authentication_data = Some(block.reader.binary()?),
        _ => return Err(property::misplaced()),
    }
    Ok(())
}

fn decode_will(reader: &mut Reader<'_>, flags: u8, version: Version) -> Result<Will, Violation> {
    // [MQTT-3.1.2-12] (5.0), [MQTT-3.1.2-14] (3.1.1)
    let qos =
        QoS::from_bits((flags & WILL_QOS) >> 3).ok_or(Violation::malformed("MQTT-3.1.2-12", "a Will has QoS 3"))?;
    let (delay_s, properties) = if version.is_v5() { decode_will_properties(reader)? } else { Default::default() };
    // [MQTT-3.1.3-11] (5.0), [MQTT-3.1.3-10] (3.1.1)
    let text = reader.text()?;
    let topic = reader.topic_name(text)?;
    let payload = reader.binary()?;
    Ok(Will { topic, payload, qos, retain: flags & WILL_RETAIN != 0, delay_s, properties })
}

fn decode_will_properties(reader: &mut Reader<'_>) -> Result<(u32, PublishProperties), Violation> {
    let mut block = Properties::open(reader)?;
    let mut kept = Kept::of(reader.frame());
    let mut delay_s = 0;
    let mut expiry_s = None;
    loop {
        let from = block.reader.position();
        match block.next_id()? {
            None => break,
            Some(property::WILL_DELAY_INTERVAL) => delay_s = block.reader.u32()?,
            Some(property::MESSAGE_EXPIRY_INTERVAL) => expiry_s = Some(block.reader.u32()?),
            Some(id) => {
                forward::check(id, &mut block, &mut kept)?;
                kept.keep(from..block.reader.position());
            }
        }
    }
    Ok((delay_s, PublishProperties { expiry_s, forward: kept.into_bytes() }))
}

pub(super) fn encode(connect: &Connect, writer: &mut Writer<'_>) -> Written {
    let version = connect.version;
    if !version.is_v5() && connect.user_name.is_none() && connect.password.is_some() {
        return Err(EncodeError::NotAllowed("a password without a user name"));
    }
    writer.packet(PacketType::Connect, |writer| {
        let (name, level): (&[u8], u8) = match version {
            Version::V31 => (b"MQIsdp", 3),
            Version::V311 => (b"MQTT", 4),
            Version::V5 => (b"MQTT", 5),
        };
        writer.binary("the protocol name", name)?;
        writer.u8(level);
        writer.u8(flags(connect));
        writer.u16(connect.keep_alive_s);
        if version.is_v5() {
            writer.properties(|writer| encode_properties(&connect.properties, writer))?;
        }
        writer.text(&connect.client_id);
        if let Some(will) = &connect.will {
            encode_will(will, version, writer)?;
        }
        if let Some(user_name) = &connect.user_name {
            writer.text(user_name);
        }
        connect.password.as_ref().map_or(Ok(()), |password| writer.binary("the password", password))
    })
}

fn flags(connect: &Connect) -> u8 {
    let flag = |condition, bit| if condition { bit } else { 0 };
    let will = connect.will.as_ref().map_or(0, |will| WILL | ((will.qos as u8) << 3) | flag(will.retain, WILL_RETAIN));
    flag(connect.user_name.is_some(), USER_NAME)
        | flag(connect.password.is_some(), PASSWORD)
        | will
        | flag(connect.clean_start, CLEAN_START)
}

fn encode_properties(properties: &ConnectProperties, writer: &mut Writer<'_>) -> Written {
    if properties.receive_maximum == Some(0) {
        return Err(EncodeError::NotAllowed("the Receive Maximum"));
    }
    if properties.maximum_packet_bytes == Some(0) {
        return Err(EncodeError::NotAllowed("the Maximum Packet Size"));
    }
    if properties.authentication_method.is_none() && properties.authentication_data.is_some() {
        return Err(EncodeError::NotAllowed("Authentication Data without a method"));
    }
    writer.u32_property(property::SESSION_EXPIRY_INTERVAL, properties.session_expiry_s);
    writer.u16_property(property::RECEIVE_MAXIMUM, properties.receive_maximum);
    writer.u32_property(property::MAXIMUM_PACKET_SIZE, properties.maximum_packet_bytes);
    writer.u16_property(property::TOPIC_ALIAS_MAXIMUM, properties.topic_alias_maximum);
    writer.flag_property(property::REQUEST_RESPONSE_INFORMATION, properties.request_response_information);
    writer.flag_property(property::REQUEST_PROBLEM_INFORMATION, properties.request_problem_information);
    writer.user_properties(&properties.user);
    writer.text_property(property::AUTHENTICATION_METHOD, properties.authentication_method.as_ref());
    let data = properties.authentication_data.as_ref();
    writer.binary_property(property::AUTHENTICATION_DATA, "Authentication Data", data)
}

fn encode_will(will: &Will, version: Version, writer: &mut Writer<'_>) -> Written {
    if version.is_v5() {
        writer.properties(|writer| {
            writer.u32_property(property::WILL_DELAY_INTERVAL, (will.delay_s > 0).then_some(will.delay_s));
            writer.u32_property(property::MESSAGE_EXPIRY_INTERVAL, will.properties.expiry_s);
            writer.put(&will.properties.forward);
            Ok(())
        })?;
    }
    writer.text(will.topic.as_text());
    writer.binary("the Will Payload", &will.payload)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, hex, read, written};
    use super::super::{Limits, decode as decode_frame};
    use super::*;
    use crate::packet::Packet;

    const MQTT: &str = "0004 4d515454";

    fn connect(body: &str) -> Connect {
        match read(framed(0x10, body), None).unwrap() {
            Packet::Connect(connect) => *connect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_three_versions_differ_in_name_and_level() {
        for (body, version) in [
            ("0006 4d5149736470 03 02 003c 0001 61", Version::V31),
            ("0004 4d515454 04 02 003c 0001 61", Version::V311),
            ("0004 4d515454 05 02 003c 00 0001 61", Version::V5),
        ] {
            let connect = connect(body);
            assert_eq!((connect.version, connect.clean_start, connect.keep_alive_s), (version, true, 60));
            assert_eq!(written(&Packet::Connect(Box::new(connect)), version), Ok(framed(0x10, body)));
        }
    }

    #[test]
    fn the_answers_layout_is_told_by_the_level() {
        for (frame, version) in [
            ("10 13 0004 4d515454 05", Some(Version::V5)),
            ("10 13 0004 4d515454 04", Some(Version::V311)),
            ("10 13 0004 4d515454 06", Some(Version::V311)),
            ("10 13 0004 4d515454 00", Some(Version::V311)),
            ("10 13 0006 4d5149736470 03", Some(Version::V31)),
            ("10 13 0004 4d515455 05", Some(Version::V5)),
            ("10 13 0004 4d515455 04", None),
            ("10 ffffff7f 0004 4d515454 05", Some(Version::V5)),
            ("11 13 0004 4d515454 05", None),
            ("10 13 0004 4d515454", None),
            ("10 13 00ff 4d515454 05", None),
            ("10 ffffffff 0004 4d515454 05", None),
            ("", None),
        ] {
            assert_eq!(connect_version_hint(&hex(frame)), version, "{frame} [MQTT-3.1.2-2]");
        }
    }

    #[test]
    fn illegal_connects_name_their_fault() {
        let with = |rest: &str| format!("{MQTT} {rest}");
        let rows = [
            (with("06 02 003c 00 0001 61"), 0x84, "MQTT-3.1.2-2"),
            ("0004 4d515458 04 02 003c 0001 61".to_owned(), 0x84, "MQTT-3.1.2-1"),
            ("0006 4d5149736470 04 02 003c 0001 61".to_owned(), 0x84, "MQTT-3.1.2-2"),
            (with("04 03 003c 0001 61"), 0x81, "MQTT-3.1.2-3"),
            (with("04 0a 003c 0001 61"), 0x81, "MQTT-3.1.2-11"),
            (with("04 22 003c 0001 61"), 0x81, "MQTT-3.1.2-13"),
            (with("04 1e 003c 0001 61 0001 74 0000"), 0x81, "MQTT-3.1.2-12"),
            (with("04 42 003c 0001 61 0001 70"), 0x81, "MQTT-3.1.2-22"),
            (with("05 02 003c 03 210000 0001 61"), 0x82, "sec:3.1.2.11.3"),
            (with("05 02 003c 05 2700000000 0001 61"), 0x82, "sec:3.1.2.11.4"),
            (with("05 02 003c 02 1902 0001 61"), 0x82, "MQTT-4.13.1-1"),
            (with("05 02 003c 04 16000178 0001 61"), 0x82, "sec:3.1.2.11.10"),
            (with("05 02 003c 04 17001700 0001 61"), 0x82, "sec:2.2.2.2"),
            (with("05 02 003c 02 2401 0001 61"), 0x81, "sec:2.2.2.2"),
            (with("05 06 003c 00 0001 61 02 2501 0001 74 0000"), 0x81, "sec:2.2.2.2"),
            (with("05 06 003c 00 0001 61 00 0000 0000"), 0x82, "MQTT-4.7.3-1"),
        ];
        for (body, code, rule) in &rows {
            assert_refused(None, &[(0x10, body, *code, rule)]);
        }
    }

    #[test]
    fn a_password_alone_and_a_binary_one_are_legal_in_5_0() {
        let connect = connect(&format!("{MQTT} 05 42 003c 00 0001 61 0002 00ff"));
        assert_eq!(connect.user_name, None);
        assert_eq!(connect.password.as_deref(), Some(&b"\x00\xff"[..]), "[MQTT-3.1.2-19]");
        let old = Connect { version: Version::V311, ..connect };
        assert!(written(&Packet::Connect(Box::new(old)), Version::V311).is_err(), "[MQTT-3.1.2-22] (3.1.1)");
    }

    #[test]
    fn a_will_keeps_what_is_passed_on_and_takes_out_delay_and_expiry() {
        let body = format!("{MQTT} 05 2e 003c 00 0001 61 0f 1800000005 0101 0200000009 030000 0001 74 0002 6869");
        let will = connect(&body).will.unwrap();
        assert_eq!((will.delay_s, will.qos, will.retain), (5, QoS::AtLeastOnce, true));
        assert_eq!(will.properties.expiry_s, Some(9));
        assert_eq!(will.properties.forward, hex("0101 030000"), "[MQTT-3.1.2-9]");
        assert_eq!(will.payload, hex("6869"));
    }

    #[test]
    fn a_will_topic_obeys_the_limits() {
        let limits = Limits { topic_levels_max: 2, ..Limits::default() };
        let frame = framed(0x10, &format!("{MQTT} 04 06 003c 0001 61 0005 612f612f61 0000"));
        let violation = decode_frame(frame, None, &limits).unwrap_err();
        assert_eq!((violation.reason, violation.rule), (ReasonCode::TopicNameInvalid, "limits.topic_levels_max"));
    }
}
