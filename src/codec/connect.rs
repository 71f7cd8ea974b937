//! CONNECT (section 3.1).
use super::forward::Forward;
use super::property;
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{Connect, ConnectProperties, Packet, Version, Will};
use crate::types::{PublishProperties, QoS, ReasonCode, Text, TopicName, Violation};
use bytes::{BufMut, Bytes, BytesMut};

const ALLOWED: &[u8] = &[
    property::SESSION_EXPIRY,
    property::AUTHENTICATION_METHOD,
    property::AUTHENTICATION_DATA,
    property::REQUEST_PROBLEM,
    property::REQUEST_RESPONSE,
    property::RECEIVE_MAXIMUM,
    property::TOPIC_ALIAS_MAXIMUM,
    property::USER_PROPERTY,
    property::MAXIMUM_PACKET_SIZE,
];
const WILL_ALLOWED: &[u8] = &[
    property::PAYLOAD_FORMAT,
    property::MESSAGE_EXPIRY,
    property::CONTENT_TYPE,
    property::RESPONSE_TOPIC,
    property::CORRELATION_DATA,
    property::WILL_DELAY,
    property::USER_PROPERTY,
];

/// The version whose layout a refusal of this first packet should have; `None` if it cannot be told.
pub fn version_hint(packet: &[u8]) -> Option<Version> {
    let (_, size) = super::frame::varint(packet.get(1..)?, None).ok()??;
    let body = packet.get(1 + size..)?;
    match (body.get(..6)?, body.get(6)) {
        // Bridges of some brokers set the highest bit of the level; 3.1.1 is what they speak.
        (b"\x00\x04MQTT", Some(0..=4 | 0x80..)) => Some(Version::V311),
        (b"\x00\x04MQTT", _) => Some(Version::V5),
        (b"\x00\x06MQIs", _) => Some(Version::V31),
        _ => None,
    }
}

pub(super) fn decode(mut reader: Reader<'_>) -> Result<Packet, Violation> {
    let version = read_version(&mut reader)?;
    let flags = Flags::parse(reader.u8()?, version)?;
    let keep_alive_s = reader.u16()?;
    let properties = if version.is_v5() { read_properties(&mut reader)? } else { ConnectProperties::default() };
    // [MQTT-3.1.3-1], [MQTT-3.1.3-3], [MQTT-3.1.3-4]
    let client_id = reader.text()?;
    let will = flags.will.map(|flags| read_will(&mut reader, version, flags)).transpose()?;
    let user_name = flags.has_user_name.then(|| reader.text()).transpose()?;
    let password = flags.has_password.then(|| reader.binary()).transpose()?;
    reader.finish()?;
    let clean_start = flags.clean_start;
    Ok(Packet::Connect(Box::new(Connect {
        version,
        clean_start,
        keep_alive_s,
        client_id,
        will,
        user_name,
        password,
        properties,
    })))
}

// [MQTT-3.1.2-1], [MQTT-3.1.2-2]
fn read_version(reader: &mut Reader<'_>) -> Result<Version, Violation> {
    let name = reader.text()?;
    let level = reader.u8()?;
    match (name.as_str(), level) {
        ("MQTT", 5) => Ok(Version::V5),
        ("MQTT", 4) => Ok(Version::V311),
        ("MQIsdp", 3) => Ok(Version::V31),
        _ => {
            let why = "a protocol name or version that this broker does not speak";
            Err(Violation::new(ReasonCode::UnsupportedProtocolVersion, "MQTT-3.1.2-2", why))
        }
    }
}

/// The Connect Flags (section 3.1.2.3).
struct Flags {
    clean_start: bool,
    will: Option<(QoS, bool)>,
    has_user_name: bool,
    has_password: bool,
}

impl Flags {
    fn parse(flags: u8, version: Version) -> Result<Self, Violation> {
        let wrong = |rule, why| Err(Violation::malformed(rule, why));
        let is_set = |bit: u8| flags & (1 << bit) != 0;
        // [MQTT-3.1.2-3]
        if is_set(0) {
            return wrong("MQTT-3.1.2-3", "the reserved Connect Flag is set");
        }
        let qos = flags >> 3 & 3;
        // [MQTT-3.1.2-11], [MQTT-3.1.2-13] (5.0); [MQTT-3.1.2-13], [MQTT-3.1.2-15] (3.1.1)
        if !is_set(2) && (qos != 0 || is_set(5)) {
            return wrong("MQTT-3.1.2-11", "Will QoS or Will Retain without a will");
        }
        // [MQTT-3.1.2-12] (5.0), [MQTT-3.1.2-14] (3.1.1)
        let Some(qos) = QoS::from_bits(qos) else { return wrong("MQTT-3.1.2-12", "a Will QoS of 3") };
        // [MQTT-3.1.2-22] (3.1.1); 5.0 allows a password alone.
        if !version.is_v5() && is_set(6) && !is_set(7) {
            return wrong("MQTT-3.1.2-22", "a password without a user name");
        }
        let will = is_set(2).then_some((qos, is_set(5)));
        Ok(Self { clean_start: is_set(1), will, has_user_name: is_set(7), has_password: is_set(6) })
    }
}

