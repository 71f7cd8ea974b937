//! A cursor over one packet, whose every step is checked.
use super::Limits;
use super::frame::varint;
use crate::packet::Version;
use crate::types::{PacketId, Text, Violation};
use bytes::{Buf, Bytes};

pub(super) struct Reader<'a> {
    rest: Bytes,
    pub limits: &'a Limits,
}

const SHORT: Violation = Violation::malformed("MQTT-4.13.1-1", "a packet ends inside a field");

impl<'a> Reader<'a> {
    pub fn new(packet: Bytes, limits: &'a Limits) -> Self {
        Self { rest: packet, limits }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn len(&self) -> usize {
        self.rest.len()
    }

    pub fn u8(&mut self) -> Result<u8, Violation> {
        self.rest.try_get_u8().map_err(|_| SHORT)
    }

    pub fn u16(&mut self) -> Result<u16, Violation> {
        self.rest.try_get_u16().map_err(|_| SHORT)
    }

    pub fn u32(&mut self) -> Result<u32, Violation> {
        self.rest.try_get_u32().map_err(|_| SHORT)
    }

    pub fn bytes(&mut self, count: usize) -> Result<Bytes, Violation> {
        if count > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(count))
    }

    /// The rest of the packet.
    pub fn remaining(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    /// Binary Data (section 1.5.6).
    pub fn binary(&mut self) -> Result<Bytes, Violation> {
        let count = self.u16()?;
        self.bytes(usize::from(count))
    }

    pub fn text(&mut self) -> Result<Text, Violation> {
        Text::parse(self.binary()?)
    }

    pub fn packet_id(&mut self) -> Result<PacketId, Violation> {
        // [MQTT-2.2.1-3] (5.0), [MQTT-2.3.1-1] (3.1.1)
        PacketId::new(self.u16()?).ok_or(Violation::protocol("MQTT-2.2.1-3", "a Packet Identifier is 0"))
    }

    pub fn varint(&mut self) -> Result<usize, Violation> {
        let (value, size) = varint(&self.rest, Some(Version::V5))?.ok_or(SHORT)?;
        self.rest.advance(size);
        Ok(value)
    }

    /// Passes the Remaining Length, which [`super::frame_len`] has checked.
    pub fn skip_varint(&mut self) -> Result<(), Violation> {
        let (_, size) = varint(&self.rest, None)?.ok_or(SHORT)?;
        self.rest.advance(size);
        Ok(())
    }

    /// A reader of the next `count` bytes alone: nothing inside can read past them.
    pub fn block(&mut self, count: usize) -> Result<Reader<'a>, Violation> {
        Ok(Reader { rest: self.bytes(count)?, limits: self.limits })
    }

    /// Nothing may be left.
    pub fn finish(&self) -> Result<(), Violation> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(Violation::malformed("MQTT-4.13.1-1", "a packet is longer than its fields"))
    }
}
