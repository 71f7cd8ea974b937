//! SUBACK and UNSUBACK on the wire (sections 3.9 and 3.11).
use super::frame::PacketType;
use super::property;
use super::reader::Reader;
use super::reason;
use super::writer::{EncodeError, Writer, Written};
use crate::packet::{Diagnostics, SubAck, UnsubAck, Version};
use crate::types::{ReasonCode, Violation};

pub(super) fn decode_suback(reader: &mut Reader<'_>, version: Version) -> Result<SubAck, Violation> {
    let id = reader.packet_id()?;
    let diagnostics = if version.is_v5() { property::read_diagnostics(reader)? } else { None };
    let codes = decode_codes(reader, PacketType::SubAck)?;
    // [MQTT-3.9.3-2]: before 5.0 there is one code for all failures.
    if !version.is_v5() && codes.iter().any(|code| code.is_failure() && *code != ReasonCode::UnspecifiedError) {
        return Err(Violation::protocol("MQTT-3.9.3-2", "a SUBACK return code is reserved"));
    }
    Ok(SubAck { id, codes, diagnostics })
}

pub(super) fn decode_unsuback(reader: &mut Reader<'_>, version: Version) -> Result<UnsubAck, Violation> {
    let id = reader.packet_id()?;
    if !version.is_v5() {
        return Ok(UnsubAck { id, codes: Vec::new(), diagnostics: None });
    }
    let diagnostics = property::read_diagnostics(reader)?;
    let codes = decode_codes(reader, PacketType::UnsubAck)?;
    Ok(UnsubAck { id, codes, diagnostics })
}

fn decode_codes(reader: &mut Reader<'_>, packet_type: PacketType) -> Result<Vec<ReasonCode>, Violation> {
    // [MQTT-3.9.3-1], [MQTT-3.11.3-1]: the packet answered had a Topic Filter.
    if reader.is_empty() {
        return Err(Violation::malformed("MQTT-3.9.3-1", "an acknowledgement has no Reason Code"));
    }
    let mut codes = Vec::with_capacity(reader.remaining());
    while !reader.is_empty() {
        codes.push(reason::parse(reader.u8()?, packet_type)?);
    }
    Ok(codes)
}

pub(super) fn encode_suback(suback: &SubAck, version: Version, writer: &mut Writer<'_>) -> Written {
    writer.packet(PacketType::SubAck, |writer| {
        writer.u16(suback.id.value());
        if version.is_v5() {
            encode_diagnostics(suback.diagnostics.as_deref(), writer)?;
        }
        encode_codes(&suback.codes, PacketType::SubAck, version, writer)
    })
}

pub(super) fn encode_unsuback(unsuback: &UnsubAck, version: Version, writer: &mut Writer<'_>) -> Written {
    writer.packet(PacketType::UnsubAck, |writer| {
        writer.u16(unsuback.id.value());
        if !version.is_v5() {
            return Ok(());
        }
        encode_diagnostics(unsuback.diagnostics.as_deref(), writer)?;
        encode_codes(&unsuback.codes, PacketType::UnsubAck, version, writer)
    })
}

fn encode_diagnostics(diagnostics: Option<&Diagnostics>, writer: &mut Writer<'_>) -> Written {
    writer.properties(|writer| {
        if let Some(diagnostics) = diagnostics {
            writer.diagnostics(diagnostics);
        }
        Ok(())
    })
}

fn encode_codes(codes: &[ReasonCode], packet_type: PacketType, version: Version, writer: &mut Writer<'_>) -> Written {
    // [MQTT-3.9.3-1], [MQTT-3.11.3-1]
    if codes.is_empty() {
        return Err(EncodeError::NotAllowed("an acknowledgement without a Reason Code"));
    }
    codes.iter().try_for_each(|code| {
        let narrowed = if code.is_failure() && !version.is_v5() { ReasonCode::UnspecifiedError } else { *code };
        writer.reason_code(narrowed, packet_type)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, read_v311, written};
    use super::*;
    use crate::packet::Packet;
    use crate::types::PacketId;

    fn suback(codes: &[ReasonCode]) -> Packet {
        Packet::SubAck(SubAck { id: PacketId::new(7).unwrap(), codes: codes.to_vec(), diagnostics: None })
    }

    #[test]
    fn all_failures_are_0x80_before_5_0() {
        let packet = suback(&[ReasonCode::GrantedQoS2, ReasonCode::NotAuthorized, ReasonCode::Success]);
        assert_eq!(written(&packet, Version::V5), Ok(framed(0x90, "0007 00 02 87 00")), "[MQTT-3.9.3-1]");
        assert_eq!(written(&packet, Version::V311), Ok(framed(0x90, "0007 02 80 00")), "[MQTT-3.9.3-2] (3.1.1)");
    }

    #[test]
    fn unsuback_has_codes_from_5_0_on() {
        let packet = read_v5(framed(0xb0, "0007 00 00 11"));
        let Packet::UnsubAck(unsuback) = &packet else { panic!("no UNSUBACK") };
        assert_eq!(unsuback.codes, [ReasonCode::Success, ReasonCode::NoSubscriptionExisted], "[MQTT-3.11.3-1]");
        assert_eq!(written(&packet, Version::V311), Ok(framed(0xb0, "0007")));
        assert!(matches!(read_v311(framed(0xb0, "0007")), Packet::UnsubAck(unsuback) if unsuback.codes.is_empty()));
    }

    #[test]
    fn illegal_acknowledgements_name_their_fault() {
        let rows = [
            (0x90, "0007 00", 0x81, "MQTT-3.9.3-1"),
            (0x90, "0007 00 03", 0x82, "MQTT-3.9.3-2"),
            (0x90, "0000 00 00", 0x82, "MQTT-2.2.1-3"),
            (0xb0, "0007 00 01", 0x82, "MQTT-3.11.3-2"),
            (0xb0, "0007 02 0101 00", 0x81, "sec:2.2.2.2"),
        ];
        assert_refused(Some(Version::V5), &rows);
        let rows = [(0x90, "0007 87", 0x82, "MQTT-3.9.3-2"), (0xb0, "0007 00", 0x81, "MQTT-4.13.1-1")];
        assert_refused(Some(Version::V311), &rows);
    }

    #[test]
    fn a_suback_without_codes_cannot_be_sent() {
        assert!(written(&suback(&[]), Version::V5).is_err(), "[MQTT-3.9.3-1]");
    }
}
