//! CONNACK on the wire (section 3.2).
use super::frame::PacketType;
use super::property::{self, Properties};
use super::reader::Reader;
use super::reason;
use super::writer::{EncodeError, Writer, Written};
use crate::packet::{ConnAck, ConnAckProperties, Version};
use crate::types::{QoS, ReasonCode, Violation};

const SESSION_PRESENT: u8 = 0x01;

pub(super) fn decode(reader: &mut Reader<'_>, version: Version) -> Result<ConnAck, Violation> {
    let flags = reader.u8()?;
    // [MQTT-3.2.2-1]; in 3.1 the byte is reserved and means nothing.
    if version != Version::V31 && flags & !SESSION_PRESENT != 0 {
        return Err(Violation::malformed("MQTT-3.2.2-1", "a reserved CONNACK flag is set"));
    }
    let session_present = version != Version::V31 && flags & SESSION_PRESENT != 0;
    let byte = reader.u8()?;
    let code = if version.is_v5() { reason::parse(byte, PacketType::ConnAck)? } else { from_return_code(byte)? };
    // [MQTT-3.2.2-6] (5.0), [MQTT-3.2.2-4] (3.1.1)
    if session_present && code.is_failure() {
        return Err(Violation::protocol("MQTT-3.2.2-6", "a refusal claims a session"));
    }
    let properties = if version.is_v5() { decode_properties(reader)? } else { ConnAckProperties::default() };
    Ok(ConnAck { session_present, code, properties })
}

fn from_return_code(byte: u8) -> Result<ReasonCode, Violation> {
    match byte {
        0 => Ok(ReasonCode::Success),
        1 => Ok(ReasonCode::UnsupportedProtocolVersion),
        2 => Ok(ReasonCode::ClientIdentifierNotValid),
        3 => Ok(ReasonCode::ServerUnavailable),
        4 => Ok(ReasonCode::BadUserNameOrPassword),
        5 => Ok(ReasonCode::NotAuthorized),
        _ => Err(Violation::protocol("sec:3.2.2.3", "a CONNACK return code is reserved")),
    }
}

/// The nearest of 3.1.1's return codes; a cause that has none of its own is told as Server unavailable.
pub(super) const fn to_return_code(code: ReasonCode) -> u8 {
    match code as u8 {
        0x00..0x80 => 0,
        0x84 => 1,
        0x85 => 2,
        0x86 => 4,
        0x87 | 0x8a | 0x8c => 5,
        0x80.. => 3,
    }
}

fn decode_properties(reader: &mut Reader<'_>) -> Result<ConnAckProperties, Violation> {
    let mut block = Properties::open(reader)?;
    let mut properties = ConnAckProperties::default();
    while let Some(id) = block.next_id()? {
        decode_property(id, &mut block, &mut properties)?;
    }
    let (method, data) = (&properties.authentication_method, &properties.authentication_data);
    property::check_authentication(method.as_ref(), data.as_ref())?;
    Ok(properties)
}

fn decode_property(id: u8, block: &mut Properties<'_>, into: &mut ConnAckProperties) -> Result<(), Violation> {
    const NOT_A_FLAG: &str = "a CONNACK property is neither 0 nor 1";
    match id {
        property::SESSION_EXPIRY_INTERVAL => into.session_expiry_s = Some(block.reader.u32()?),
        property::RECEIVE_MAXIMUM => {
            into.receive_maximum = Some(block.nonzero_u16("sec:3.2.2.3.3", "the Receive Maximum is 0")?);
        }
        property::MAXIMUM_QOS => {
            let why = "the Maximum QoS is neither 0 nor 1";
            into.maximum_qos = Some(if block.flag(why)? { QoS::AtLeastOnce } else { QoS::AtMostOnce });
        }
        property::RETAIN_AVAILABLE => into.retain_available = Some(block.flag(NOT_A_FLAG)?),
        property::MAXIMUM_PACKET_SIZE => {
            into.maximum_packet_bytes = Some(block.nonzero_u32("sec:3.2.2.3.6", "the Maximum Packet Size is 0")?);
        }
        property::ASSIGNED_CLIENT_IDENTIFIER => into.assigned_client_id = Some(block.reader.text()?),
        property::TOPIC_ALIAS_MAXIMUM => into.topic_alias_maximum = Some(block.reader.u16()?),
        property::WILDCARD_SUBSCRIPTION_AVAILABLE => into.wildcard_subscriptions = Some(block.flag(NOT_A_FLAG)?),
        property::SUBSCRIPTION_IDENTIFIER_AVAILABLE => into.subscription_identifiers = Some(block.flag(NOT_A_FLAG)?),
        property::SHARED_SUBSCRIPTION_AVAILABLE => into.shared_subscriptions = Some(block.flag(NOT_A_FLAG)?),
        property::SERVER_KEEP_ALIVE => into.server_keep_alive_s = Some(block.reader.u16()?),
        property::RESPONSE_INFORMATION => into.response_information = Some(block.reader.text()?),
        property::SERVER_REFERENCE => into.server_reference = Some(block.reader.text()?),
        property::AUTHENTICATION_METHOD => into.authentication_method = Some(block.reader.text()?),
        property::AUTHENTICATION_DATA => into.authentication_data = Some(block.reader.binary()?),
        _ => block.read_diagnostics(id, &mut into.diagnostics)?,
    }
    Ok(())
}

