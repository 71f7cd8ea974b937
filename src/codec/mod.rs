//! Bytes to packets and back, for MQTT 3.1, 3.1.1 and 5.0, in both directions (floor 2).
//!
//! Decoding is strict: what the standard forbids within one packet is a [`Violation`] that names the statement broken.
//! What depends on the state of a connection, or on who may send a packet, is left to the session: a packet type or
//! property of the wrong side, a Topic Alias above the maximum, an empty Client Identifier in 3.1.1. Texts, payloads
//! and properties to be passed on are slices of the frame; nothing is copied.
//!
//! Encoding never panics and leaves the output as it was when it fails.
mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod forward;
mod frame;
mod limits;
mod packets;
mod property;
mod publish;
mod reader;
mod reason;
mod suback;
mod subscribe;
#[cfg(test)]
mod testing;
mod writer;

pub use connect::connect_version_hint;
pub use forward::ForwardProperties;
pub use frame::frame_len;
pub use limits::Limits;
pub use packets::Packets;
pub use publish::{encode_publish, encode_publish_head};
pub use writer::EncodeError;

use crate::packet::{Ack, AckType, Packet, Version};
use crate::types::{ReasonCode, TopicName, Violation};
use bytes::{Bytes, BytesMut};
use frame::PacketType;
use reader::Reader;
use writer::Writer;

/// Reads one whole packet, as cut out by [`frame_len`], which has checked its length against the limits.
///
/// `version` is what the connection's CONNECT agreed on; without one, only a CONNECT may come.
pub fn decode(frame: Bytes, version: Option<Version>, limits: &Limits) -> Result<Packet, Violation> {
    let header = frame::whole_header(&frame, version)?;
    let mut reader = Reader::new(&frame, header.body_at, frame.len(), limits);
    let packet = match version {
        None => connect::decode(&mut reader, &header).map(|connect| Packet::Connect(Box::new(connect))),
        Some(version) => decode_body(&header, &mut reader, version, &mut None),
    };
    ended(packet, &reader)
}

/// A packet that was read, if nothing is behind it. It is passed through as it is, for it is large and comes often.
#[inline]
fn ended(packet: Result<Packet, Violation>, reader: &Reader<'_>) -> Result<Packet, Violation> {
    match reader.end() {
        Err(violation) if packet.is_ok() => Err(violation),
        _ => packet,
    }
}

