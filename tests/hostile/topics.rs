//! Topics and filters that are deep, many, odd, or none of a client's business.
use crate::common::broker::Broker;
use crate::peer::{Peer, assert_serves, connect, eventually, id, publish, raw, resident_kib};
use std::time::{Duration, Instant};
use vowmq::packet::{Packet, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions};
use vowmq::types::{QoS, ReasonCode, TopicFilter};

/// A text with its length before it.
fn told(text: &[u8]) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
}

#[test]
fn topics_of_65_thousand_slashes_end_only_their_own_connection() {
    let broker = Broker::start("");
    let slashes = told(&[b'/'; 65_535]);
    let subscribe = [&[0, 1, 0][..], &slashes, &[0]].concat();
    let unsubscribe = [&[0, 1, 0][..], &slashes].concat();
    let publish = [&slashes[..], &[0]].concat();
    let before = resident_kib(&broker);
    for _ in 0..20 {
        for (first, body) in [(0x30, &publish), (0x82, &subscribe), (0xa2, &unsubscribe)] {
            let mut peer = Peer::connect(broker.port, connect("deep"));
            peer.send_raw(&raw(first, body));
            // Nobody can have subscribed to it, so that there is nothing to refuse in an UNSUBSCRIBE.
            let is_right = |code: &ReasonCode| code.is_failure() || *code == ReasonCode::NoSubscriptionExisted;
            let answers = peer.answer();
            assert!(answers.iter().all(is_right) && !answers.is_empty(), "{answers:?}");
        }
    }
    assert!(resident_kib(&broker).saturating_sub(before) < 16 << 10);
    assert_serves(&broker);
}

impl Peer {
    /// The codes of the one answer.
    fn answer(&mut self) -> Vec<ReasonCode> {
        match self.next() {
            Some(Packet::SubAck(suback)) => suback.codes,
            Some(Packet::UnsubAck(unsuback)) => unsuback.codes,
            Some(Packet::Disconnect(disconnect)) => vec![disconnect.code],
            Some(Packet::PubAck(ack)) => vec![ack.code],
            other => panic!("no answer but {other:?}"),
        }
    }
}

#[test]
fn empty_and_nul_topics_are_refused_and_internal_ones_do_no_harm() {
    let broker = Broker::start("");
    for body in [&b"\x00\x00\x00x"[..], b"\x00\x03a\x00b\x00x", b"\x00\x01#\x00x", b"\x00\x03a/+\x00x", b"\xff\xff\x00"]
    {
        let mut peer = Peer::connect(broker.port, connect("odd"));
        peer.send_raw(&raw(0x30, body));
        assert!(peer.farewell().is_some_and(ReasonCode::is_failure), "{body:?}");
    }
    // Names that begin like those that mean something inside of brokers.
    let mut peer = Peer::connect(broker.port, connect("insider"));
    for topic in
        ["$", "$/", "$SYS", "$CONTROL/dynamic-security/v1", "$SETOPTS/x", "$share", "$share/g/a", "$MQTT.x", "$dead/a"]
    {
        assert_eq!(peer.publish(topic, true, b"x"), ReasonCode::NotAuthorized, "{topic}");
    }
    assert_serves(&broker);
}

#[test]
fn who_may_do_everything_still_cannot_write_to_sys() {
    let broker = Broker::start("[sys]\ninterval_s = 1\n");
    let mut peer = Peer::connect(broker.port, connect("forger"));
    assert_eq!(peer.publish("$SYS/broker/version", true, b"forged"), ReasonCode::NotAuthorized);
    let mut will = connect("forger-by-will");
    will.will = Some(crate::peer::will("$SYS/broker/version"));
    assert_eq!(Peer::ask(broker.port, will).1, ReasonCode::NotAuthorized);
    let mut reader = Peer::connect(broker.port, connect("reader"));
    reader.subscribe("$SYS/broker/version", QoS::AtMostOnce);
    assert_ne!(&reader.expect_publish().payload[..], b"forged");
}

#[test]
fn wildcard_bombs_cost_their_own_subscriptions_and_little_time() {
    let broker = Broker::start("");
    let mut bomber = Peer::connect(broker.port, connect("bomber"));
    let options = SubscriptionOptions { qos: QoS::AtMostOnce, ..SubscriptionOptions::default() };
    // Every choice of plus signs in twelve levels: a topic of as many levels matches all of them.
    let levels = 12;
    let filter = |choice: u32| {
        let names = (0..levels).map(|level| if choice & (1 << level) == 0 { "a" } else { "+" });
        names.collect::<Vec<_>>().join("/")
    };
    for chunk in (0..1_u32 << levels).collect::<Vec<_>>().chunks(256) {
        let filters = chunk.iter().map(|choice| SubscribeFilter {
            filter: TopicFilter::try_from(filter(*choice).as_str()).unwrap(),
            options,
        });
        let filters = filters.collect();
        bomber.send(&Packet::Subscribe(Subscribe { id: id(1), subscription_id: None, user: Vec::new(), filters }));
        assert!(matches!(bomber.next(), Some(Packet::SubAck(_))));
    }
    let began = Instant::now();
    let mut giver = Peer::connect(broker.port, connect("giver"));
    for number in 0..20 {
        // Another topic each time, so that no earlier walk helps.
        let topic = format!("{}{number}", "a/".repeat(levels - 1));
        giver.send(&Packet::Publish(publish(&topic, PublishQoS::AtMostOnce, b"x")));
        assert_eq!(bomber.expect_publish().topic.unwrap().as_str(), topic, "once, however many match");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(bomber.before_pong().is_empty());
    assert_serves(&broker);
}

#[test]
fn retained_messages_of_ever_new_topics_are_refused_at_the_limit() {
    let broker = Broker::start("[limits]\nretained_messages_max = 200\n");
    let mut peer = Peer::connect(broker.port, connect("filler"));
    let codes: Vec<_> = (0..400).map(|number| peer.publish(&format!("r/{number}"), true, b"x")).collect();
    let taken = codes.iter().filter(|code| !code.is_failure()).count();
    // The broker's own below $SYS are counted as well.
    assert!((1..=200).contains(&taken) && codes[399] == ReasonCode::QuotaExceeded, "{taken} taken");
    assert!(!peer.publish("r/0", true, b"replaced").is_failure(), "what is there can still be replaced");
    eventually("others are served", || {
        !Peer::connect(broker.port, connect("other")).publish("plain", false, b"x").is_failure()
    });
}
