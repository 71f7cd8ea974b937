//! CONNACK (section 3.2).
use super::ack::{code, diagnostics};
use super::property;
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{ConnAck, ConnAckProperties, Packet, Version};
use crate::types::{QoS, ReasonCode, Violation};
use bytes::{BufMut, BytesMut};

const ALLOWED: &[u8] = &[
    property::SESSION_EXPIRY,
    property::ASSIGNED_CLIENT_ID,
    property::SERVER_KEEP_ALIVE,
    property::AUTHENTICATION_METHOD,
    property::AUTHENTICATION_DATA,
    property::RESPONSE_INFORMATION,
    property::SERVER_REFERENCE,
    property::REASON_STRING,
    property::RECEIVE_MAXIMUM,
    property::TOPIC_ALIAS_MAXIMUM,
    property::MAXIMUM_QOS,
    property::RETAIN_AVAILABLE,
    property::USER_PROPERTY,
    property::MAXIMUM_PACKET_SIZE,
    property::WILDCARD_AVAILABLE,
    property::SUBSCRIPTION_ID_AVAILABLE,
    property::SHARED_AVAILABLE,
];
/// [MQTT-3.2.2-8]
const CODES: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
];

pub(super) fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    let flags = reader.u8()?;
    // [MQTT-3.2.2-1]
    if flags > 1 {
        return Err(Violation::malformed("MQTT-3.2.2-1", "CONNACK flags hold more than Session Present"));
    }
    let byte = reader.u8()?;
    let mut connack = ConnAck::refusal(if version.is_v5() { code(byte, CODES)? } else { from_return_code(byte)? });
    connack.session_present = flags == 1;
    if version.is_v5() {
        connack.properties = read_properties(reader)?;
    }
    Ok(Packet::ConnAck(Box::new(connack)))
}

fn read_properties(reader: &mut Reader<'_>) -> Result<ConnAckProperties, Violation> {
    let mut found = property::read(reader, ALLOWED)?;
    Ok(ConnAckProperties {
        session_expiry_s: found.u32(property::SESSION_EXPIRY),
        receive_maximum: found.u16(property::RECEIVE_MAXIMUM),
        maximum_qos: found.u8(property::MAXIMUM_QOS).and_then(QoS::from_bits),
        retain_available: found.flag(property::RETAIN_AVAILABLE),
        maximum_packet_bytes: found.u32(property::MAXIMUM_PACKET_SIZE),
        assigned_client_id: found.text(property::ASSIGNED_CLIENT_ID),
        topic_alias_maximum: found.u16(property::TOPIC_ALIAS_MAXIMUM),
        wildcard_subscriptions: found.flag(property::WILDCARD_AVAILABLE),
        subscription_identifiers: found.flag(property::SUBSCRIPTION_ID_AVAILABLE),
        shared_subscriptions: found.flag(property::SHARED_AVAILABLE),
        server_keep_alive_s: found.u16(property::SERVER_KEEP_ALIVE),
        response_information: found.text(property::RESPONSE_INFORMATION),
        server_reference: found.text(property::SERVER_REFERENCE),
        authentication_method: found.text(property::AUTHENTICATION_METHOD),
        authentication_data: found.binary(property::AUTHENTICATION_DATA),
        diagnostics: found.diagnostics(),
    })
}

pub(super) fn encode(connack: &ConnAck, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    if !version.is_v5() {
        // MQTT 3.1 has no Session Present; its byte is reserved.
        let flags = u8::from(connack.session_present && version == Version::V311);
        out.extend_from_slice(&[0x20, 2, flags, return_code(connack.code)]);
        return Ok(());
    }
    let properties = encode_properties(&connack.properties)?;
    writer::packet(out, 0x20, |out| {
        out.put_u8(u8::from(connack.session_present));
        out.put_u8(connack.code as u8);
        properties.put(out)
    })
}

fn encode_properties(given: &ConnAckProperties) -> Result<Properties, EncodeError> {
    let mut properties = Properties::default();
    properties.u32(property::SESSION_EXPIRY, given.session_expiry_s);
    properties.u16(property::RECEIVE_MAXIMUM, given.receive_maximum);
    properties.u8(property::MAXIMUM_QOS, given.maximum_qos.map(|qos| qos as u8));
    properties.flag(property::RETAIN_AVAILABLE, given.retain_available);
    properties.u32(property::MAXIMUM_PACKET_SIZE, given.maximum_packet_bytes);
    properties.text(property::ASSIGNED_CLIENT_ID, given.assigned_client_id.as_ref())?;
    properties.u16(property::TOPIC_ALIAS_MAXIMUM, given.topic_alias_maximum);
    diagnostics(&mut properties, Some(&given.diagnostics))?;
    properties.flag(property::WILDCARD_AVAILABLE, given.wildcard_subscriptions);
    properties.flag(property::SUBSCRIPTION_ID_AVAILABLE, given.subscription_identifiers);
    properties.flag(property::SHARED_AVAILABLE, given.shared_subscriptions);
    properties.u16(property::SERVER_KEEP_ALIVE, given.server_keep_alive_s);
    properties.text(property::RESPONSE_INFORMATION, given.response_information.as_ref())?;
    properties.text(property::SERVER_REFERENCE, given.server_reference.as_ref())?;
    properties.text(property::AUTHENTICATION_METHOD, given.authentication_method.as_ref())?;
    properties.binary(property::AUTHENTICATION_DATA, given.authentication_data.as_deref())?;
    Ok(properties)
}

/// The nearest return code of 3.1.1 (its section 3.2.2.3).
fn return_code(code: ReasonCode) -> u8 {
    match code {
        ReasonCode::Success => 0,
        ReasonCode::UnsupportedProtocolVersion => 1,
        ReasonCode::ClientIdentifierNotValid => 2,
        ReasonCode::BadUserNameOrPassword => 4,
        ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
        _ => 3,
    }
}

fn from_return_code(byte: u8) -> Result<ReasonCode, Violation> {
    Ok(match byte {
        0 => ReasonCode::Success,
        1 => ReasonCode::UnsupportedProtocolVersion,
        2 => ReasonCode::ClientIdentifierNotValid,
        3 => ReasonCode::ServerUnavailable,
        4 => ReasonCode::BadUserNameOrPassword,
        5 => ReasonCode::NotAuthorized,
        _ => return Err(Violation::malformed("sec:3.2.2.3", "a return code that does not exist")),
    })
}
