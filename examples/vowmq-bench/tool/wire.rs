//! The packets that come by the million, written from templates and read in place. All others go through the codec.
use super::stamp::{BYTES_MIN, Stamp};
use bytes::BytesMut;
use vowmq::codec;
use vowmq::packet::{PublishFrame, PublishQoS, Version};
use vowmq::types::{PacketId, QoS};

/// The first bytes of packets without flags of their own, or with fixed ones.
pub const CONNACK: u8 = 0x20;
pub const PUBLISH: u8 = 0x30;
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const SUBACK: u8 = 0x90;
pub const PINGRESP: u8 = 0xd0;
pub const DISCONNECT: u8 = 0xe0;

/// One packet in a buffer: its first byte, and where its variable header begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub body_at: usize,
    pub end: usize,
}

impl Frame {
    /// The packet at the beginning of `input`, or nothing while its end is missing.
    #[inline]
    pub fn cut(input: &[u8]) -> Option<Self> {
        let first = *input.first()?;
        let (mut remaining, mut shift, mut body_at) = (0, 0, 1);
        loop {
            let byte = *input.get(body_at)?;
            body_at += 1;
            remaining |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            assert!(shift < 28, "the broker writes a Remaining Length of five bytes");
        }
        let end = body_at + remaining;
        (end <= input.len()).then_some(Self { first, body_at, end })
    }
}

/// What the tool looks at in a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival<'a> {
    pub qos: u8,
    /// 0 at QoS 0.
    pub id: u16,
    pub payload: &'a [u8],
}

impl<'a> Arrival<'a> {
    /// Reads what follows the fixed header of a PUBLISH; nothing if it is cut short.
    #[inline]
    pub fn read(first: u8, body: &'a [u8], version: Version) -> Option<Self> {
        let topic = usize::from(u16_at(body, 0)?);
        let mut at = 2 + topic;
        let qos = (first >> 1) & 3;
        let mut id = 0;
        if qos > 0 {
            id = u16_at(body, at)?;
            at += 2;
        }
        if version.is_v5() {
            let (mut properties, mut shift) = (0, 0);
            loop {
                let byte = *body.get(at)?;
                at += 1;
                properties |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 || shift > 21 {
                    break;
                }
            }
            at += properties;
        }
        Some(Self { qos, id, payload: body.get(at..)? })
    }
}

#[inline]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// An acknowledgement of success, in both versions.
#[inline]
pub fn put_ack(out: &mut Vec<u8>, first: u8, id: u16) {
    let [high, low] = id.to_be_bytes();
    out.extend_from_slice(&[first, 2, high, low]);
}

/// One publisher's PUBLISH, encoded once; identifier, stamp and the number in the topic are patched into the copies.
#[derive(Debug, Clone)]
pub struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    stamp_at: usize,
    /// Where the digits of a counted topic are.
    digits_at: Option<std::ops::Range<usize>>,
}

/// The end of a topic in whose place each message has its own number.
pub const DIGITS: &str = "00000000";

impl Template {
    /// `topic` may end in [`DIGITS`] to be counted.
    pub fn new(topic: &str, qos: QoS, retain: bool, filler: &[u8], version: Version) -> Self {
        let payload = [&[0; BYTES_MIN][..], filler].concat();
        let id = PacketId::new(1).expect("one is an identifier");
        let qos = match qos {
            QoS::AtMostOnce => PublishQoS::AtMostOnce,
            QoS::AtLeastOnce => PublishQoS::AtLeastOnce(id),
            QoS::ExactlyOnce => PublishQoS::ExactlyOnce(id),
        };
        let frame = PublishFrame {
            dup: false,
            qos,
            retain,
            topic: topic.as_bytes(),
            topic_alias: None,
            expiry_s: None,
            subscription_ids: &[],
            forward: &[],
            payload: &payload,
        };
        let mut bytes = BytesMut::new();
        codec::encode_publish(&frame, version, &mut bytes).expect("a legal packet");
        let bytes = bytes.to_vec();
        let body_at = Frame::cut(&bytes).expect("a whole packet").body_at;
        let topic_end = body_at + 2 + topic.len();
        let digits_at = topic.ends_with(DIGITS).then(|| topic_end - DIGITS.len()..topic_end);
        let id_at = qos.id().map(|_| topic_end);
        let stamp_at = bytes.len() - payload.len();
        Self { bytes, id_at, stamp_at, digits_at }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one message; the identifier goes nowhere at QoS 0.
    #[inline]
    pub fn put(&self, out: &mut Vec<u8>, id: u16, stamp: Stamp) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let packet = &mut out[start..];
        if let Some(at) = self.id_at {
            packet[at..at + 2].copy_from_slice(&id.to_be_bytes());
        }
        if let Some(digits) = &self.digits_at {
            let mut number = stamp.sequence;
            for digit in packet[digits.clone()].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        stamp.write(&mut packet[self.stamp_at..]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::stamp::filler;
    use super::*;
    use vowmq::packet::Packet;

    #[test]
    fn copies_of_a_template_are_what_the_codec_reads() {
        for version in [Version::V311, Version::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let filler = filler(300);
                let template = Template::new("bench/00000000", qos, true, &filler, version);
                let mut out = b"before".to_vec();
                let stamp = Stamp { stream: 3, sequence: 1234, at_ns: 99 };
                template.put(&mut out, 77, stamp);
                let packet = &out[6..];
                let frame = Frame::cut(packet).expect("a whole packet");
                assert_eq!(frame.end, packet.len());
                let arrival = Arrival::read(frame.first, &packet[frame.body_at..], version).expect("a whole packet");
                assert_eq!(arrival.id, if qos == QoS::AtMostOnce { 0 } else { 77 });
                assert_eq!(Stamp::read(arrival.payload), Some(stamp));
                assert_eq!(arrival.payload[BYTES_MIN..], filler);
                let whole = bytes::Bytes::copy_from_slice(packet);
                let decoded = codec::decode(whole, Some(version), &codec::Limits::default()).expect("legal");
                let Packet::Publish(publish) = decoded else { panic!("{decoded:?}") };
                assert_eq!(publish.topic.as_ref().map(|topic| topic.as_str()), Some("bench/00001234"));
                assert_eq!((publish.retain, publish.qos.level()), (true, qos));
                assert_eq!(publish.payload, arrival.payload);
            }
        }
    }

    #[test]
    fn a_packet_without_its_end_is_left_alone() {
        let template = Template::new("a", QoS::AtMostOnce, false, &filler(200), Version::V5);
        let mut out = Vec::new();
        template.put(&mut out, 0, Stamp { stream: 0, sequence: 0, at_ns: 0 });
        assert!((0..out.len()).all(|end| Frame::cut(&out[..end]).is_none()));
        assert!(Frame::cut(&out).is_some());
    }
}