/// `topic` is that of the last PUBLISH on the same connection, to compare with.
fn decode_body(
    header: &frame::FixedHeader,
    reader: &mut Reader<'_>,
    version: Version,
    topic: &mut Option<TopicName>,
) -> Result<Packet, Violation> {
    Ok(match header.packet_type {
        PacketType::Connect => Packet::Connect(Box::new(connect::decode(reader, header).map_err(as_second)?)),
        PacketType::ConnAck => Packet::ConnAck(Box::new(connack::decode(reader, version)?)),
        // Made where it is returned to, for it is large and comes often.
        PacketType::Publish => return publish::decode(reader, header.flags, version, topic),
        PacketType::PubAck => Packet::PubAck(ack::decode(reader, header.packet_type, version)?),
        PacketType::PubRec => Packet::PubRec(ack::decode(reader, header.packet_type, version)?),
        PacketType::PubRel => Packet::PubRel(ack::decode(reader, header.packet_type, version)?),
        PacketType::PubComp => Packet::PubComp(ack::decode(reader, header.packet_type, version)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe::decode_subscribe(reader, version)?),
        PacketType::SubAck => Packet::SubAck(suback::decode_suback(reader, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(subscribe::decode_unsubscribe(reader, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(suback::decode_unsuback(reader, version)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(disconnect::decode(reader, version)?),
        PacketType::Auth => Packet::Auth(auth::decode(reader)?),
    })
}

/// A fault of a CONNECT that is not the first packet: a DISCONNECT has to tell of it, and has no code for versions.
fn as_second(violation: Violation) -> Violation {
    // [MQTT-3.1.0-2]
    if violation.reason == ReasonCode::UnsupportedProtocolVersion {
        return Violation::protocol("MQTT-3.1.0-2", "a second CONNECT");
    }
    violation
}

/// Appends a PUBACK, PUBREC, PUBREL or PUBCOMP to `out`, or leaves `out` alone if it cannot be written in this version.
pub fn encode_ack(ack_type: AckType, ack: &Ack, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    let packet_type = match ack_type {
        AckType::PubAck => PacketType::PubAck,
        AckType::PubRec => PacketType::PubRec,
        AckType::PubRel => PacketType::PubRel,
        AckType::PubComp => PacketType::PubComp,
    };
    let start = out.len();
    let written = ack::encode(ack, packet_type, version, &mut Writer::new(out));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends one packet to `out`, or leaves `out` alone if the packet cannot be written in this version.
///
/// A CONNECT is written in the version it names itself.
pub fn encode(packet: &Packet, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    if let Packet::Publish(publish) = packet {
        return encode_publish(&publish.frame(), version, out);
    }
    let start = out.len();
    let written = encode_body(packet, version, &mut Writer::new(out));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn encode_body(packet: &Packet, version: Version, writer: &mut Writer<'_>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => connect::encode(connect, writer),
        Packet::ConnAck(connack) => connack::encode(connack, version, writer),
        Packet::Publish(publish) => encode_publish(&publish.frame(), version, writer.out()),
        Packet::PubAck(ack) => ack::encode(ack, PacketType::PubAck, version, writer),
        Packet::PubRec(ack) => ack::encode(ack, PacketType::PubRec, version, writer),
        Packet::PubRel(ack) => ack::encode(ack, PacketType::PubRel, version, writer),
        Packet::PubComp(ack) => ack::encode(ack, PacketType::PubComp, version, writer),
        Packet::Subscribe(subscribe) => subscribe::encode_subscribe(subscribe, version, writer),
        Packet::SubAck(suback) => suback::encode_suback(suback, version, writer),
        Packet::Unsubscribe(unsubscribe) => subscribe::encode_unsubscribe(unsubscribe, version, writer),
        Packet::UnsubAck(unsuback) => suback::encode_unsuback(unsuback, version, writer),
        Packet::PingReq => writer.packet(PacketType::PingReq, |_| Ok(())),
        Packet::PingResp => writer.packet(PacketType::PingResp, |_| Ok(())),
        Packet::Disconnect(disconnect) => disconnect::encode(disconnect, version, writer),
        Packet::Auth(auth) => auth::encode(auth, version, writer),
    }
}

/// Bytes of the whole packet, as the peer's Maximum Packet Size counts them (5.0 section 3.1.2.11.4).
///
/// PUBLISH is calculated; the others are small and are written to find out.
pub fn packet_len(packet: &Packet, version: Version) -> Result<usize, EncodeError> {
    if let Packet::Publish(publish) = packet {
        let frame = publish.frame();
        return Ok(publish::check(&frame, version)?.packet_len());
    }
    let mut scratch = BytesMut::new();
    encode(packet, version, &mut scratch)?;
    Ok(scratch.len())
}

#[cfg(test)]
mod tests {
    use super::testing::{assert_refused, hex, read_v5, read_v311, written};
    use super::*;

    #[test]
    fn pings_are_two_bytes_in_every_version() {
        for (packet, bytes) in [(Packet::PingReq, "c000"), (Packet::PingResp, "d000")] {
            assert_eq!(written(&packet, Version::V311), Ok(hex(bytes)));
            assert_eq!(read_v311(hex(bytes)), packet, "[MQTT-3.12.4-1]");
            assert_eq!(read_v5(hex(bytes)), packet);
        }
    }

    #[test]
    fn bytes_behind_the_last_field_are_malformed() {
        let rows = [(0xc0, "00", 0x81, "MQTT-4.13.1-1"), (0x40, "0001 00 00 00", 0x81, "MQTT-4.13.1-1")];
        assert_refused(Some(Version::V5), &rows);
        let rows = [(0x40, "0001 00", 0x81, "MQTT-4.13.1-1"), (0xe0, "00", 0x81, "MQTT-4.13.1-1")];
        assert_refused(Some(Version::V311), &rows);
    }

    #[test]
    fn a_second_connect_of_another_level_is_told_as_one() {
        let rows = [(0x10, "0004 4d515454 07 02 003c 00 0000", 0x82, "MQTT-3.1.0-2")];
        assert_refused(Some(Version::V5), &rows);
        let rows = [(0x10, "0004 4d515454 07 02 003c 00 0000", 0x84, "MQTT-3.1.2-2")];
        assert_refused(None, &rows);
    }

    #[test]
    fn a_frame_of_another_length_than_it_says_is_refused() {
        for bytes in ["", "c0", "c00000", "3005 0001", "30ff"] {
            assert!(decode(hex(bytes), Some(Version::V5), &Limits::default()).is_err(), "{bytes}");
        }
    }

    #[test]
    fn a_packet_is_written_behind_what_is_there() {
        let mut out = BytesMut::from(&b"xy"[..]);
        encode(&Packet::PingReq, Version::V5, &mut out).unwrap();
        encode(&Packet::PingResp, Version::V5, &mut out).unwrap();
        assert_eq!(&out[..], b"xy\xc0\x00\xd0\x00");
    }
}
