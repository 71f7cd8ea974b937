//! An Application Message on its way through the broker (section 3.3).
use super::{Now, QoS, TopicName};
use bytes::Bytes;

/// The PUBLISH properties that travel with a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishProperties {
    /// Message Expiry Interval, in seconds (section 3.3.2.3.3).
    pub expiry_s: Option<u32>,
    /// Payload Format Indicator, Content Type, Response Topic, Correlation Data and User Properties: checked when they
    /// came in, kept as encoded, in their order, so that passing them on costs one copy.
    pub forward: Bytes,
}

/// What a publisher sent, as its subscribers will see it. Shared by all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: TopicName,
    pub payload: Bytes,
    pub qos: QoS,
    /// The RETAIN flag as published.
    pub retain: bool,
    /// Properties as encoded for 5.0; 3.1.1 receivers are not shown them.
    pub forward: Bytes,
    /// When the Message Expiry Interval runs out; `None` is never.
    pub expires_at: Option<Now>,
    /// When it came, of those whose way is measured.
    pub received: Stamp,
}

/// A moment in microseconds since some beginning, in as little room as there is beside the flags of a message. It is no
/// part of the message: all are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stamp([u8; 6]);

impl PartialEq for Stamp {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Stamp {}

impl Stamp {
    /// None at all for 0, and for what is later than in eight years.
    pub fn new(us: u64) -> Self {
        let [bytes @ .., 0, 0] = us.to_le_bytes() else { return Self::default() };
        Self(bytes)
    }

    pub fn us(self) -> Option<u64> {
        let [a, b, c, d, e, f] = self.0;
        Some(u64::from_le_bytes([a, b, c, d, e, f, 0, 0])).filter(|us| *us > 0)
    }
}

impl Message {
    /// Gives it bytes of its own, so that a message kept for long does not hold a whole read buffer. `topic` is the
    /// same topic in bytes that do not hold one either, shared with other messages on it.
    pub fn detach(&mut self, topic: &TopicName) {
        self.topic = topic.clone();
        self.payload = Bytes::copy_from_slice(&self.payload);
        self.forward = Bytes::copy_from_slice(&self.forward);
    }

    /// Bytes counted against queue and retained limits: topic, properties and payload, and the fixed cost of keeping them.
    pub fn cost_bytes(&self) -> usize {
        const FIXED: usize = 128;
        self.topic.as_bytes().len() + self.forward.len() + self.payload.len() + FIXED
    }

    // [MQTT-3.3.2-5] (5.0)
    pub fn is_expired(&self, now: Now) -> bool {
        self.expires_at.is_some_and(|deadline| deadline <= now)
    }

    /// Message Expiry Interval less the time spent waiting [MQTT-3.3.2-6], in whole seconds, rounded up.
    pub fn expiry_left_s(&self, now: Now) -> Option<u32> {
        let left = now.millis_until(self.expires_at?).div_ceil(1000);
        Some(u32::try_from(left).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_keeps_its_moment_and_makes_no_message_larger() {
        for us in [1, 60, 1 << 32, (1 << 48) - 1] {
            assert_eq!(Stamp::new(us).us(), Some(us));
        }
        assert_eq!([Stamp::new(0).us(), Stamp::new(1 << 48).us(), Stamp::default().us()], [None; 3]);
        let without = size_of::<(TopicName, [Bytes; 2], Option<Now>, QoS, bool)>();
        assert_eq!(size_of::<Message>(), without);
    }
}
