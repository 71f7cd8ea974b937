//! Sessions and connections that are somebody else's.
use crate::common::broker::Broker;
use crate::peer::{House, Peer, assert_serves, by, connect, eventually, kept, open_connections, publish, resident_kib};
use vowmq::packet::{Connect, Packet, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

const ALL: &str = "[[rule]]\nallow = \"all\"\ntopics = [\"#\"]\n";

#[test]
fn nobody_takes_the_connection_or_the_session_of_another_user() {
    let house = House::new(ALL);
    let broker = Broker::start(&house.settings());
    let mut ann = Peer::connect(house.port, by("ann", "a", kept("pump")));
    ann.subscribe("for/ann", QoS::AtLeastOnce);
    // Connected: neither to resume nor to wipe it out, and by no name that only looks like it.
    for clean_start in [false, true] {
        let squatter = Connect { clean_start, ..by("bob", "b", kept("pump")) };
        let (mut bob, code) = Peer::ask(house.port, squatter);
        assert!(code.is_failure(), "{code:?}");
        assert!(bob.rest().is_empty());
        let (_, code) = Peer::ask(broker.port, Connect { clean_start, ..kept("pump") });
        assert!(code.is_failure(), "nor may somebody who says nothing of himself: {code:?}");
    }
    assert!(ann.before_pong().is_empty(), "ann has noticed nothing");
    // Away: what is queued is hers.
    drop(ann);
    let mut giver = Peer::connect(house.port, by("bob", "b", connect("giver")));
    assert_eq!(giver.publish("for/ann", false, b"secret"), ReasonCode::Success);
    let (mut bob, code) = Peer::ask(house.port, by("bob", "b", kept("pump")));
    assert!(code.is_failure() && bob.rest().is_empty());
    let mut ann = Peer::connect(house.port, by("ann", "a", kept("pump")));
    assert_eq!(&ann.expect_publish().payload[..], b"secret");
}

#[test]
fn a_wrong_password_disturbs_nobody_of_that_name() {
    let house = House::new(ALL);
    let _broker = Broker::start(&house.settings());
    let mut ann = Peer::connect(house.port, by("ann", "a", kept("pump")));
    ann.subscribe("for/ann", QoS::AtLeastOnce);
    for _ in 0..5 {
        let bad = Connect { clean_start: true, ..by("ann", "wrong", kept("pump")) };
        assert_eq!(Peer::ask(house.port, bad).1, ReasonCode::BadUserNameOrPassword);
        let mut without = by("ann", "", kept("pump"));
        without.password = None;
        assert_eq!(Peer::ask(house.port, without).1, ReasonCode::BadUserNameOrPassword, "known, and no password");
    }
    let mut giver = Peer::connect(house.port, by("bob", "b", connect("giver")));
    assert_eq!(giver.publish("for/ann", false, b"still there"), ReasonCode::Success);
    assert_eq!(&ann.expect_publish().payload[..], b"still there");
}

#[test]
fn a_storm_of_takeovers_with_mixed_subscriptions_leaves_one_session_that_works() {
    let broker = Broker::start("");
    let before = resident_kib(&broker);
    std::thread::scope(|scope| {
        for stormer in 0..4 {
            let port = broker.port;
            scope.spawn(move || {
                for round in 0..60 {
                    let mut peer = Peer::open(port);
                    let mut asking = kept("contested");
                    asking.clean_start = round % 5 == 0;
                    asking.will = Some(crate::peer::will("storm/will"));
                    let mut bytes = crate::peer::encoded(&Packet::Connect(Box::new(asking)));
                    // Without waiting for anything: SUBSCRIBE, shared and plain, PUBLISH, UNSUBSCRIBE, all at once.
                    bytes.extend(crate::peer::raw(0x82, b"\x00\x01\x00\x00\x0e$share/g/storm\x01\x00\x05storm\x01"));
                    bytes.extend(crate::peer::raw(0x32, b"\x00\x05storm\x00\x02\x00x"));
                    bytes.extend(crate::peer::raw(0xa2, b"\x00\x03\x00\x00\x05storm"));
                    if stormer % 2 == 0 {
                        bytes.extend(crate::peer::raw(0xe0, b"\x04"));
                    }
                    let _ = peer.send_raw(&bytes);
                    if round % 3 != 0 {
                        let _ = peer.next();
                    }
                }
            });
        }
    });
    // Some were gone before they were read, and would still take the client identifier from who comes now.
    eventually("the end of the storm", || open_connections(&broker) == 0);
    let mut last = Peer::connect(broker.port, Connect { clean_start: true, ..kept("contested") });
    last.subscribe("storm", QoS::AtMostOnce);
    last.send(&Packet::Publish(publish("storm", PublishQoS::AtMostOnce, b"calm")));
    assert_eq!(&last.expect_publish().payload[..], b"calm", "one subscription, and nothing of the old ones");
    assert!(last.before_pong().is_empty());
    assert!(resident_kib(&broker).saturating_sub(before) < 32 << 10);
    assert!(!broker.log().contains("panicked"), "{}", broker.log());
    assert_serves(&broker);
}
