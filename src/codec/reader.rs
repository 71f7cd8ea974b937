//! A cursor over one frame that hands out slices of it.
use super::{Limits, frame::read_varint};
use crate::packet::varint_len;
use crate::types::{PacketId, ReasonCode, Text, TopicName, UserProperties, Violation};
use bytes::Bytes;

/// What is left of a frame, or of a part of it. Every read is bounded by that part's end.
pub(super) struct Reader<'a> {
    frame: &'a Bytes,
    at: usize,
    end: usize,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    pub(super) fn new(frame: &'a Bytes, at: usize, end: usize, limits: &'a Limits) -> Self {
        Self { frame, at, end, limits }
    }

    pub(super) fn frame(&self) -> &'a Bytes {
        self.frame
    }

    /// The offset in the frame of the next byte.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    pub(super) fn remaining(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Bytes behind the last field make a packet malformed.
    pub(super) fn end(&self) -> Result<(), Violation> {
        if self.is_empty() {
            return Ok(());
        }
        Err(Violation::malformed("MQTT-4.13.1-1", "there are bytes behind the packet's last field"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let left = self.frame.get(self.at..self.end).unwrap_or_default();
        let bytes = left.first_chunk::<N>().ok_or(TOO_SHORT)?;
        self.at += N;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Violation> {
        self.array::<1>().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    /// A Variable Byte Integer inside a 5.0 packet, where it has to be as short as possible.
    pub(super) fn varint(&mut self) -> Result<u32, Violation> {
        let left = self.frame.get(self.at..self.end).unwrap_or_default();
        let (value, bytes) = read_varint(left)?.ok_or(TOO_SHORT)?;
        // [MQTT-1.5.5-1]
        if bytes != varint_len(value) {
            return Err(Violation::malformed("MQTT-1.5.5-1", "a Variable Byte Integer is longer than it needs to be"));
        }
        self.at += bytes;
        Ok(u32::try_from(value).expect("four bytes carry 28 bits"))
    }

    pub(super) fn packet_id(&mut self) -> Result<PacketId, Violation> {
        // [MQTT-2.2.1-3] (5.0), [MQTT-2.3.1-1] (3.1.1)
        PacketId::new(self.u16()?).ok_or(Violation::protocol("MQTT-2.2.1-3", "a Packet Identifier is 0"))
    }

    /// Binary Data (section 1.5.6): two bytes of length, then that many bytes.
    pub(super) fn binary(&mut self) -> Result<Bytes, Violation> {
        let len = usize::from(self.u16()?);
        self.take(len)
    }

    /// The same, borrowed.
    pub(super) fn binary_slice(&mut self) -> Result<&'a [u8], Violation> {
        let len = usize::from(self.u16()?);
        let left = self.frame.get(self.at..self.end).unwrap_or_default();
        let bytes = left.get(..len).ok_or(TOO_SHORT)?;
        self.at += len;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<Text, Violation> {
        Text::parse(self.binary()?)
    }

    pub(super) fn text_pair(&mut self) -> Result<(Text, Text), Violation> {
        // [MQTT-1.5.7-1]
        Ok((self.text()?, self.text()?))
    }

    /// A Topic Name to publish to, within the limits of this broker.
    pub(super) fn topic_name(&self, text: Text) -> Result<TopicName, Violation> {
        let too_much = |rule, why| Err(Violation::new(ReasonCode::TopicNameInvalid, rule, why));
        let name = TopicName::parse(text)?;
        if name.as_bytes().len() > self.limits.topic_bytes_max {
            return too_much("limits.topic_bytes_max", "a Topic Name is longer than the limit");
        }
        let levels = 1 + name.as_bytes().iter().filter(|byte| **byte == b'/').count();
        if levels > self.limits.topic_levels_max {
            return too_much("limits.topic_levels_max", "a Topic Name has more levels than the limit");
        }
        Ok(name)
    }

    pub(super) fn rest(&mut self) -> Bytes {
        let rest = self.frame.slice(self.at..self.end);
        self.at = self.end;
        rest
    }

    /// Splits off the next `len` bytes as a part of their own.
    pub(super) fn part(&mut self, len: usize) -> Result<Reader<'a>, Violation> {
        if len > self.remaining() {
            return Err(TOO_SHORT);
        }
        let part = Reader { frame: self.frame, at: self.at, end: self.at + len, limits: self.limits };
        self.at += len;
        Ok(part)
    }

    fn take(&mut self, len: usize) -> Result<Bytes, Violation> {
        self.part(len).map(|mut part| part.rest())
    }

    /// Adds one User Property, up to the limit.
    pub(super) fn user_property(&mut self, user: &mut UserProperties) -> Result<(), Violation> {
        self.check_user_properties(user.len() + 1)?;
        user.push(self.text_pair()?);
        Ok(())
    }

    pub(super) fn check_user_properties(&self, count: usize) -> Result<(), Violation> {
        if count > self.limits.user_properties_max {
            let why = "there are more User Properties than the limit";
            return Err(Violation::new(ReasonCode::QuotaExceeded, "limits.user_properties_max", why));
        }
        Ok(())
    }
}

const TOO_SHORT: Violation = Violation::malformed("MQTT-4.13.1-1", "the packet ends inside a field");
