//! Bytes into packets, for every version and as the first packet of a connection.
use bytes::{Bytes, BytesMut};
use vowmq::codec::{self, Limits};
use vowmq::packet::{Packet, Version};

const VERSIONS: [Option<Version>; 4] = [None, Some(Version::V31), Some(Version::V311), Some(Version::V5)];

pub fn limits() -> Limits {
    Limits {
        packet_bytes_max: 4096,
        connect_bytes_max: 2048,
        user_properties_max: 16,
        topic_bytes_max: 512,
        topic_levels_max: 32,
    }
}

pub fn run(input: &[u8]) {
    VERSIONS.into_iter().for_each(|version| decode_all(input, version));
}

/// Cuts the input into packets as a connection does, and decodes each.
fn decode_all(input: &[u8], version: Option<Version>) {
    let limits = limits();
    let mut rest = Bytes::copy_from_slice(input);
    while let Ok(Some(length)) = codec::frame_len(&rest, version, &limits) {
        let bound = if version.is_none() { limits.connect_bytes_max } else { limits.packet_bytes_max };
        assert!(length >= 2 && length <= bound, "a packet of {length} bytes");
        if length > rest.len() {
            // Whoever does not wait for the rest must not be told that it is there.
            assert!(codec::decode(rest, version, &limits).is_err());
            return;
        }
        let frame = rest.split_to(length);
        // Never fails, whatever it is given.
        let _ = codec::connect_version_hint(&frame);
        let Ok(packet) = codec::decode(frame.clone(), version, &limits) else { return };
        assert!(entries(&packet) <= frame.len(), "more entries than bytes");
        write_and_read(&packet, &frame, version);
    }
}

/// What is decoded can be encoded, in no more bytes (but one), and is the same packet again.
fn write_and_read(packet: &Packet, frame: &[u8], version: Option<Version>) {
    let spoken = match packet {
        Packet::Connect(connect) => connect.version,
        _ => version.expect("without a version there are only CONNECTs"),
    };
    let mut out = BytesMut::new();
    codec::encode(packet, spoken, &mut out).unwrap_or_else(|error| panic!("{packet:?} cannot be written: {error}"));
    // The length of no properties may be left out of a packet (sections 3.4.2.2.1, 3.14.2.2.1).
    assert!(out.len() <= frame.len() + 1, "{packet:?} came in {} bytes and takes {}", frame.len(), out.len());
    assert_eq!(codec::packet_len(packet, spoken), Ok(out.len()), "{packet:?}");
    let again = codec::decode(out.freeze(), version, &limits());
    assert_eq!(again.as_ref(), Ok(packet), "written and read again");
}

/// Entries of what memory is taken for, by what was taken and not by what is used.
fn entries(packet: &Packet) -> usize {
    match packet {
        Packet::Subscribe(subscribe) => subscribe.filters.capacity(),
        Packet::Unsubscribe(unsubscribe) => unsubscribe.filters.capacity(),
        Packet::SubAck(suback) => suback.codes.capacity(),
        Packet::UnsubAck(unsuback) => unsuback.codes.capacity(),
        Packet::Publish(publish) => publish.subscription_ids.capacity(),
        Packet::Connect(_)
        | Packet::ConnAck(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => 0,
    }
}
