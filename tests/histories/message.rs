//! What is published: everything about a message follows from who sent it and its number, so that every receiver can
//! tell whether it got what was sent.
use super::dice::mixed;
use bytes::Bytes;
use vowmq::types::{QoS, TopicName};

/// Where messages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A publisher.
    Stream(usize),
    /// A publisher of retained messages.
    Kept(usize),
    /// The wills; the number is that of the will's owner.
    Will,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Message {
    pub source: Source,
    pub number: u64,
}

/// Topics of one source.
pub const TOPICS: u64 = 3;

impl Message {
    fn seed(self) -> u64 {
        let source = match self.source {
            Source::Stream(index) => 2 * index as u64,
            Source::Kept(index) => 2 * index as u64 + 1,
            Source::Will => 1 << 20,
        };
        mixed((source << 40) + self.number + 1)
    }

    pub fn topic(self) -> TopicName {
        let part = self.seed() % TOPICS;
        let name = match self.source {
            Source::Stream(index) => format!("stream/{index}/{part}"),
            Source::Kept(index) => format!("kept/{index}/{part}"),
            Source::Will => format!("will/{part}"),
        };
        TopicName::try_from(name.as_str()).expect("a legal topic")
    }

    /// 1 or 2. Retained topics have one of them each: a QoS 1 message that is sent again is a new message and would
    /// rightly replace a later one of QoS 2, which is not.
    pub fn qos(self) -> QoS {
        let is_qos2 = match self.source {
            Source::Will => true,
            Source::Stream(_) => self.seed() >> 8 & 1 == 1,
            Source::Kept(_) => self.seed() % TOPICS == 1,
        };
        if is_qos2 { QoS::ExactlyOnce } else { QoS::AtLeastOnce }
    }

    /// Whether its empty payload removes the retained message [MQTT-3.3.1-6].
    pub fn is_clearing(self) -> bool {
        matches!(self.source, Source::Kept(_)) && (self.seed() >> 16).is_multiple_of(8)
    }

    /// Mostly short; one in 32 fills several pages of the disk.
    pub fn payload(self) -> Bytes {
        if self.is_clearing() {
            return Bytes::new();
        }
        let (kind, index) = match self.source {
            Source::Stream(index) => ('s', index),
            Source::Kept(index) => ('k', index),
            Source::Will => ('w', 0),
        };
        let seed = self.seed();
        let wanted = if (seed >> 24).is_multiple_of(32) { 9000 } else { seed >> 32 & 0x7f };
        let mut text = format!("{kind} {index} {} ", self.number);
        for step in 0..wanted / 16 {
            text.push_str(&format!("{:016x}", mixed(seed + step)));
        }
        Bytes::from(text)
    }

    /// What a payload says it is.
    pub fn named_by(payload: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(payload).ok()?;
        let mut words = text.split(' ');
        let (kind, index, number) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let source = match kind {
            "s" => Source::Stream(index),
            "k" => Source::Kept(index),
            "w" => Source::Will,
            _ => return None,
        };
        Some(Self { source, number })
    }
}
