//! Properties (5.0 section 2.2.2): identifiers, and a walk through one block of them.
use super::reader::Reader;
use crate::packet::Diagnostics;
use crate::types::Violation;
use bytes::Bytes;

pub(super) const PAYLOAD_FORMAT_INDICATOR: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
pub(super) const SESSION_EXPIRY_INTERVAL: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_IDENTIFIER: u8 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
pub(super) const WILL_DELAY_INTERVAL: u8 = 0x18;
pub(super) const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
pub(super) const RESPONSE_INFORMATION: u8 = 0x1a;
pub(super) const SERVER_REFERENCE: u8 = 0x1c;
pub(super) const REASON_STRING: u8 = 0x1f;
pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
pub(super) const TOPIC_ALIAS: u8 = 0x23;
pub(super) const MAXIMUM_QOS: u8 = 0x24;
pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
pub(super) const USER_PROPERTY: u8 = 0x26;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 0x27;
pub(super) const WILDCARD_SUBSCRIPTION_AVAILABLE: u8 = 0x28;
pub(super) const SUBSCRIPTION_IDENTIFIER_AVAILABLE: u8 = 0x29;
pub(super) const SHARED_SUBSCRIPTION_AVAILABLE: u8 = 0x2a;

/// One packet's properties, read one by one; an identifier comes up twice only where that is allowed.
pub(super) struct Properties<'a> {
    pub(super) reader: Reader<'a>,
    /// A bit per identifier that came up.
    seen: u64,
    /// Identifiers that may come up again.
    repeatable: u64,
}

const fn bit(id: u8) -> u64 {
    1 << (id & 63)
}

impl<'a> Properties<'a> {
    /// Reads the Property Length and puts `outer` behind the block.
    // [MQTT-2.2.2-1]
    pub(super) fn open(outer: &mut Reader<'a>) -> Result<Self, Violation> {
        let len = outer.varint()?;
        let len = usize::try_from(len).expect("28 bits fit into a usize");
        Ok(Self::over(outer.part(len)?))
    }

    /// The properties that fill all of `reader`.
    pub(super) fn over(reader: Reader<'a>) -> Self {
        Self { reader, seen: 0, repeatable: bit(USER_PROPERTY) }
    }

    /// Subscription Identifiers may come more than once in a PUBLISH from a server (section 3.3.2.3.8).
    pub(super) fn with_many_subscription_ids(mut self) -> Self {
        self.repeatable |= bit(SUBSCRIPTION_IDENTIFIER);
        self
    }

    /// The next identifier; its value is next in `reader`.
    pub(super) fn next_id(&mut self) -> Result<Option<u8>, Violation> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        // Identifiers are Variable Byte Integers, all known ones of one byte; longer ones are unknown.
        let id = self.reader.u8()?;
        if id > SHARED_SUBSCRIPTION_AVAILABLE {
            return Err(misplaced());
        }
        if self.seen & bit(id) & !self.repeatable != 0 {
            return Err(Violation::protocol("sec:2.2.2.2", "a property comes twice"));
        }
        self.seen |= bit(id);
        Ok(Some(id))
    }

    /// A value that is 0 or 1.
    pub(super) fn flag(&mut self, why: &'static str) -> Result<bool, Violation> {
        match self.reader.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Violation::protocol("MQTT-4.13.1-1", why)),
        }
    }

    /// A 16-bit value that must not be 0.
    pub(super) fn nonzero_u16(&mut self, rule: &'static str, why: &'static str) -> Result<u16, Violation> {
        match self.reader.u16()? {
            0 => Err(Violation::protocol(rule, why)),
            value => Ok(value),
        }
    }

    pub(super) fn nonzero_u32(&mut self, rule: &'static str, why: &'static str) -> Result<u32, Violation> {
        match self.reader.u32()? {
            0 => Err(Violation::protocol(rule, why)),
            value => Ok(value),
        }
    }

    /// A Subscription Identifier: 1 to 268,435,455.
    pub(super) fn subscription_id(&mut self) -> Result<u32, Violation> {
        match self.reader.varint()? {
            0 => Err(Violation::protocol("sec:3.8.2.1.2", "a Subscription Identifier is 0")),
            id => Ok(id),
        }
    }

    /// Takes the value if the property is a Reason String or User Property.
    pub(super) fn read_diagnostics(&mut self, id: u8, into: &mut Diagnostics) -> Result<(), Violation> {
        match id {
            REASON_STRING => into.reason_string = Some(self.reader.text()?),
            USER_PROPERTY => self.reader.user_property(&mut into.user)?,
            _ => return Err(misplaced()),
        }
        Ok(())
    }
}

/// The properties of a packet that has no others than Reason String and User Properties.
pub(super) fn read_diagnostics(outer: &mut Reader<'_>) -> Result<Option<Box<Diagnostics>>, Violation> {
    let mut properties = Properties::open(outer)?;
    let mut diagnostics = Diagnostics::default();
    while let Some(id) = properties.next_id()? {
        properties.read_diagnostics(id, &mut diagnostics)?;
    }
    Ok(boxed(diagnostics))
}

/// `None` for diagnostics that say nothing, so that the usual packet needs no allocation.
pub(super) fn boxed(diagnostics: Diagnostics) -> Option<Box<Diagnostics>> {
    (diagnostics.reason_string.is_some() || !diagnostics.user.is_empty()).then(|| Box::new(diagnostics))
}

/// An identifier that the standard does not know, or does not allow in this packet (section 2.2.2.2).
pub(super) const fn misplaced() -> Violation {
    Violation::malformed("sec:2.2.2.2", "a property is unknown or does not belong into this packet")
}

/// Authentication Data makes no sense without a method (sections 3.1.2.11.10, 3.2.2.3.18 and 3.15.2.2.3).
pub(super) fn check_authentication<T>(method: Option<&T>, data: Option<&Bytes>) -> Result<(), Violation> {
    if method.is_none() && data.is_some() {
        return Err(Violation::protocol("sec:3.1.2.11.10", "there is Authentication Data without a method"));
    }
    Ok(())
}