pub(super) fn encode(connack: &ConnAck, version: Version, writer: &mut Writer<'_>) -> Written {
    let refused = connack.code.is_failure();
    writer.packet(PacketType::ConnAck, |writer| {
        // [MQTT-3.2.2-6] (5.0), [MQTT-3.2.2-4] (3.1.1); in 3.1 the byte is reserved.
        let session_present = connack.session_present && !refused && version != Version::V31;
        writer.u8(u8::from(session_present));
        if !version.is_v5() {
            writer.u8(to_return_code(connack.code));
            return Ok(());
        }
        writer.reason_code(connack.code, PacketType::ConnAck)?;
        writer.properties(|writer| encode_properties(&connack.properties, writer))
    })
}

fn encode_properties(properties: &ConnAckProperties, writer: &mut Writer<'_>) -> Written {
    check_values(properties)?;
    writer.u32_property(property::SESSION_EXPIRY_INTERVAL, properties.session_expiry_s);
    writer.u16_property(property::RECEIVE_MAXIMUM, properties.receive_maximum);
    let maximum_qos = match properties.maximum_qos {
        Some(QoS::AtMostOnce) => Some(false),
        Some(QoS::AtLeastOnce) => Some(true),
        // QoS 2 is told by leaving the property out.
        Some(QoS::ExactlyOnce) | None => None,
    };
    writer.flag_property(property::MAXIMUM_QOS, maximum_qos);
    writer.flag_property(property::RETAIN_AVAILABLE, properties.retain_available);
    writer.u32_property(property::MAXIMUM_PACKET_SIZE, properties.maximum_packet_bytes);
    writer.text_property(property::ASSIGNED_CLIENT_IDENTIFIER, properties.assigned_client_id.as_ref());
    writer.u16_property(property::TOPIC_ALIAS_MAXIMUM, properties.topic_alias_maximum);
    writer.flag_property(property::WILDCARD_SUBSCRIPTION_AVAILABLE, properties.wildcard_subscriptions);
    writer.flag_property(property::SUBSCRIPTION_IDENTIFIER_AVAILABLE, properties.subscription_identifiers);
    writer.flag_property(property::SHARED_SUBSCRIPTION_AVAILABLE, properties.shared_subscriptions);
    writer.u16_property(property::SERVER_KEEP_ALIVE, properties.server_keep_alive_s);
    writer.text_property(property::RESPONSE_INFORMATION, properties.response_information.as_ref());
    writer.text_property(property::SERVER_REFERENCE, properties.server_reference.as_ref());
    writer.text_property(property::AUTHENTICATION_METHOD, properties.authentication_method.as_ref());
    let data = properties.authentication_data.as_ref();
    writer.binary_property(property::AUTHENTICATION_DATA, "Authentication Data", data)?;
    writer.diagnostics(&properties.diagnostics);
    Ok(())
}

