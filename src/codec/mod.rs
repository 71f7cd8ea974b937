//! Bytes to packets and back: strict, and without copying topics or payloads (floor 2).
//!
//! Our own, because each violation has to be told with its statement and reason code, and because a message should cross
//! the broker with one copy into each receiver's buffer. See docs/adr/0002-own-codec.md.
mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod forward;
mod frame;
mod property;
mod publish;
mod reader;
mod subscribe;
mod writer;

pub use connect::version_hint;
pub use forward::Forward;
pub use frame::frame_len;
pub use publish::encode_publish;
pub use writer::EncodeError;

use crate::packet::{Packet, Version};
use crate::types::Violation;
use bytes::{Bytes, BytesMut};
use reader::Reader;

/// Bounds on what is decoded.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a packet, its fixed header included; checked on the fixed header, before anything is buffered.
    pub packet_bytes_max: usize,
    /// The same for the first packet of a connection, which comes from nobody known yet.
    pub connect_bytes_max: usize,
    /// User Properties in one packet.
    pub user_properties_max: usize,
    /// Bytes of a Topic Name in a PUBLISH.
    pub topic_bytes_max: usize,
    /// Levels of a Topic Name in a PUBLISH.
    pub topic_levels_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            connect_bytes_max: 64 << 10,
            user_properties_max: 64,
            topic_bytes_max: 65_535,
            topic_levels_max: 128,
        }
    }
}

/// Decodes one whole packet, as [`frame_len`] cut it. Before a version is agreed (`None`) only CONNECT may come.
pub fn decode(frame: Bytes, version: Option<Version>, limits: &Limits) -> Result<Packet, Violation> {
    let mut reader = Reader::new(frame, limits);
    let first = reader.u8()?;
    reader.skip_varint()?;
    let Some(version) = version else {
        // [MQTT-3.1.0-1]
        if first >> 4 != frame::CONNECT {
            return Err(Violation::protocol("MQTT-3.1.0-1", "the first packet is not CONNECT"));
        }
        return connect::decode(reader);
    };
    let packet = match first >> 4 {
        frame::CONNECT => return connect::decode(reader),
        2 => connack::decode(&mut reader, version)?,
        3 => return publish::decode(reader, first, version),
        4 => Packet::PubAck(ack::decode(&mut reader, version, ack::PUBACK)?),
        5 => Packet::PubRec(ack::decode(&mut reader, version, ack::PUBACK)?),
        6 => Packet::PubRel(ack::decode(&mut reader, version, ack::PUBREL)?),
        7 => Packet::PubComp(ack::decode(&mut reader, version, ack::PUBREL)?),
        8 => subscribe::decode_subscribe(&mut reader, version)?,
        9 => subscribe::decode_suback(&mut reader, version)?,
        10 => subscribe::decode_unsubscribe(&mut reader, version)?,
        11 => subscribe::decode_unsuback(&mut reader, version)?,
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        14 => disconnect::decode(&mut reader, version)?,
        15 if version.is_v5() => auth::decode(&mut reader)?,
        _ => return Err(Violation::malformed("MQTT-4.8.0-1", "a packet type that does not exist")),
    };
    reader.finish()?;
    Ok(packet)
}

/// Appends a packet to `out`. On an error `out` is as it was; only this packet's receiver is concerned.
pub fn encode(packet: &Packet, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(connect) => connect::encode(connect, out),
        Packet::ConnAck(connack) => connack::encode(connack, version, out),
        Packet::Publish(publish) => encode_publish(&publish.frame(), version, out),
        Packet::PubAck(ack) => ack::encode(0x40, ack, version, out),
        Packet::PubRec(ack) => ack::encode(0x50, ack, version, out),
        Packet::PubRel(ack) => ack::encode(0x62, ack, version, out),
        Packet::PubComp(ack) => ack::encode(0x70, ack, version, out),
        Packet::Subscribe(subscribe) => subscribe::encode_subscribe(subscribe, version, out),
        Packet::SubAck(suback) => subscribe::encode_suback(suback, version, out),
        Packet::Unsubscribe(unsubscribe) => subscribe::encode_unsubscribe(unsubscribe, version, out),
        Packet::UnsubAck(unsuback) => subscribe::encode_unsuback(unsuback, version, out),
        Packet::PingReq => writer::packet(out, 0xc0, |_| Ok(())),
        Packet::PingResp => writer::packet(out, 0xd0, |_| Ok(())),
        Packet::Disconnect(disconnect) => disconnect::encode(disconnect, version, out),
        Packet::Auth(auth) => auth::encode(auth, out),
    }
}
