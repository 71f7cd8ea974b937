//! The packets of one read, cut out and decoded one after the other.
use super::frame::{self, FixedHeader};
use super::reader::Reader;
use super::{Limits, decode_body, ended};
use crate::packet::{Packet, Version};
use crate::types::{TopicName, Violation};
use bytes::Bytes;

/// Gives the whole packets at the beginning of a read, and ends before one that is not whole, or with the first fault.
#[derive(Debug)]
pub struct Packets<'a> {
    read: &'a Bytes,
    version: Version,
    limits: &'a Limits,
    /// Where the next packet starts.
    at: usize,
    given: usize,
    is_broken: bool,
    /// The topic of the last PUBLISH: the next one is most often on the same, and need not be checked again then.
    topic: Option<TopicName>,
}

impl<'a> Packets<'a> {
    /// `version` is what the connection's CONNECT agreed on.
    pub fn of(read: &'a Bytes, version: Version, limits: &'a Limits) -> Self {
        Self { read, version, limits, at: 0, given: 0, is_broken: false, topic: None }
    }

    /// Bytes of the packets that were given.
    pub fn bytes(&self) -> usize {
        self.at
    }

    /// How many they were.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Whether a fault was given, so that nothing follows.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    #[inline]
    fn decode(&mut self, header: &FixedHeader) -> Result<Packet, Violation> {
        let start = self.at + header.body_at;
        let end = start + header.remaining_len;
        self.at = end;
        self.given += 1;
        let mut reader = Reader::new(self.read, start, end, self.limits);
        let packet = decode_body(header, &mut reader, self.version, &mut self.topic);
        ended(packet, &reader)
    }
}

impl Iterator for Packets<'_> {
    type Item = Result<Packet, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.read.get(self.at..).filter(|rest| !rest.is_empty() && !self.is_broken)?;
        let packet = match frame::checked_header(rest, Some(self.version), self.limits) {
            Ok(Some(header)) if header.frame_len() <= rest.len() => self.decode(&header),
            Ok(_) => return None,
            Err(violation) => Err(violation),
        };
        self.is_broken = packet.is_err();
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::hex;
    use super::*;

    fn read(bytes: &str, version: Version) -> (Vec<Result<Packet, &'static str>>, usize, usize) {
        let (bytes, limits) = (hex(bytes), Limits::default());
        let mut packets = Packets::of(&bytes, version, &limits);
        let given = packets.by_ref().map(|packet| packet.map_err(|violation| violation.rule)).collect();
        (given, packets.bytes(), packets.given())
    }

    fn topics(bytes: &str, version: Version) -> Vec<Result<Option<String>, &'static str>> {
        let topic = |packet| match packet {
            Packet::Publish(publish) => publish.topic.map(|topic| topic.as_str().to_owned()),
            other => panic!("{other:?}"),
        };
        read(bytes, version).0.into_iter().map(|packet| packet.map(topic)).collect()
    }

    #[test]
    fn whole_packets_are_given_and_the_rest_is_left() {
        let (given, bytes, count) = read("c000 c000 30", Version::V5);
        assert_eq!(given, [Ok(Packet::PingReq), Ok(Packet::PingReq)]);
        assert_eq!((bytes, count), (4, 2));
        assert_eq!(read("", Version::V5), (vec![], 0, 0));
        assert_eq!(read("30 05 0001", Version::V5), (vec![], 0, 0));
    }

    #[test]
    fn nothing_follows_a_fault() {
        let (given, ..) = read("c000 c100 c000", Version::V5);
        assert_eq!(given, [Ok(Packet::PingReq), Err("MQTT-2.1.3-1")]);
        let (given, _, count) = read("c000 4003 0001 00 c000", Version::V311);
        assert_eq!(given, [Ok(Packet::PingReq), Err("MQTT-4.13.1-1")]);
        assert_eq!(count, 2);
    }

    #[test]
    fn each_publish_has_the_topic_it_names_however_alike_they_are() {
        let stream = "3003 0001 61 3003 0001 61 3004 0002 6162 3003 0001 62 3003 0001 61";
        let expected = ["a", "a", "ab", "b", "a"].map(|topic| Ok(Some(topic.to_owned())));
        assert_eq!(topics(stream, Version::V311), expected);
        // What comes behind a topic alias is no repetition of the topic before it.
        let stream = "3004 0001 61 00 3006 0000 03 230001 3004 0001 61 00";
        let expected = [Some("a"), None, Some("a")].map(|topic| Ok(topic.map(str::to_owned)));
        assert_eq!(topics(stream, Version::V5), expected);
    }

    #[test]
    fn a_topic_that_may_not_be_is_refused_behind_one_that_may() {
        for (topic, rule) in [("23", "MQTT-3.3.2-2"), ("00", "MQTT-1.5.4-2"), ("ff", "MQTT-1.5.4-1")] {
            let stream = format!("3003 0001 61 3003 0001 {topic} 3003 0001 61");
            assert_eq!(topics(&stream, Version::V311), [Ok(Some("a".to_owned())), Err(rule)]);
        }
        assert_eq!(topics("3003 0001 61 3002 0000", Version::V311).last(), Some(&Err("MQTT-4.7.3-1")));
        assert_eq!(topics("3003 0001 61 3003 0005 61", Version::V311).last(), Some(&Err("MQTT-4.13.1-1")));
    }
}
