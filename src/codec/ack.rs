//! PUBACK, PUBREC, PUBREL and PUBCOMP on the wire (sections 3.4 to 3.7).
use super::frame::PacketType;
use super::property;
use super::reader::Reader;
use super::reason;
use super::writer::{Writer, Written};
use crate::packet::{Ack, Version};
use crate::types::{ReasonCode, Violation};

pub(super) fn decode(reader: &mut Reader<'_>, packet_type: PacketType, version: Version) -> Result<Ack, Violation> {
    let id = reader.packet_id()?;
    // 5.0 leaves out the Reason Code if it is Success, and the Property Length if there are no properties.
    if !version.is_v5() || reader.is_empty() {
        return Ok(Ack::success(id));
    }
    let code = reason::parse(reader.u8()?, packet_type)?;
    let diagnostics = if reader.is_empty() { None } else { property::read_diagnostics(reader)? };
    Ok(Ack { id, code, diagnostics })
}

pub(super) fn encode(ack: &Ack, packet_type: PacketType, version: Version, writer: &mut Writer<'_>) -> Written {
    writer.packet(packet_type, |writer| {
        writer.u16(ack.id.value());
        let is_plain = ack.code == ReasonCode::Success && ack.diagnostics.is_none();
        if is_plain || !version.is_v5() {
            return Ok(());
        }
        writer.reason_code(ack.code, packet_type)?;
        match &ack.diagnostics {
            None => Ok(()),
            Some(diagnostics) => writer.properties(|writer| {
                writer.diagnostics(diagnostics);
                Ok(())
            }),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, read_v311, written};
    use super::*;
    use crate::packet::{Diagnostics, Packet};
    use crate::types::{PacketId, Text};

    fn id() -> PacketId {
        PacketId::new(7).unwrap()
    }

    #[test]
    fn an_ack_has_two_three_or_more_bytes_in_5_0() {
        for (body, code) in [
            ("0007", ReasonCode::Success),
            ("0007 10", ReasonCode::NoMatchingSubscribers),
            ("0007 10 00", ReasonCode::NoMatchingSubscribers),
        ] {
            assert_eq!(read_v5(framed(0x40, body)), Packet::PubAck(Ack::new(id(), code)), "sec:3.4.2.1");
        }
        let explained = Diagnostics { reason_string: Some(Text::from_static("x")), user: Vec::new() };
        let ack = Ack { diagnostics: Some(Box::new(explained)), ..Ack::new(id(), ReasonCode::NotAuthorized) };
        assert_eq!(read_v5(framed(0x50, "0007 87 04 1f000178")), Packet::PubRec(ack));
    }

    #[test]
    fn what_can_be_left_out_is() {
        let success = Packet::PubAck(Ack::success(id()));
        let failure = Packet::PubRel(Ack::new(id(), ReasonCode::PacketIdentifierNotFound));
        assert_eq!(written(&success, Version::V5), Ok(framed(0x40, "0007")));
        assert_eq!(written(&failure, Version::V5), Ok(framed(0x62, "0007 92")));
        assert_eq!(written(&failure, Version::V311), Ok(framed(0x62, "0007")));
    }

    #[test]
    fn each_of_the_four_has_its_first_byte() {
        let ack = Ack::success(id());
        for (first, packet) in [
            (0x40, Packet::PubAck(ack.clone())),
            (0x50, Packet::PubRec(ack.clone())),
            (0x62, Packet::PubRel(ack.clone())),
            (0x70, Packet::PubComp(ack)),
        ] {
            assert_eq!(written(&packet, Version::V311), Ok(framed(first, "0007")));
            assert_eq!(read_v311(framed(first, "0007")), packet);
        }
    }

    #[test]
    fn illegal_acks_name_their_fault() {
        let rows = [
            (0x40, "0000", 0x82, "MQTT-2.2.1-3"),
            (0x40, "00", 0x81, "MQTT-4.13.1-1"),
            (0x40, "0007 92", 0x82, "MQTT-3.4.2-1"),
            (0x50, "0007 05", 0x82, "MQTT-3.5.2-1"),
            (0x62, "0007 10", 0x82, "MQTT-3.6.2-1"),
            (0x70, "0007 80", 0x82, "MQTT-3.7.2-1"),
            (0x40, "0007 00 02 0101", 0x81, "sec:2.2.2.2"),
            (0x40, "0007 00 06 1f00001f0000", 0x82, "sec:2.2.2.2"),
            (0x40, "0007 00 09", 0x81, "MQTT-4.13.1-1"),
        ];
        assert_refused(Some(Version::V5), &rows);
        assert_refused(Some(Version::V311), &[(0x40, "0007 00", 0x81, "MQTT-4.13.1-1")]);
    }
}
