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
