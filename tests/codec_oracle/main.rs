//! The codec against an independent one, mqttbytes 0.6, and against itself.
//!
//! Every packet mqttbytes can rightly express is written by one and read by the other, both ways. Left out, because
//! mqttbytes cannot express or gets wrong what the standard allows:
//! - AUTH, which it does not have; MQTT 3.1, which it does not know;
//! - a CONNECT with an empty user name or an empty password (it takes them for absent), or with a password that is no
//!   UTF-8 (it refuses binary ones);
//! - writing a 5.0 CONNACK without properties (it forgets the Property Length); it reads ours;
//! - reading a 5.0 DISCONNECT of Remaining Length 0 (it asks for a payload) or 1 (it waits for more bytes); we read its;
//! - reading a PUBLISH with two or more Subscription Identifiers (it counts each one byte too long, so that it takes
//!   the last properties for payload); we read its;
//! - DISCONNECT with 0x8C, which its table lacks.
//!
//! What it accepts is no measure: it takes many illegal packets (wrong flags, U+0000, wildcards in Topic Names,
//! repeated properties, identifier 0 in acknowledgements, surplus bytes). Illegal packets are tested in the codec's
//! modules and in `codec_wire.rs`.
mod generate;
mod v4;
mod v5;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vowmq::codec::{ForwardProperties, Limits, decode, encode, frame_len, packet_len};
use vowmq::packet::{Connect, Packet, Version};
use vowmq::types::{PublishProperties, QoS};

const LARGE: usize = 1 << 20;

fn written(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    encode(packet, version, &mut out).unwrap();
    out.freeze()
}

/// What is agreed on before the packet comes: nothing, if it is a CONNECT.
fn agreed(packet: &Packet, version: Version) -> Option<Version> {
    (!matches!(packet, Packet::Connect(_))).then_some(version)
}

pub fn their_qos(qos: QoS) -> mqttbytes::QoS {
    mqttbytes::qos(qos as u8).unwrap()
}

/// User name and password as mqttbytes has them: empty stands for absent. The outer `None`: it cannot say this.
pub fn login(connect: &Connect) -> Option<Option<(String, String)>> {
    let name = connect.user_name.as_ref().map(ToString::to_string);
    let password = connect.password.as_ref().map(|bytes| String::from_utf8(bytes.to_vec())).transpose().ok()?;
    if name.as_deref() == Some("") || password.as_deref() == Some("") {
        return None;
    }
    Some((name.is_some() || password.is_some()).then(|| (name.unwrap_or_default(), password.unwrap_or_default())))
}

