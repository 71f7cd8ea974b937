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

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, read_v311, written};
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn a_disconnect_may_leave_out_its_properties_or_all() {
        for (body, code) in [
            ("", ReasonCode::Success),
            ("04", ReasonCode::DisconnectWithWill),
            ("04 00", ReasonCode::DisconnectWithWill),
            ("8e", ReasonCode::SessionTakenOver),
        ] {
            assert_eq!(read_v5(framed(0xe0, body)), Packet::Disconnect(Disconnect::new(code)), "sec:3.14.2.1");
        }
    }

    #[test]
    fn before_5_0_there_is_nothing_but_the_packet() {
        let packet = Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown));
        assert_eq!(written(&packet, Version::V311), Ok(framed(0xe0, "")));
        assert_eq!(written(&packet, Version::V5), Ok(framed(0xe0, "8b 00")));
        let plain = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        assert_eq!(written(&plain, Version::V5), Ok(framed(0xe0, "")));
        assert_eq!(read_v311(framed(0xe0, "")), plain);
    }

    #[test]
    fn illegal_disconnects_name_their_fault() {
        let rows = [
            (0xe0, "01", 0x82, "MQTT-3.14.2-1"),
            (0xe0, "85 00", 0x82, "MQTT-3.14.2-1"),
            (0xe0, "00 05", 0x81, "MQTT-4.13.1-1"),
            (0xe0, "00 03 210005", 0x81, "sec:2.2.2.2"),
            (0xe0, "00 06 1f00001f0000", 0x82, "sec:2.2.2.2"),
        ];
        assert_refused(Some(Version::V5), &rows);
    }
}
