//! Puts packets into a buffer; lengths are filled in when the parts they count are written.
use super::{frame::PacketType, property, reason};
use crate::packet::{Diagnostics, varint_len};
use crate::types::{ReasonCode, Text, UserProperties};
use bytes::{BufMut, BytesMut};

/// Why a packet cannot be written. Closes the one connection it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("{0} does not exist before MQTT 5.0")]
    NotInVersion(&'static str),
    #[error("{0} is longer than its length field can say")]
    TooLong(&'static str),
    #[error("{0} has a value that the standard does not allow")]
    NotAllowed(&'static str),
}

/// The greatest Remaining Length and Variable Byte Integer (section 1.5.5).
pub(super) const VARINT_MAX: usize = 268_435_455;

/// Appends to a buffer. After an error the caller takes back what was written.
pub(super) struct Writer<'a>(&'a mut BytesMut);

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut BytesMut) -> Self {
        Self(out)
    }

    pub(super) fn out(&mut self) -> &mut BytesMut {
        self.0
    }

    /// One packet: fixed header and what `body` writes.
    pub(super) fn packet(&mut self, packet_type: PacketType, body: impl FnOnce(&mut Self) -> Written) -> Written {
        self.u8(packet_type.first_byte());
        self.counted("the packet", body)
    }

    /// A block of properties.
    pub(super) fn properties(&mut self, block: impl FnOnce(&mut Self) -> Written) -> Written {
        self.counted("a block of properties", block)
    }

    /// A Variable Byte Integer that tells the length of what `part` writes.
    fn counted(&mut self, what: &'static str, part: impl FnOnce(&mut Self) -> Written) -> Written {
        let length_at = self.0.len();
        self.u8(0);
        let start = self.0.len();
        part(self)?;
        let len = self.0.len() - start;
        if len > VARINT_MAX {
            return Err(EncodeError::TooLong(what));
        }
        let more = varint_len(len) - 1;
        if more > 0 {
            self.0.put_bytes(0, more);
            self.0.copy_within(start..start + len, start + more);
        }
        let mut length_field = self.0.get_mut(length_at..).unwrap_or_default();
        put_varint(&mut length_field, len);
        Ok(())
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.put_u8(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.0.put_u16(value);
    }

    pub(super) fn binary(&mut self, what: &'static str, bytes: &[u8]) -> Written {
        let len = u16::try_from(bytes.len()).map_err(|_| EncodeError::TooLong(what))?;
        self.0.reserve(2 + bytes.len());
        self.0.put_u16(len);
        self.0.put_slice(bytes);
        Ok(())
    }

    pub(super) fn text(&mut self, text: &Text) {
        self.string(text.as_str());
    }

    /// The same, of what was a text once.
    pub(super) fn string(&mut self, text: &str) {
        self.binary("a text", text.as_bytes()).expect("a text has at most 65,535 bytes");
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }

    pub(super) fn reason_code(&mut self, code: ReasonCode, packet_type: PacketType) -> Written {
        if !reason::is_listed(code, packet_type) {
            return Err(EncodeError::NotAllowed("the Reason Code"));
        }
        self.u8(code as u8);
        Ok(())
    }

    pub(super) fn flag_property(&mut self, id: u8, value: Option<bool>) {
        if let Some(value) = value {
            self.put(&[id, u8::from(value)]);
        }
    }

    pub(super) fn u16_property(&mut self, id: u8, value: Option<u16>) {
        if let Some(value) = value {
            self.u8(id);
            self.u16(value);
        }
    }

    pub(super) fn u32_property(&mut self, id: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.u8(id);
            self.0.put_u32(value);
        }
    }

    pub(super) fn text_property(&mut self, id: u8, value: Option<&Text>) {
        if let Some(value) = value {
            self.u8(id);
            self.text(value);
        }
    }

    pub(super) fn binary_property(&mut self, id: u8, what: &'static str, value: Option<impl AsRef<[u8]>>) -> Written {
        if let Some(value) = value {
            self.u8(id);
            self.binary(what, value.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn user_properties(&mut self, user: &UserProperties) {
        for (name, value) in user {
            self.u8(property::USER_PROPERTY);
            self.text(name);
            self.text(value);
        }
    }

    pub(super) fn diagnostics(&mut self, diagnostics: &Diagnostics) {
        self.text_property(property::REASON_STRING, diagnostics.reason_string.as_ref());
        self.user_properties(&diagnostics.user);
    }

    pub(super) fn subscription_id(&mut self, id: u32) -> Written {
        let value = check_subscription_id(id)?;
        self.u8(property::SUBSCRIPTION_IDENTIFIER);
        put_varint(self.0, value);
        Ok(())
    }
}

pub(super) type Written = Result<(), EncodeError>;

pub(super) fn check_subscription_id(id: u32) -> Result<usize, EncodeError> {
    match usize::try_from(id) {
        Ok(value @ 1..=VARINT_MAX) => Ok(value),
        Ok(_) | Err(_) => Err(EncodeError::NotAllowed("a Subscription Identifier")),
    }
}

/// Writes a Variable Byte Integer of at most [`VARINT_MAX`].
pub(super) fn put_varint(out: &mut impl BufMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8(low_seven(value) | 0x80);
        value >>= 7;
    }
    out.put_u8(low_seven(value));
}

fn low_seven(value: usize) -> u8 {
    u8::try_from(value & 0x7f).expect("seven bits fit into a byte")
}
