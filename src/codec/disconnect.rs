//! DISCONNECT (section 3.14).
use super::ack::{code, diagnostics};
use super::property;
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{Disconnect, DisconnectProperties, Packet, Version};
use crate::types::{ReasonCode, Violation};
use bytes::{BufMut, BytesMut};

const ALLOWED: &[u8] =
    &[property::SESSION_EXPIRY, property::SERVER_REFERENCE, property::REASON_STRING, property::USER_PROPERTY];
/// [MQTT-3.14.2-1]
const CODES: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];

pub(super) fn decode(reader: &mut Reader<'_>, version: Version) -> Result<Packet, Violation> {
    if !version.is_v5() || reader.is_empty() {
        return Ok(Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    }
    let code = code(reader.u8()?, CODES)?;
    let mut found = if reader.is_empty() { Default::default() } else { property::read(reader, ALLOWED)? };
    let properties = DisconnectProperties {
        session_expiry_s: found.u32(property::SESSION_EXPIRY),
        server_reference: found.text(property::SERVER_REFERENCE),
        diagnostics: found.diagnostics(),
    };
    let properties = (properties != DisconnectProperties::default()).then(|| Box::new(properties));
    Ok(Packet::Disconnect(Disconnect { code, properties }))
}

pub(super) fn encode(disconnect: &Disconnect, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    if let Some(given) = disconnect.properties.as_deref() {
        properties.u32(property::SESSION_EXPIRY, given.session_expiry_s);
        properties.text(property::SERVER_REFERENCE, given.server_reference.as_ref())?;
        diagnostics(&mut properties, Some(&given.diagnostics))?;
    }
    writer::packet(out, 0xe0, |out| {
        if !version.is_v5() || (disconnect.code == ReasonCode::Success && properties.is_empty()) {
            return Ok(());
        }
        out.put_u8(disconnect.code as u8);
        if properties.is_empty() { Ok(()) } else { properties.put(out) }
    })
}
