//! DISCONNECT on the wire (section 3.14).
use super::frame::PacketType;
use super::property::{self, Properties};
use super::reader::Reader;
use super::reason;
use super::writer::{Writer, Written};
use crate::packet::{Disconnect, DisconnectProperties, Version};
use crate::types::{ReasonCode, Violation};

pub(super) fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Disconnect, Violation> {
    // 5.0 leaves out the Reason Code if it is Normal disconnection, and the Property Length if there are no properties.
    if !version.is_v5() || reader.is_empty() {
        return Ok(Disconnect::new(ReasonCode::Success));
    }
    let code = reason::parse(reader.u8()?, PacketType::Disconnect)?;
    let properties = if reader.is_empty() { None } else { decode_properties(reader)? };
    Ok(Disconnect { code, properties })
}

fn decode_properties(reader: &mut Reader<'_>) -> Result<Option<Box<DisconnectProperties>>, Violation> {
    let mut block = Properties::open(reader)?;
    let mut properties = DisconnectProperties::default();
    while let Some(id) = block.next_id()? {
        match id {
            property::SESSION_EXPIRY_INTERVAL => properties.session_expiry_s = Some(block.reader.u32()?),
            property::SERVER_REFERENCE => properties.server_reference = Some(block.reader.text()?),
            _ => block.read_diagnostics(id, &mut properties.diagnostics)?,
        }
    }
    Ok((properties != DisconnectProperties::default()).then(|| Box::new(properties)))
}

pub(super) fn encode(disconnect: &Disconnect, version: Version, writer: &mut Writer<'_>) -> Written {
    writer.packet(PacketType::Disconnect, |writer| {
        let is_plain = disconnect.code == ReasonCode::Success && disconnect.properties.is_none();
        if is_plain || !version.is_v5() {
            return Ok(());
        }
        writer.reason_code(disconnect.code, PacketType::Disconnect)?;
        // The Property Length could be left out if it is 0, but there are clients that then wait for it.
        writer.properties(|writer| {
            if let Some(properties) = &disconnect.properties {
                writer.u32_property(property::SESSION_EXPIRY_INTERVAL, properties.session_expiry_s);
                writer.text_property(property::SERVER_REFERENCE, properties.server_reference.as_ref());
                writer.diagnostics(&properties.diagnostics);
            }
            Ok(())
        })
    })
}
