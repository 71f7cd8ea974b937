//! Properties (5.0 section 2.2.2): each known by its identifier, each at most once but User Property.
use super::reader::Reader;
use crate::packet::Diagnostics;
use crate::types::{ReasonCode, Text, UserProperties, Violation};
use bytes::Bytes;

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const MESSAGE_EXPIRY: u8 = 0x02;
pub(super) const CONTENT_TYPE: u8 = 0x03;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
pub(super) const CORRELATION_DATA: u8 = 0x09;
pub(super) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(super) const SESSION_EXPIRY: u8 = 0x11;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(super) const AUTHENTICATION_METHOD: u8 = 0x15;
pub(super) const AUTHENTICATION_DATA: u8 = 0x16;
pub(super) const REQUEST_PROBLEM: u8 = 0x17;
pub(super) const WILL_DELAY: u8 = 0x18;
pub(super) const REQUEST_RESPONSE: u8 = 0x19;
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
pub(super) const WILDCARD_AVAILABLE: u8 = 0x28;
pub(super) const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
pub(super) const SHARED_AVAILABLE: u8 = 0x2a;

pub(super) const DIAGNOSTICS: &[u8] = &[REASON_STRING, USER_PROPERTY];

#[derive(Debug)]
pub(super) enum Value {
    Byte(u8),
    Two(u16),
    Four(u32),
    Varint(u32),
    Text(Text),
    Binary(Bytes),
    Pair(Text, Text),
}

/// The properties of one packet, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    values: Vec<(u8, Value)>,
}

/// One property.
pub(super) fn read_value(id: u8, reader: &mut Reader<'_>) -> Result<Value, Violation> {
    Ok(match id {
        PAYLOAD_FORMAT
        | REQUEST_PROBLEM
        | REQUEST_RESPONSE
        | MAXIMUM_QOS
        | RETAIN_AVAILABLE
        | WILDCARD_AVAILABLE
        | SUBSCRIPTION_ID_AVAILABLE
        | SHARED_AVAILABLE => Value::Byte(flag(reader.u8()?)?),
        SERVER_KEEP_ALIVE | RECEIVE_MAXIMUM | TOPIC_ALIAS_MAXIMUM | TOPIC_ALIAS => Value::Two(reader.u16()?),
        MESSAGE_EXPIRY | SESSION_EXPIRY | WILL_DELAY | MAXIMUM_PACKET_SIZE => Value::Four(reader.u32()?),
        SUBSCRIPTION_ID => {
            let id = u32::try_from(reader.varint()?).expect("at most 28 bits");
            // sec:3.8.2.1.2
            if id == 0 {
                return Err(Violation::protocol("sec:3.8.2.1.2", "a Subscription Identifier is 0"));
            }
            Value::Varint(id)
        }
        CONTENT_TYPE
        | ASSIGNED_CLIENT_ID
        | AUTHENTICATION_METHOD
        | RESPONSE_INFORMATION
        | SERVER_REFERENCE
        | REASON_STRING => Value::Text(reader.text()?),
        RESPONSE_TOPIC => {
            let topic = reader.text()?;
            // [MQTT-3.3.2-14]
            if topic.is_empty() || topic.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#')) {
                return Err(Violation::protocol("MQTT-3.3.2-14", "a Response Topic is empty or holds a wildcard"));
            }
            Value::Text(topic)
        }
        CORRELATION_DATA | AUTHENTICATION_DATA => Value::Binary(reader.binary()?),
        USER_PROPERTY => Value::Pair(reader.text()?, reader.text()?),
        _ => return Err(Violation::malformed("sec:2.2.2.2", "a property identifier that does not exist")),
    })
}

fn flag(value: u8) -> Result<u8, Violation> {
    if value > 1 {
        return Err(Violation::protocol("sec:2.2.2.2", "a property that is 0 or 1 has another value"));
    }
    Ok(value)
}

/// Tells repeated properties, which only User Property may be.
#[derive(Debug, Default)]
pub(super) struct Seen {
    ids: u64,
    user: usize,
}

impl Seen {
    pub fn note(&mut self, id: u8, allowed: &[u8], reader: &Reader<'_>) -> Result<(), Violation> {
        if !allowed.contains(&id) {
            return Err(Violation::malformed("sec:2.2.2.2", "a property that this packet cannot have"));
        }
        if id == USER_PROPERTY {
            self.user += 1;
            if self.user > reader.limits.user_properties_max {
                let why = "a packet has more User Properties than limits.user_properties_max";
                return Err(Violation::new(ReasonCode::QuotaExceeded, "limits.user_properties_max", why));
            }
            return Ok(());
        }
        let bit = 1u64 << (id & 0x3f);
        if self.ids & bit != 0 && id != SUBSCRIPTION_ID {
            return Err(Violation::protocol("sec:2.2.2.2", "a property comes twice"));
        }
        self.ids |= bit;
        Ok(())
    }
}

/// Reads a property block of which `allowed` may be part.
pub(super) fn read(reader: &mut Reader<'_>, allowed: &[u8]) -> Result<Found, Violation> {
    let count = reader.varint()?;
    let mut block = reader.block(count)?;
    let mut found = Found::default();
    let mut seen = Seen::default();
    while !block.is_empty() {
        // Identifiers are Variable Byte Integers of one byte so far.
        let id = block.u8()?;
        seen.note(id, allowed, &block)?;
        let is_again = id == SUBSCRIPTION_ID && found.values.iter().any(|(other, _)| *other == id);
        if is_again {
            return Err(Violation::protocol("sec:2.2.2.2", "a property comes twice"));
        }
        found.values.push((id, read_value(id, &mut block)?));
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, wanted: u8) -> Option<Value> {
        let index = self.values.iter().position(|(id, _)| *id == wanted)?;
        Some(self.values.remove(index).1)
    }

    pub fn u8(&mut self, id: u8) -> Option<u8> {
        match self.take(id) {
            Some(Value::Byte(value)) => Some(value),
            _ => None,
        }
    }

    pub fn flag(&mut self, id: u8) -> Option<bool> {
        self.u8(id).map(|value| value == 1)
    }

    pub fn u16(&mut self, id: u8) -> Option<u16> {
        match self.take(id) {
            Some(Value::Two(value)) => Some(value),
            _ => None,
        }
    }

    pub fn u32(&mut self, id: u8) -> Option<u32> {
        match self.take(id) {
            Some(Value::Four(value) | Value::Varint(value)) => Some(value),
            _ => None,
        }
    }

    pub fn text(&mut self, id: u8) -> Option<Text> {
        match self.take(id) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    pub fn binary(&mut self, id: u8) -> Option<Bytes> {
        match self.take(id) {
            Some(Value::Binary(value)) => Some(value),
            _ => None,
        }
    }

    /// User Properties, in order.
    pub fn user(&mut self) -> UserProperties {
        let pairs = self.values.drain(..).filter_map(|(_, value)| match value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        });
        pairs.collect()
    }

    /// Reason String and User Properties, if there are any.
    pub fn diagnostics(&mut self) -> Diagnostics {
        Diagnostics { reason_string: self.text(REASON_STRING), user: self.user() }
    }
}

/// Nothing, where there is nothing to tell.
pub(super) fn boxed(diagnostics: Diagnostics) -> Option<Box<Diagnostics>> {
    (diagnostics != Diagnostics::default()).then(|| Box::new(diagnostics))
}
