//! The codec against `tests/data/wire-cases.csv`: what is legal decodes, what is malformed or illegal in itself gives a
//! violation with the reason code the table expects. Cases whose defect lies in the situation are the session's.
use bytes::{Bytes, BytesMut};
use std::collections::BTreeMap;
use vowmq::codec::{Limits, connect_version_hint, decode, frame_len};
use vowmq::packet::{Packet, Version};
use vowmq::types::{ReasonCode, Violation};

/// Cases marked as faults of content that one packet alone does not show.
const FOR_THE_SESSION: &[(&str, &str)] = &[
    ("W3-089", "whether an empty Client Identifier is taken depends on Clean Session"),
    ("W5-169", "a Subscription Identifier in a PUBLISH is legal from a server"),
];

/// Served, though it may be refused.
const SERVED: &[(&str, &str)] = &[("W3-042", "MQTT 3.1 is served")];

#[derive(serde::Deserialize)]
struct Case {
    id: String,
    version: String,
    defect: String,
    sent: String,
    expected: String,
    also_ok: String,
}

fn cases() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wire-cases.csv");
    let cases: Vec<Case> = csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect();
    assert!(cases.len() > 500, "the table is complete");
    cases
}

/// The bytes each connection sends, in order of their names.
fn streams(sent: &str) -> BTreeMap<String, BytesMut> {
    let mut streams = BTreeMap::<String, BytesMut>::new();
    for step in sent.split(" ; ") {
        let Some((name, rest)) = step.split_once('>') else { continue };
        let bytes = match rest.split_once(' ') {
            Some(("" | "slow" | "ws-bin", groups)) => groups.to_owned(),
            Some(("each", rest)) => rest.split_once(' ').unwrap().1.replace("$i", "0001"),
            // A text frame carries no MQTT, an upgrade none either.
            Some(("ws-text" | "ws-open", _)) => continue,
            other => panic!("unknown step {other:?}"),
        };
        let stream = streams.entry(name.to_owned()).or_default();
        bytes.split(' ').for_each(|group| stream.extend_from_slice(&group_bytes(group)));
    }
    streams
}

fn group_bytes(group: &str) -> Vec<u8> {
    match group.split_once('*') {
        Some((byte, count)) => hex(byte).repeat(count.parse().unwrap()),
        None => hex(&group.replace("$x", "0007").replace("$y", "0008")),
    }
}

fn hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2), "{digits}");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Why a connection's bytes are refused, and the layout to say so in.
#[derive(Debug)]
struct Refusal {
    violation: Violation,
    version: Option<Version>,
    is_first: bool,
}

fn run(mut stream: BytesMut) -> Result<Vec<Packet>, Refusal> {
    let limits = Limits::default();
    let mut version = None;
    let mut packets = Vec::new();
    loop {
        let refused = |violation| {
            let layout = version.or_else(|| connect_version_hint(&stream));
            Refusal { violation, version: layout, is_first: version.is_none() }
        };
        let Some(len) = frame_len(&stream, version, &limits).map_err(refused)? else { return Ok(packets) };
        if stream.len() < len {
            return Ok(packets);
        }
        let packet = decode(Bytes::copy_from_slice(&stream[..len]), version, &limits).map_err(refused)?;
        if let Packet::Connect(connect) = &packet {
            version = version.or(Some(connect.version));
        }
        packets.push(packet);
        let _ = stream.split_to(len);
    }
}

/// Whether the refusal, put into the words of its version, is the reaction told.
fn is_reaction(refusal: &Refusal, reaction: &str) -> bool {
    let code = refusal.violation.reason as u8;
    let told = |name: &str| reaction.strip_prefix(name).map(|hex| u8::from_str_radix(hex, 16).unwrap());
    match (refusal.version, refusal.is_first) {
        (Some(Version::V5), true) => told("connack 0x") == Some(code),
        (Some(Version::V5), false) => {
            told("disconnect 0x") == Some(code) || (reaction == "suback 0x8f" && code == 0x8f)
        }
        (Some(Version::V31 | Version::V311), true) if code == 0x84 => told("connack 0x") == Some(1),
        (Some(Version::V31 | Version::V311) | None, _) => reaction == "close",
    }
}

#[test]
fn legal_packets_decode() {
    let mut packets = 0;
    for case in cases().iter().filter(|case| matches!(case.defect.as_str(), "none" | "state")) {
        for (name, stream) in streams(&case.sent) {
            match run(stream) {
                Ok(decoded) => packets += decoded.len(),
                Err(refusal) => {
                    let is_late = case.defect == "state" && refusal.violation.rule == "MQTT-3.1.0-1";
                    assert!(is_late, "{} connection {name}: {refusal:?}", case.id);
                }
            }
        }
    }
    assert!(packets > 800, "{packets} packets");
}

#[test]
fn illegal_packets_are_refused_with_the_expected_code() {
    let mut refused = 0;
    for case in cases().iter().filter(|case| case.defect == "content") {
        let refusals: Vec<_> = streams(&case.sent).into_values().filter_map(|stream| run(stream).err()).collect();
        if FOR_THE_SESSION.iter().chain(SERVED).any(|(id, _)| *id == case.id) {
            assert!(refusals.is_empty(), "{}: {refusals:?}", case.id);
            continue;
        }
        let [refusal] = refusals.as_slice() else { panic!("{}: {refusals:?}", case.id) };
        // An ill-formed Topic Filter may be answered in several ways; this broker names it.
        let is_filter = refusal.violation.reason == ReasonCode::TopicFilterInvalid;
        let also = case.also_ok.split(" / ").filter(|_| is_filter);
        let is_expected = std::iter::once(case.expected.as_str()).chain(also).any(|told| is_reaction(refusal, told));
        // Level 6 is answered as 3.1.1 has it, for that version alone insists on an answer.
        let is_future = case.id == "W5-028" && case.also_ok.contains("connack 0x01");
        // For 5.0 an answer with a code before the close is as right as none.
        let is_close = case.version == "5" && case.expected == "close";
        assert!(is_expected || is_future || is_close, "{}: {refusal:?}, not {}", case.id, case.expected);
        refused += 1;
    }
    assert!(refused > 250, "{refused} cases");
}

#[test]
fn bad_lengths_are_refused_before_the_packet_is_whole() {
    for id in ["W3-001", "W3-002", "W3-038", "W3-039", "W5-001", "W5-002", "W5-003", "W5-004"] {
        let case = cases().into_iter().find(|case| case.id == id).unwrap();
        let refused = streams(&case.sent).into_values().any(|stream| run(stream).is_err());
        assert!(refused, "{id}");
    }
}

#[test]
fn a_long_encoding_of_the_remaining_length_is_legal_before_5_0() {
    let case = cases().into_iter().find(|case| case.id == "W3-003").unwrap();
    for stream in streams(&case.sent).into_values() {
        assert!(matches!(run(stream).unwrap().as_slice(), [Packet::Connect(_), Packet::PingReq]));
    }
}