fn check_values(properties: &ConnAckProperties) -> Written {
    if properties.receive_maximum == Some(0) {
        return Err(EncodeError::NotAllowed("the Receive Maximum"));
    }
    if properties.maximum_packet_bytes == Some(0) {
        return Err(EncodeError::NotAllowed("the Maximum Packet Size"));
    }
    if properties.authentication_method.is_none() && properties.authentication_data.is_some() {
        return Err(EncodeError::NotAllowed("Authentication Data without a method"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, read_v311, written};
    use super::*;
    use crate::packet::Packet;
    use crate::types::Text;

    fn written_as(connack: &ConnAck, version: Version) -> Vec<u8> {
        written(&Packet::ConnAck(Box::new(connack.clone())), version).unwrap().to_vec()
    }

    #[test]
    fn every_refusal_has_a_return_code_in_3_1_1() {
        for code in ReasonCode::ALL.iter().copied().filter(|code| code.is_failure()) {
            let expected = match code {
                ReasonCode::UnsupportedProtocolVersion => 1,
                ReasonCode::ClientIdentifierNotValid => 2,
                ReasonCode::BadUserNameOrPassword => 4,
                ReasonCode::NotAuthorized | ReasonCode::Banned | ReasonCode::BadAuthenticationMethod => 5,
                _ => 3,
            };
            let refusal = ConnAck { session_present: true, ..ConnAck::refusal(code) };
            assert_eq!(written_as(&refusal, Version::V311), [0x20, 2, 0, expected], "{code:?} [MQTT-3.2.2-4] (3.1.1)");
        }
    }

    #[test]
    fn session_present_is_told_from_3_1_1_on() {
        let connack =
            ConnAck { session_present: true, code: ReasonCode::Success, properties: ConnAckProperties::default() };
        assert_eq!(written_as(&connack, Version::V31), [0x20, 2, 0, 0]);
        assert_eq!(written_as(&connack, Version::V311), [0x20, 2, 1, 0], "[MQTT-3.2.2-2] (3.1.1)");
        assert_eq!(written_as(&connack, Version::V5), [0x20, 3, 1, 0, 0], "[MQTT-3.2.2-3]");
        assert_eq!(read_v311(framed(0x20, "01 00")), Packet::ConnAck(Box::new(connack)));
    }

    #[test]
    fn a_code_the_table_does_not_list_cannot_be_sent() {
        let connack = Packet::ConnAck(Box::new(ConnAck::refusal(ReasonCode::SessionTakenOver)));
        assert_eq!(written(&connack, Version::V5), Err(EncodeError::NotAllowed("the Reason Code")), "[MQTT-3.2.2-8]");
    }

    #[test]
    fn maximum_qos_2_is_told_by_silence() {
        let mut connack = ConnAck::refusal(ReasonCode::Success);
        connack.properties.maximum_qos = Some(QoS::ExactlyOnce);
        assert_eq!(written_as(&connack, Version::V5), [0x20, 3, 0, 0, 0]);
        connack.properties.maximum_qos = Some(QoS::AtLeastOnce);
        assert_eq!(written_as(&connack, Version::V5), [0x20, 5, 0, 0, 2, 0x24, 1]);
    }

    #[test]
    fn a_long_block_of_properties_gets_a_long_length() {
        let mut connack = ConnAck::refusal(ReasonCode::Success);
        connack.properties.diagnostics.reason_string = Some(Text::try_from("x".repeat(20_000).as_str()).unwrap());
        let bytes = written_as(&connack, Version::V5);
        assert_eq!(bytes[..11], [0x20, 0xa8, 0x9c, 0x01, 0, 0, 0xa3, 0x9c, 0x01, 0x1f, 0x4e]);
        assert_eq!(read_v5(bytes.into()), Packet::ConnAck(Box::new(connack)));
    }

    #[test]
    fn illegal_connacks_name_their_fault() {
        let rows = [
            (0x20, "02 00 00", 0x81, "MQTT-3.2.2-1"),
            (0x20, "01 87 00", 0x82, "MQTT-3.2.2-6"),
            (0x20, "00 01 00", 0x82, "MQTT-3.2.2-8"),
            (0x20, "00 8e 00", 0x82, "MQTT-3.2.2-8"),
            (0x20, "00 00 02 2402", 0x82, "MQTT-4.13.1-1"),
            (0x20, "00 00 03 210000", 0x82, "sec:3.2.2.3.3"),
            (0x20, "00 00 02 1701", 0x81, "sec:2.2.2.2"),
            (0x20, "00 00", 0x81, "MQTT-4.13.1-1"),
        ];
        assert_refused(Some(Version::V5), &rows);
        let rows = [(0x20, "00 06", 0x82, "sec:3.2.2.3"), (0x20, "01 05", 0x82, "MQTT-3.2.2-6")];
        assert_refused(Some(Version::V311), &rows);
    }
}