/// Properties that are passed on, in one order whoever wrote them.
fn sorted(mut packet: Packet) -> Packet {
    let sort = |properties: &mut PublishProperties| {
        properties.forward = ForwardProperties::parse(&properties.forward).unwrap().encode().unwrap();
    };
    match &mut packet {
        Packet::Publish(publish) => sort(&mut publish.properties),
        Packet::Connect(connect) => {
            if let Some(will) = &mut connect.will {
                sort(&mut will.properties);
            }
        }
        _ => {}
    }
    packet
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mqttbytes_reads_3_1_1_as_we_write_it(packet in generate::packet(Version::V311)) {
        let Some(expressed) = v4::express(&packet) else { return Ok(()) };
        let mut bytes = BytesMut::from(&written(&packet, Version::V311)[..]);
        prop_assert_eq!(mqttbytes::v4::read(&mut bytes, LARGE), Ok(expressed));
    }

    #[test]
    fn we_read_3_1_1_as_mqttbytes_writes_it(packet in generate::packet(Version::V311)) {
        let Some(expressed) = v4::express(&packet) else { return Ok(()) };
        let mut bytes = BytesMut::new();
        v4::write(&expressed, &mut bytes).unwrap();
        let version = agreed(&packet, Version::V311);
        prop_assert_eq!(decode(bytes.freeze(), version, &Limits::default()), Ok(packet));
    }

    #[test]
    fn mqttbytes_reads_5_0_as_we_write_it(packet in generate::packet(Version::V5)) {
        let Some(expressed) = v5::express(&packet) else { return Ok(()) };
        let mut bytes = BytesMut::from(&written(&packet, Version::V5)[..]);
        let has_many_ids = matches!(&packet, Packet::Publish(publish) if publish.subscription_ids.len() > 1);
        if has_many_ids || bytes[..] == [0xe0, 0x00] {
            return Ok(());
        }
        prop_assert_eq!(mqttbytes::v5::read(&mut bytes, LARGE), Ok(expressed));
    }

    #[test]
    fn we_read_5_0_as_mqttbytes_writes_it(packet in generate::packet(Version::V5)) {
        let Some(expressed) = v5::express(&packet) else { return Ok(()) };
        if matches!(&expressed, mqttbytes::v5::Packet::ConnAck(connack) if connack.properties.is_none()) {
            return Ok(());
        }
        let mut bytes = BytesMut::new();
        v5::write(&expressed, &mut bytes).unwrap();
        let decoded = decode(bytes.freeze(), agreed(&packet, Version::V5), &Limits::default());
        prop_assert_eq!(decoded.map(sorted), Ok(packet));
    }

    #[test]
    fn every_packet_reads_as_it_was_written((version, packet) in generate::packet_in_any_version()) {
        let bytes = written(&packet, version);
        prop_assert_eq!(packet_len(&packet, version), Ok(bytes.len()));
        let agreed = agreed(&packet, version);
        prop_assert_eq!(frame_len(&bytes, agreed, &Limits::default()), Ok(Some(bytes.len())));
        prop_assert_eq!(decode(bytes, agreed, &Limits::default()), Ok(packet));
    }

    #[test]
    fn a_cut_packet_is_no_packet((version, packet) in generate::packet_in_any_version(), cut in any::<Index>()) {
        let bytes = written(&packet, version);
        let agreed = agreed(&packet, version);
        let cut = bytes.slice(..cut.index(bytes.len()));
        match frame_len(&cut, agreed, &Limits::default()) {
            Ok(None) => {}
            Ok(Some(len)) => prop_assert_eq!(len, bytes.len()),
            Err(violation) => prop_assert!(false, "{violation}"),
        }
        prop_assert!(decode(cut, agreed, &Limits::default()).is_err());
    }

    #[test]
    fn surplus_bytes_are_refused((version, packet) in generate::packet_in_any_version()) {
        // A payload takes all there is; topics and codes of these packets repeat until the end.
        prop_assume!(!matches!(packet, Packet::Publish(_) | Packet::SubAck(_) | Packet::UnsubAck(_)));
        let mut bytes = written(&packet, version).to_vec();
        prop_assume!(bytes[1] < 0x7f);
        bytes[1] += 1;
        bytes.push(0);
        // In 5.0 the 0 may be the Reason Code or the Property Length that had been left out.
        let had_room = match bytes[0] {
            0x40 | 0x50 | 0x62 | 0x70 => bytes.len() <= 6,
            0xe0 => bytes.len() == 3,
            _ => false,
        };
        prop_assume!(!(version.is_v5() && had_room));
        prop_assert!(decode(Bytes::from(bytes), agreed(&packet, version), &Limits::default()).is_err());
    }

    #[test]
    fn frame_len_does_not_depend_on_how_the_bytes_arrive(
        bytes in vec(prop_oneof![any::<u8>(), Just(0xff), Just(0x80)], 0..12),
        version in proptest::option::of(generate::version()),
    ) {
        let limits = Limits { packet_bytes_max: 100_000, ..Limits::default() };
        let whole = frame_len(&bytes, version, &limits);
        for end in 0..bytes.len() {
            let part = frame_len(&bytes[..end], version, &limits);
            prop_assert!(part == Ok(None) || part == whole, "{part:?} of {end} bytes, {whole:?} of all");
        }
    }

    #[test]
    fn what_is_accepted_of_arbitrary_bytes_can_be_written_and_read_again(
        first in any::<u8>(),
        body in vec(prop_oneof![any::<u8>(), 0_u8..6], 0..60),
        version in proptest::option::of(generate::version()),
    ) {
        let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        check_arbitrary(Bytes::from(bytes), version)?;
    }

    #[test]
    fn what_is_accepted_of_damaged_packets_can_be_written_and_read_again(
        (version, packet) in generate::packet_in_any_version(),
        damages in vec((any::<Index>(), any::<u8>(), 0..3), 1..4),
        other in proptest::option::of(generate::version()),
    ) {
        let mut bytes = written(&packet, version).to_vec();
        for (at, byte, kind) in damages {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
        // Half of them with a length that fits again, so that the damage inside is seen.
        if bytes.len() > 1 && bytes.len() < 130 && bytes[0] & 1 == 0 {
            bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        }
        check_arbitrary(Bytes::from(bytes.clone()), agreed(&packet, version))?;
        check_arbitrary(Bytes::from(bytes), other)?;
    }
}

/// Decoding must not panic; what it lets pass must be a packet we can stand for.
fn check_arbitrary(bytes: Bytes, version: Option<Version>) -> Result<(), TestCaseError> {
    let limits = Limits { packet_bytes_max: LARGE, ..Limits::default() };
    let _ = vowmq::codec::connect_version_hint(&bytes);
    let _ = ForwardProperties::parse(&bytes);
    let _ = frame_len(&bytes, version, &limits);
    let Ok(packet) = decode(bytes, version, &limits) else { return Ok(()) };
    let again = written(&packet, version.unwrap_or(Version::V5));
    prop_assert_eq!(decode(again, version, &limits), Ok(packet));
    Ok(())
}
