//! What only a real listener shows: that there is one, and that it may stay silent.
mod common;
mod source;

use common::broker::Broker;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use vowmq::codec;
use vowmq::packet::{PublishFrame, PublishQoS, Version};

/// Sends bytes, and reads until the broker closes or `want` bytes have come.
fn exchange(broker: &Broker, sent: &[u8], want: usize) -> Vec<u8> {
    let mut stream = TcpStream::connect(broker.address).expect("the broker listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    stream.write_all(sent).expect("the broker reads");
    let mut got = Vec::new();
    stream.take(want as u64).read_to_end(&mut got).expect("the broker answers or closes");
    got
}

#[test]
fn a_plain_client_is_served_over_tcp_without_anything_beyond_the_standard() {
    // [MQTT-7.1.1-1] [MQTT-7.0.0-2] (3.1.1) [MQTT-4.2.0-1] (5.0)
    let broker = Broker::start("");
    let connect_311 = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a\xc0\x00";
    assert_eq!(exchange(&broker, connect_311, 6), b"\x20\x02\x00\x00\xd0\x00");
    let connect_5 = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01b";
    let connack = exchange(&broker, connect_5, 4);
    assert_eq!((connack[0], &connack[2..]), (0x20, &[0x00, 0x00][..]), "5.0: accepted, no session present");
}

#[test]
fn a_connect_that_no_return_code_fits_is_closed_without_an_answer() {
    // [MQTT-3.2.2-6] (3.1.1): the reserved flag of CONNECT is set.
    let broker = Broker::start("");
    assert_eq!(exchange(&broker, b"\x10\x0d\x00\x04MQTT\x04\x03\x00\x00\x00\x01a", 1), b"");
}

#[test]
fn the_broker_opens_no_connections_of_its_own() {
    // [MQTT-7.0.0-1] (3.1.1): the rules for clients cannot be broken where nothing dials out.
    for path in source::rust_files("src") {
        let (code, _) = source::split(&path);
        for dials in ["TcpStream::connect", "TcpSocket", ".connect_timeout("] {
            assert!(!code.contains(dials), "{} holds {dials}", path.display());
        }
    }
}

/// A PUBLISH at QoS 0 whose payload is told by its number.
fn publish(number: usize, payload_bytes: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0..payload_bytes).map(|at| (at * 31 + number * 7) as u8).collect();
    let frame = PublishFrame {
        dup: false,
        qos: PublishQoS::AtMostOnce,
        retain: false,
        topic: b"t",
        topic_alias: None,
        expiry_s: None,
        subscription_ids: &[],
        forward: &[],
        payload: &payload,
    };
    let mut out = bytes::BytesMut::new();
    codec::encode_publish(&frame, Version::V311, &mut out).expect("a legal packet");
    out.to_vec()
}

#[test]
fn payloads_of_all_lengths_arrive_as_they_were_sent_however_they_are_read_and_written() {
    let broker = Broker::start("[limits]\nwrite_buffer_bytes_max = 10000000\n");
    let connect = |name: u8| {
        let mut stream = TcpStream::connect(broker.address).expect("the broker listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
        stream
            .write_all(&[b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01".as_slice(), &[name]].concat())
            .expect("sent");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).expect("CONNACK");
        stream
    };
    let (mut subscriber, mut publisher) = (connect(b's'), connect(b'p'));
    // So that the broker can write a part of what waits at a time.
    socket2::SockRef::from(&subscriber).set_recv_buffer_size(64 << 10).expect("a socket takes its options");
    subscriber.write_all(b"\x82\x06\x00\x01\x00\x01t\x00").expect("sent");
    subscriber.read_exact(&mut [0; 5]).expect("SUBACK");
    // Around the lengths that are handed over, those of a read, and those that take several.
    let lengths = [0, 1, 100, 4095, 4096, 4097, 16_384, 65_535, 65_536, 65_537, 200_000];
    let sent: Vec<u8> = (0..66).flat_map(|number| publish(number, lengths[number % lengths.len()])).collect();
    let copy = sent.clone();
    let publishing = std::thread::spawn(move || {
        for piece in copy.chunks(50_021) {
            publisher.write_all(piece).expect("the broker reads");
        }
        publisher
    });
    let mut got = vec![0; sent.len()];
    for piece in got.chunks_mut(3_001) {
        subscriber.read_exact(piece).expect("all of it comes");
    }
    assert!(got == sent, "what came is what was sent, in order");
    publishing.join().expect("the publisher ends well");
}
