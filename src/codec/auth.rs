//! AUTH (5.0 section 3.15).
use super::ack::{code, diagnostics};
use super::property;
use super::reader::Reader;
use super::writer::{self, EncodeError, Properties};
use crate::packet::{Auth, Packet};
use crate::types::{ReasonCode, Violation};
use bytes::{BufMut, BytesMut};

const ALLOWED: &[u8] =
    &[property::AUTHENTICATION_METHOD, property::AUTHENTICATION_DATA, property::REASON_STRING, property::USER_PROPERTY];
/// [MQTT-3.15.2-1]
const CODES: &[u8] = &[0x00, 0x18, 0x19];

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Packet, Violation> {
    if reader.is_empty() {
        let (method, data, diagnostics) = (None, None, None);
        return Ok(Packet::Auth(Auth { code: ReasonCode::Success, method, data, diagnostics }));
    }
    let code = code(reader.u8()?, CODES)?;
    let mut found = if reader.is_empty() { Default::default() } else { property::read(reader, ALLOWED)? };
    Ok(Packet::Auth(Auth {
        code,
        method: found.text(property::AUTHENTICATION_METHOD),
        data: found.binary(property::AUTHENTICATION_DATA),
        diagnostics: property::boxed(found.diagnostics()),
    }))
}

pub(super) fn encode(auth: &Auth, out: &mut BytesMut) -> Result<(), EncodeError> {
    let mut properties = Properties::default();
    properties.text(property::AUTHENTICATION_METHOD, auth.method.as_ref())?;
    properties.binary(property::AUTHENTICATION_DATA, auth.data.as_deref())?;
    diagnostics(&mut properties, auth.diagnostics.as_deref())?;
    writer::packet(out, 0xf0, |out| {
        if auth.code == ReasonCode::Success && properties.is_empty() {
            return Ok(());
        }
        out.put_u8(auth.code as u8);
        properties.put(out)
    })
}
