//! Packets in states where they mean nothing, and identifiers, aliases and properties in heaps.
use crate::common::broker::Broker;
use crate::peer::{Peer, assert_serves, connect, encoded, kept, publish, raw, resident_kib, will};
use vowmq::packet::{Ack, Packet, Publish, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

#[test]
fn stray_acknowledgements_of_every_kind_open_no_quota() {
    let broker = Broker::start("");
    let mut giver = Peer::connect(broker.port, connect("giver"));
    for first in [0x40, 0x50, 0x62, 0x70] {
        let mut asking = kept("strayer");
        (asking.clean_start, asking.properties.receive_maximum) = (true, Some(1));
        let mut peer = Peer::connect(broker.port, asking);
        peer.subscribe("quota", QoS::AtLeastOnce);
        for payload in [b"1", b"2", b"3"] {
            assert_eq!(giver.publish("quota", false, payload), ReasonCode::Success);
        }
        let sent = peer.expect_publish().qos.id().unwrap();
        for number in (100..400_u16).filter(|number| *number != sent.value()) {
            peer.send_raw(&raw(first, &number.to_be_bytes()));
        }
        peer.send_raw(&encoded(&Packet::PingReq));
        let mut came = Vec::new();
        while let Some(packet) = peer.next().filter(|packet| !matches!(packet, Packet::PingResp)) {
            came.push(packet);
        }
        assert!(!came.iter().any(|packet| matches!(packet, Packet::Publish(_))), "{first:#x}: {came:?}");
    }
    assert_serves(&broker);
}

#[test]
fn acknowledgements_of_the_wrong_kind_do_not_pass_for_the_right_one() {
    let broker = Broker::start("");
    let mut giver = Peer::connect(broker.port, connect("giver"));
    let mut asking = kept("confuser");
    asking.properties.receive_maximum = Some(1);
    let mut peer = Peer::connect(broker.port, asking.clone());
    peer.subscribe("work", QoS::AtLeastOnce);
    assert_eq!(giver.publish("work", false, b"1"), ReasonCode::Success);
    assert_eq!(giver.publish("work", false, b"2"), ReasonCode::Success);
    let sent = peer.expect_publish().qos.id().unwrap();
    peer.send(&Packet::PubComp(Ack::success(sent)));
    peer.wait_for_pong_or_end();
    drop(peer);
    asking.clean_start = false;
    let mut peer = Peer::connect(broker.port, asking);
    assert_eq!(&peer.expect_publish().payload[..], b"1", "it was never acknowledged");
    peer.send(&Packet::PubAck(Ack::success(sent)));
    assert_eq!(&peer.expect_publish().payload[..], b"2");
}

impl Peer {
    fn wait_for_pong_or_end(&mut self) {
        self.send_raw(&encoded(&Packet::PingReq));
        while self.next().is_some_and(|packet| !matches!(packet, Packet::PingResp)) {
            // What it was does not matter here.
        }
    }
}

#[test]
fn every_alias_beyond_the_told_ones_ends_the_connection_and_churn_takes_no_memory() {
    let broker = Broker::start("");
    for alias in [0, 65, 65535] {
        let mut peer = Peer::connect(broker.port, connect("aliaser"));
        let body = [&b"\x00\x01a\x03\x23"[..], &u16::to_be_bytes(alias), b"x"].concat();
        peer.send_raw(&raw(0x30, &body));
        assert_eq!(peer.farewell(), Some(ReasonCode::TopicAliasInvalid), "{alias}");
    }
    let mut peer = Peer::connect(broker.port, connect("churner"));
    let before = resident_kib(&broker);
    for number in 0..50_000_u32 {
        // One alias, ever new topics of a hundred bytes.
        let topic = format!("churn/{number:094}");
        let alias = u16::try_from(number % 64 + 1).unwrap();
        let churned = Publish { topic_alias: Some(alias), ..publish(&topic, PublishQoS::AtMostOnce, b"") };
        peer.send(&Packet::Publish(churned));
    }
    assert!(peer.before_pong().is_empty());
    assert!(resident_kib(&broker).saturating_sub(before) < 16 << 10);
}

#[test]
fn heaps_of_user_properties_are_refused_wherever_they_are_allowed() {
    let broker = Broker::start("");
    let heap = b"\x26\x00\x01k\x00\x01v".repeat(5000);
    let length = [0xb8, 0x91, 0x02];
    assert_eq!(heap.len(), 0x38 + (0x11 << 7) + (0x02 << 14), "the length above is that of the heap");
    let properties = [&length[..], &heap].concat();
    let bodies = [
        (0x30, [&b"\x00\x01a"[..], &properties, b"x"].concat()),
        (0x82, [&b"\x00\x01"[..], &properties, b"\x00\x01a\x00"].concat()),
        (0xa2, [&b"\x00\x01"[..], &properties, b"\x00\x01a"].concat()),
        (0x40, [&b"\x00\x01\x10"[..], &properties].concat()),
        (0xe0, [&b"\x00"[..], &properties].concat()),
    ];
    for (first, body) in bodies {
        let mut peer = Peer::connect(broker.port, connect("heaper"));
        peer.send_raw(&raw(first, &body));
        assert!(peer.farewell().is_none_or(ReasonCode::is_failure), "{first:#x}");
    }
    let mut peer = Peer::open(broker.port);
    peer.send_raw(&raw(0x10, &[&b"\x00\x04MQTT\x05\x02\x00\x00"[..], &properties, b"\x00\x01a"].concat()));
    assert!(peer.farewell().is_some_and(ReasonCode::is_failure));
    assert_serves(&broker);
}

#[test]
fn who_falls_silent_is_let_go_with_his_will() {
    let broker = Broker::start("");
    let mut heir = Peer::connect(broker.port, connect("heir"));
    heir.subscribe("will", QoS::AtMostOnce);
    let mut asking = connect("half-open");
    (asking.keep_alive_s, asking.will) = (1, Some(will("will")));
    // Held open all the while: nothing tells the broker but the silence.
    let mut silent = Peer::connect(broker.port, asking);
    assert_eq!(&heir.expect_publish().payload[..], b"gone");
    assert_eq!(silent.farewell(), Some(ReasonCode::KeepAliveTimeout));
}

#[test]
fn packets_that_only_a_server_sends_end_the_connection_of_who_sends_them() {
    let broker = Broker::start("");
    for (first, body) in [
        (0x20, &b"\x00\x00\x00"[..]),
        (0x90, b"\x00\x01\x00\x00"),
        (0xb0, b"\x00\x01\x00\x00"),
        (0xd0, b""),
        (0x00, b""),
        (0xf1, b""),
        (0xc1, b""),
        (0x36, b"\x00\x01a\x00\x01\x00"),
    ] {
        let mut peer = Peer::connect(broker.port, connect("pretender"));
        peer.send_raw(&raw(first, body));
        assert!(peer.farewell().is_some_and(ReasonCode::is_failure), "{first:#x}");
    }
    let mut peer = Peer::connect(broker.port, connect("twice"));
    peer.send(&Packet::Connect(Box::new(connect("twice"))));
    assert_eq!(peer.farewell(), Some(ReasonCode::ProtocolError));
    let mut peer = Peer::connect(broker.port, connect("zero"));
    peer.send_raw(&raw(0x32, b"\x00\x01a\x00\x00\x00x"));
    assert!(peer.farewell().is_some_and(ReasonCode::is_failure), "packet identifier 0");
    assert_serves(&broker);
}