fn read_properties(reader: &mut Reader<'_>) -> Result<ConnectProperties, Violation> {
    let mut found = property::read(reader, ALLOWED)?;
    let properties = ConnectProperties {
        session_expiry_s: found.u32(property::SESSION_EXPIRY),
        receive_maximum: found.u16(property::RECEIVE_MAXIMUM),
        maximum_packet_bytes: found.u32(property::MAXIMUM_PACKET_SIZE),
        topic_alias_maximum: found.u16(property::TOPIC_ALIAS_MAXIMUM),
        request_response_information: found.flag(property::REQUEST_RESPONSE),
        request_problem_information: found.flag(property::REQUEST_PROBLEM),
        authentication_method: found.text(property::AUTHENTICATION_METHOD),
        authentication_data: found.binary(property::AUTHENTICATION_DATA),
        user: found.user(),
    };
    // Sections 3.1.2.11.3 and 3.1.2.11.4.
    if properties.receive_maximum == Some(0) || properties.maximum_packet_bytes == Some(0) {
        return Err(Violation::protocol("sec:3.1.2.11", "Receive Maximum or Maximum Packet Size is 0"));
    }
    // Section 3.1.2.11.10.
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(Violation::protocol("sec:3.1.2.11.10", "Authentication Data without a method"));
    }
    Ok(properties)
}

// [MQTT-3.1.2-9]
fn read_will(reader: &mut Reader<'_>, version: Version, (qos, retain): (QoS, bool)) -> Result<Will, Violation> {
    let (mut delay_s, mut properties) = (0, PublishProperties::default());
    if version.is_v5() {
        let mut found = property::read(reader, WILL_ALLOWED)?;
        delay_s = found.u32(property::WILL_DELAY).unwrap_or(0);
        properties.expiry_s = found.u32(property::MESSAGE_EXPIRY);
        let encoded = Forward::from_found(&mut found).encode();
        properties.forward = encoded.map_err(|_| Violation::malformed("sec:2.2.2", "will properties are too long"))?;
    }
    // [MQTT-3.1.3-11]
    let topic = TopicName::parse(reader.text()?)?;
    Ok(Will { topic, payload: reader.binary()?, qos, retain, delay_s, properties })
}

pub(super) fn encode(connect: &Connect, out: &mut BytesMut) -> Result<(), EncodeError> {
    writer::packet(out, 0x10, |out| {
        let (name, level): (&[u8], u8) = match connect.version {
            Version::V31 => (b"MQIsdp", 3),
            Version::V311 => (b"MQTT", 4),
            Version::V5 => (b"MQTT", 5),
        };
        writer::binary(out, name)?;
        out.put_u8(level);
        out.put_u8(connect_flags(connect));
        out.put_u16(connect.keep_alive_s);
        if connect.version.is_v5() {
            encode_properties(&connect.properties)?.put(out)?;
        }
        writer::text(out, &connect.client_id)?;
        if let Some(will) = &connect.will {
            encode_will(will, connect.version, out)?;
        }
        let user_name = connect.user_name.as_ref().map(Text::as_bytes);
        for field in [user_name, connect.password.as_ref()].into_iter().flatten() {
            writer::binary(out, field)?;
        }
        Ok(())
    })
}

fn connect_flags(connect: &Connect) -> u8 {
    let will = connect.will.as_ref().map_or(0, |will| 4 | (will.qos as u8) << 3 | u8::from(will.retain) << 5);
    u8::from(connect.clean_start) << 1
        | will
        | u8::from(connect.password.is_some()) << 6
        | u8::from(connect.user_name.is_some()) << 7
}

fn encode_properties(given: &ConnectProperties) -> Result<Properties, EncodeError> {
    let mut properties = Properties::default();
    properties.u32(property::SESSION_EXPIRY, given.session_expiry_s);
    properties.u16(property::RECEIVE_MAXIMUM, given.receive_maximum);
    properties.u32(property::MAXIMUM_PACKET_SIZE, given.maximum_packet_bytes);
    properties.u16(property::TOPIC_ALIAS_MAXIMUM, given.topic_alias_maximum);
    properties.flag(property::REQUEST_RESPONSE, given.request_response_information);
    properties.flag(property::REQUEST_PROBLEM, given.request_problem_information);
    properties.user(&given.user)?;
    properties.text(property::AUTHENTICATION_METHOD, given.authentication_method.as_ref())?;
    properties.binary(property::AUTHENTICATION_DATA, given.authentication_data.as_deref())?;
    Ok(properties)
}

fn encode_will(will: &Will, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    if version.is_v5() {
        let mut properties = Properties::default();
        properties.u32(property::WILL_DELAY, (will.delay_s > 0).then_some(will.delay_s));
        properties.u32(property::MESSAGE_EXPIRY, will.properties.expiry_s);
        properties.raw(&will.properties.forward);
        properties.put(out)?;
    }
    writer::text(out, will.topic.as_text())?;
    writer::binary(out, &will.payload as &Bytes)
}
