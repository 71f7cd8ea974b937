//! PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7): one layout.
use super::property::{self, DIAGNOSTICS};
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{Ack, Diagnostics, Version};
use crate::types::{ReasonCode, Violation};
use bytes::{BufMut, BytesMut};

/// The codes of PUBACK and PUBREC [MQTT-3.4.2-1], [MQTT-3.5.2-1].
pub(super) const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// The codes of PUBREL and PUBCOMP [MQTT-3.6.2-1], [MQTT-3.7.2-1].
pub(super) const PUBREL: &[u8] = &[0x00, 0x92];

pub(super) fn decode(reader: &mut Reader<'_>, version: Version, codes: &[u8]) -> Result<Ack, Violation> {
    let id = reader.packet_id()?;
    if !version.is_v5() || reader.is_empty() {
        return Ok(Ack::success(id));
    }
    let code = code(reader.u8()?, codes)?;
    let mut diagnostics = Diagnostics::default();
    if !reader.is_empty() {
        diagnostics = property::read(reader, DIAGNOSTICS)?.diagnostics();
    }
    Ok(Ack { id, code, diagnostics: property::boxed(diagnostics) })
}

/// A reason code, if the packet's table has it.
pub(super) fn code(byte: u8, codes: &[u8]) -> Result<ReasonCode, Violation> {
    let unlisted = Violation::protocol("sec:2.4", "a reason code that this packet cannot have");
    if !codes.contains(&byte) {
        return Err(unlisted);
    }
    ReasonCode::from_byte(byte).ok_or(unlisted)
}

pub(super) fn encode(first: u8, ack: &Ack, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    // The usual case, without a detour.
    if !version.is_v5() || (ack.code == ReasonCode::Success && ack.diagnostics.is_none()) {
        let [high, low] = ack.id.value().to_be_bytes();
        out.extend_from_slice(&[first, 2, high, low]);
        return Ok(());
    }
    let mut properties = Properties::default();
    diagnostics(&mut properties, ack.diagnostics.as_deref())?;
    writer::packet(out, first, |out| {
        out.put_u16(ack.id.value());
        out.put_u8(ack.code as u8);
        if properties.is_empty() { Ok(()) } else { properties.put(out) }
    })
}

pub(super) fn diagnostics(properties: &mut Properties, given: Option<&Diagnostics>) -> Result<(), EncodeError> {
    let Some(given) = given else { return Ok(()) };
    properties.text(property::REASON_STRING, given.reason_string.as_ref())?;
    properties.user(&given.user)
}
