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
