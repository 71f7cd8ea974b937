//! Writing packets: lengths are put in once the fields are known.
use crate::packet::varint_len;
use crate::types::{Text, UserProperties};
use bytes::{BufMut, BytesMut};

/// A packet cannot be written. It concerns its receiver alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("the packet is longer than 268,435,455 bytes")]
    TooLong,
    #[error("a field is longer than 65,535 bytes")]
    FieldTooLong,
}

/// The largest Remaining Length (section 2.1.4).
const REMAINING_MAX: usize = 268_435_455;

/// Writes one packet whose fields `body` appends.
pub(super) fn packet(
    out: &mut BytesMut,
    first: u8,
    body: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut fields = BytesMut::new();
    body(&mut fields)?;
    if fields.len() > REMAINING_MAX {
        return Err(EncodeError::TooLong);
    }
    out.reserve(5 + fields.len());
    out.put_u8(first);
    varint(out, fields.len())?;
    out.put_slice(&fields);
    Ok(())
}

pub(super) fn varint(out: &mut BytesMut, value: usize) -> Result<(), EncodeError> {
    if value > REMAINING_MAX {
        return Err(EncodeError::TooLong);
    }
    let mut rest = value;
    for _ in 1..varint_len(value) {
        out.put_u8(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    out.put_u8(low_bits(rest));
    Ok(())
}

fn low_bits(value: usize) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit a byte")
}

pub(super) fn binary(out: &mut BytesMut, bytes: &[u8]) -> Result<(), EncodeError> {
    out.put_u16(u16::try_from(bytes.len()).map_err(|_| EncodeError::FieldTooLong)?);
    out.put_slice(bytes);
    Ok(())
}

pub(super) fn text(out: &mut BytesMut, text: &Text) -> Result<(), EncodeError> {
    binary(out, text.as_bytes())
}

/// Properties being gathered; [`Properties::put`] writes them with their length [MQTT-2.2.2-1].
#[derive(Default)]
pub(super) struct Properties {
    encoded: BytesMut,
}

impl Properties {
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    pub fn u8(&mut self, id: u8, value: Option<u8>) {
        if let Some(value) = value {
            self.encoded.put_slice(&[id, value]);
        }
    }

    pub fn flag(&mut self, id: u8, value: Option<bool>) {
        self.u8(id, value.map(u8::from));
    }

    pub fn u16(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.encoded.put_u8(id);
            self.encoded.put_u16(value);
        }
    }

    pub fn u32(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.encoded.put_u8(id);
            self.encoded.put_u32(value);
        }
    }

    pub fn varint(&mut self, id: u8, value: Option<u32>) -> Result<(), EncodeError> {
        let Some(value) = value else { return Ok(()) };
        self.encoded.put_u8(id);
        varint(&mut self.encoded, usize::try_from(value).map_err(|_| EncodeError::TooLong)?)
    }

    pub fn text(&mut self, id: u8, value: Option<&Text>) -> Result<(), EncodeError> {
        self.binary(id, value.map(|text| text.as_bytes().as_ref()))
    }

    pub fn binary(&mut self, id: u8, value: Option<&[u8]>) -> Result<(), EncodeError> {
        let Some(value) = value else { return Ok(()) };
        self.encoded.put_u8(id);
        binary(&mut self.encoded, value)
    }

    pub fn user(&mut self, user: &UserProperties) -> Result<(), EncodeError> {
        for (name, value) in user {
            self.encoded.put_u8(super::property::USER_PROPERTY);
            text(&mut self.encoded, name)?;
            text(&mut self.encoded, value)?;
        }
        Ok(())
    }

    pub fn raw(&mut self, encoded: &[u8]) {
        self.encoded.put_slice(encoded);
    }

    pub fn put(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        varint(out, self.encoded.len())?;
        out.put_slice(&self.encoded);
        Ok(())
    }

    pub fn into_encoded(self) -> BytesMut {
        self.encoded
    }
}
