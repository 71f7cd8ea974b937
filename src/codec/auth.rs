//! AUTH on the wire (5.0 section 3.15).
use super::frame::PacketType;
use super::property::{self, Properties};
use super::reader::Reader;
use super::reason;
use super::writer::{EncodeError, Writer, Written};
use crate::packet::{Auth, Diagnostics, Version};
use crate::types::{ReasonCode, Violation};

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Auth, Violation> {
    let mut auth = Auth { code: ReasonCode::Success, method: None, data: None, diagnostics: None };
    // Success without properties may be left out whole (section 3.15.2.1).
    if reader.is_empty() {
        return Ok(auth);
    }
    auth.code = reason::parse(reader.u8()?, PacketType::Auth)?;
    let mut block = Properties::open(reader)?;
    let mut diagnostics = Diagnostics::default();
    while let Some(id) = block.next_id()? {
        match id {
            property::AUTHENTICATION_METHOD => auth.method = Some(block.reader.text()?),
            property::AUTHENTICATION_DATA => auth.data = Some(block.reader.binary()?),
            _ => block.read_diagnostics(id, &mut diagnostics)?,
        }
    }
    if auth.method.is_none() {
        return Err(Violation::protocol("sec:3.15.2.2.2", "an AUTH has no Authentication Method"));
    }
    auth.diagnostics = property::boxed(diagnostics);
    Ok(auth)
}

pub(super) fn encode(auth: &Auth, version: Version, writer: &mut Writer<'_>) -> Written {
    if !version.is_v5() {
        return Err(EncodeError::NotInVersion("AUTH"));
    }
    let is_plain = auth.code == ReasonCode::Success && auth.data.is_none() && auth.diagnostics.is_none();
    if auth.method.is_none() && !is_plain {
        return Err(EncodeError::NotAllowed("an AUTH without an Authentication Method"));
    }
    writer.packet(PacketType::Auth, |writer| {
        if auth.method.is_none() {
            return Ok(());
        }
        writer.reason_code(auth.code, PacketType::Auth)?;
        writer.properties(|writer| {
            writer.text_property(property::AUTHENTICATION_METHOD, auth.method.as_ref());
            writer.binary_property(property::AUTHENTICATION_DATA, "Authentication Data", auth.data.as_ref())?;
            if let Some(diagnostics) = &auth.diagnostics {
                writer.diagnostics(diagnostics);
            }
            Ok(())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_refused, framed, read_v5, written};
    use super::*;
    use crate::packet::Packet;
    use crate::types::Text;
    use bytes::Bytes;

    #[test]
    fn an_auth_carries_method_and_data() {
        let auth = Auth {
            code: ReasonCode::ContinueAuthentication,
            method: Some(Text::from_static("x")),
            data: Some(Bytes::from_static(b"\xff")),
            diagnostics: None,
        };
        let frame = framed(0xf0, "18 08 15000178 160001ff");
        assert_eq!(read_v5(frame.clone()), Packet::Auth(auth.clone()));
        assert_eq!(written(&Packet::Auth(auth), Version::V5), Ok(frame));
    }

    #[test]
    fn an_empty_auth_is_success() {
        let packet = read_v5(framed(0xf0, ""));
        assert!(matches!(&packet, Packet::Auth(auth) if auth.code == ReasonCode::Success && auth.method.is_none()));
        assert_eq!(written(&packet, Version::V5), Ok(framed(0xf0, "")), "sec:3.15.2.1");
        assert_eq!(written(&packet, Version::V311), Err(EncodeError::NotInVersion("AUTH")));
    }

    #[test]
    fn illegal_auths_name_their_fault() {
        let rows = [
            (0xf0, "18", 0x81, "MQTT-4.13.1-1"),
            (0xf0, "18 00", 0x82, "sec:3.15.2.2.2"),
            (0xf0, "18 04 16000178", 0x82, "sec:3.15.2.2.2"),
            (0xf0, "01 04 15000178", 0x82, "MQTT-3.15.2-1"),
            (0xf0, "18 08 15000178 15000178", 0x82, "sec:2.2.2.2"),
            (0xf0, "18 07 15000178 210001", 0x81, "sec:2.2.2.2"),
        ];
        assert_refused(Some(Version::V5), &rows);
    }
}
