//! Peers that would like the broker to remember, queue and wait for them without end.
use crate::common::broker::Broker;
use crate::peer::{Peer, assert_serves, connect, counter, encoded, eventually, id, kept, publish, resident_kib};
use vowmq::packet::{Ack, Packet, Publish, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

#[test]
fn the_same_qos2_identifier_a_hundred_thousand_times_is_one_message_and_takes_no_memory() {
    let broker = Broker::start("");
    let mut taker = Peer::connect(broker.port, connect("taker"));
    taker.subscribe("once", QoS::AtMostOnce);
    let mut giver = Peer::connect(broker.port, kept("giver"));
    let first = publish("once", PublishQoS::ExactlyOnce(id(1)), &[0; 100]);
    giver.send(&Packet::Publish(first.clone()));
    assert!(matches!(giver.next(), Some(Packet::PubRec(_))));
    let again = encoded(&Packet::Publish(Publish { dup: true, ..first })).repeat(100);
    let before = resident_kib(&broker);
    for _ in 0..1000 {
        assert!(giver.send_raw(&again));
        for _ in 0..100 {
            match giver.next() {
                Some(Packet::PubRec(ack)) => assert_eq!((ack.id, ack.code), (id(1), ReasonCode::Success)),
                other => panic!("no PUBREC but {other:?}"),
            }
        }
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 16 << 10, "{grown} KiB for one message");
    assert_eq!(&taker.expect_publish().payload[..], &[0; 100]);
    assert!(taker.before_pong().is_empty(), "it was routed once");
}

#[test]
fn qos2_left_open_is_bounded_by_receive_maximum_over_reconnects() {
    let broker = Broker::start("[limits]\nreceive_max = 20\n");
    for round in 0..30_u16 {
        let mut peer = Peer::connect(broker.port, kept("half-done"));
        // Those of the rounds before are known; each is acknowledged again, and none is counted twice.
        for number in 1..=20 {
            let dup = round > 0;
            let open = publish("open", PublishQoS::ExactlyOnce(id(number)), b"x");
            peer.send(&Packet::Publish(Publish { dup, ..open }));
            assert!(matches!(peer.next(), Some(Packet::PubRec(ack)) if ack.id == id(number)));
        }
        peer.send(&Packet::Publish(publish("open", PublishQoS::ExactlyOnce(id(21 + round)), b"x")));
        assert_eq!(peer.farewell(), Some(ReasonCode::ReceiveMaximumExceeded));
    }
    let mut peer = Peer::connect(broker.port, kept("half-done"));
    for number in 1..=20 {
        peer.send(&Packet::PubRel(Ack::success(id(number))));
        assert!(matches!(peer.next(), Some(Packet::PubComp(ack)) if ack.code == ReasonCode::Success));
    }
    assert_serves(&broker);
}

#[test]
fn a_peer_that_never_reads_is_let_go_and_holds_up_nobody() {
    let settings = "[limits]\nwrite_stall_timeout_ms = 2000\nmailbox_bytes_max = 4194304\n[sys]\ninterval_s = 1\n";
    let broker = Broker::start(settings);
    let mut deaf = Peer::connect(broker.port, connect("deaf"));
    deaf.subscribe("flood", QoS::AtMostOnce);
    let mut taker = Peer::connect(broker.port, connect("taker"));
    taker.subscribe("flood", QoS::AtMostOnce);
    let mut giver = Peer::connect(broker.port, connect("giver"));
    let before = resident_kib(&broker);
    let flood = Packet::Publish(publish("flood", PublishQoS::AtMostOnce, &[7; 60_000]));
    // 120 MB, of which the one that reads gets everything.
    for _ in 0..2000 {
        giver.send(&flood);
        assert_eq!(taker.expect_publish().payload.len(), 60_000);
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB held for somebody who does not read");
    eventually("the deaf one is let go", || counter(&broker, "connections/closed/write_stall") == 1);
    assert_serves(&broker);
}

#[test]
fn a_peer_that_never_acknowledges_gets_its_window_and_no_more() {
    let broker = Broker::start("[limits]\nqueued_messages_max = 50\n");
    let mut asking = kept("mute");
    asking.properties.receive_maximum = Some(3);
    let mut mute = Peer::connect(broker.port, asking);
    mute.subscribe("work", QoS::AtLeastOnce);
    let mut giver = Peer::connect(broker.port, connect("giver"));
    let codes: Vec<_> = (0..200).map(|_| giver.publish("work", false, b"x")).collect();
    let refused = codes.iter().filter(|code| **code == ReasonCode::QuotaExceeded).count();
    assert_eq!(refused, 150, "publishers are told that the queue is full");
    let window = mute.before_pong();
    assert_eq!(window.len(), 3, "{window:?}");
    // Answers to what was never sent open nothing.
    for number in 1000..1200 {
        mute.send(&Packet::PubAck(Ack::success(id(number))));
    }
    assert!(!mute.rest_or_pong().iter().any(|packet| matches!(packet, Packet::Publish(_))));
    assert_serves(&broker);
}

#[test]
fn messages_that_wait_do_not_keep_what_came_beside_them() {
    let broker = Broker::start("");
    let mut mute = Peer::connect(broker.port, connect("mute"));
    mute.subscribe("work", QoS::AtLeastOnce);
    let mut giver = Peer::connect(broker.port, connect("giver"));
    let noise = encoded(&Packet::Publish(publish("noise", PublishQoS::AtMostOnce, &[7; 60_000])));
    let work = encoded(&Packet::Publish(publish("work", PublishQoS::AtLeastOnce(id(7)), b"a few bytes")));
    let both = [noise, work].concat();
    let before = resident_kib(&broker);
    // 120 MB came in reads of which each ended with one message that waits.
    for _ in 0..2000 {
        assert!(giver.send_raw(&both));
        assert!(matches!(giver.next(), Some(Packet::PubAck(ack)) if ack.code == ReasonCode::Success));
    }
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 24 << 10, "{grown} KiB for 22 KB");
    assert_serves(&broker);
}

impl Peer {
    /// What comes until an answer to a PINGREQ, or until the broker has closed the connection.
    fn rest_or_pong(&mut self) -> Vec<Packet> {
        self.send_raw(&encoded(&Packet::PingReq));
        let mut came = Vec::new();
        while let Some(packet) = self.next() {
            if matches!(packet, Packet::PingResp) {
                break;
            }
            came.push(packet);
        }
        came
    }
}
