//! Before anybody is known: CONNECTs that are wrong, slow, large, or many.
use crate::common::broker::Broker;
use crate::peer::{Peer, assert_serves, connect, counter, encoded, eventually, raw, resident_kib};
use std::time::{Duration, Instant};
use vowmq::packet::Packet;

#[test]
fn half_connects_by_the_hundred_hold_little_and_are_cut() {
    const PEERS: u64 = 400;
    let broker = Broker::start("[limits]\nconnect_timeout_ms = 3000\n");
    assert_serves(&broker);
    let before = resident_kib(&broker);
    // As large as a CONNECT may be, and never finished.
    let mut peers: Vec<_> = (0..PEERS).map(|_| Peer::open(broker.port)).collect();
    for peer in &mut peers {
        assert!(peer.send_raw(b"\x10\x80\x80\x03\x00\x04MQTT\x05"));
    }
    assert_serves(&broker);
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < PEERS * 32, "{grown} KiB for {PEERS} connections of which nobody knows whose they are");
    for peer in &mut peers {
        assert!(peer.rest().is_empty(), "cut without a word");
    }
}

#[test]
fn a_connect_that_drips_is_cut_when_its_time_is_over() {
    let broker = Broker::start("[limits]\nconnect_timeout_ms = 1500\n");
    let mut peer = Peer::open(broker.port);
    let connect = encoded(&Packet::Connect(Box::new(connect(&"x".repeat(200)))));
    let began = Instant::now();
    // Each byte comes in time; all of them would take a minute.
    peer.stream.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    let mut bytes = connect.iter();
    let is_cut = |peer: &mut Peer| {
        let mut byte = [0];
        match std::io::Read::read(&mut peer.stream, &mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    while !is_cut(&mut peer) {
        let byte = bytes.next().expect("cut before the end");
        // It may be cut just now.
        let _ = peer.send_raw(&[*byte]);
        assert!(began.elapsed() < Duration::from_secs(15), "a byte now and then does not buy time");
    }
    assert_serves(&broker);
}

#[test]
fn connects_whose_lengths_lie_are_refused_one_by_one() {
    let broker = Broker::start("");
    let head = b"\x00\x04MQTT\x05\x02\x00\x00";
    let cases: &[(&str, Vec<u8>)] = &[
        ("an empty CONNECT", raw(0x10, b"")),
        ("a name of the protocol that goes beyond the packet", raw(0x10, b"\xff\xffMQTT\x05\x02\x00\x00\x00\x00\x00")),
        ("a name of the protocol without letters", raw(0x10, b"\x00\x00\x05\x02\x00\x00\x00\x00\x00")),
        ("properties that go beyond the packet", raw(0x10, &[head, &b"\xff\x7f\x00\x01a"[..]].concat())),
        ("five bytes of length of properties", raw(0x10, &[head, &b"\x80\x80\x80\x80\x01\x00\x01a"[..]].concat())),
        ("a property cut in its middle", raw(0x10, &[head, &b"\x02\x11\x00\x00\x01a"[..]].concat())),
        ("a client identifier that goes beyond the packet", raw(0x10, &[head, &b"\x00\xff\xffa"[..]].concat())),
        ("a NUL in the client identifier", raw(0x10, &[head, &b"\x00\x00\x03a\x00b"[..]].concat())),
        ("a half surrogate in the client identifier", raw(0x10, &[head, &b"\x00\x00\x03\xed\xa0\x80"[..]].concat())),
        ("bytes behind its end", raw(0x10, &[head, &b"\x00\x00\x01a\x00"[..]].concat())),
        ("a will that is promised and not there", raw(0x10, b"\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a")),
        ("a will on a topic of no length", raw(0x10, b"\x00\x04MQTT\x05\x06\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00")),
        ("a password that is promised and not there", raw(0x10, b"\x00\x04MQTT\x05\x42\x00\x00\x00\x00\x01a")),
        ("five bytes of Remaining Length", b"\x10\xff\xff\xff\xff\x7f".to_vec()),
        ("a CONNACK to the broker", raw(0x20, b"\x00\x00\x00")),
        ("a PUBACK before CONNECT", raw(0x40, b"\x00\x01")),
        ("a PUBLISH before CONNECT", raw(0x30, b"\x00\x01a\x00")),
        ("an AUTH before CONNECT", raw(0xf0, b"")),
        ("a packet of the forbidden kind", raw(0x00, b"")),
    ];
    for (what, bytes) in cases {
        let mut peer = Peer::open(broker.port);
        peer.send_raw(bytes);
        let said = peer.rest();
        let is_refusal = |packet: &Packet| matches!(packet, Packet::ConnAck(connack) if connack.code.is_failure());
        assert!(said.len() <= 1 && said.iter().all(is_refusal), "{what}: {said:?}");
    }
    assert_serves(&broker);
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
}

#[test]
fn refused_connects_leave_no_sessions_behind() {
    let broker = Broker::start("[sys]\ninterval_s = 1\n[limits]\nclient_id_bytes_max = 40\n");
    for number in 0..300 {
        // A will on an internal topic is refused after the identifier was found to be good.
        let mut bad = crate::peer::kept(&format!("leaked-{number}"));
        bad.will = Some(crate::peer::will("$SYS/broker/uptime"));
        let (mut peer, code) = Peer::ask(broker.port, bad);
        assert!(code.is_failure());
        assert!(peer.rest().is_empty());
    }
    let (_, code) = Peer::ask(broker.port, crate::peer::kept(&"x".repeat(41)));
    assert!(code.is_failure());
    // Only who reads the counter is there.
    eventually("a registry of one", || counter(&broker, "clients/total") == 1);
}
