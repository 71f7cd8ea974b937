//! Each limit, and the answer that its client gets.
use crate::packets::*;
use crate::peer::{World, world, world_with};
use vowmq::broker::Settings;
use vowmq::codec;
use vowmq::packet::Packet;
use vowmq::session::{OnFull, Refused311};
use vowmq::types::{QoS, ReasonCode};

#[test]
fn a_subscription_beyond_the_limit_is_refused_with_quota_exceeded() {
    let world = world_with(|settings| settings.limits.subscriptions_max = 1);
    let mut client = world.connect(connect("c"));
    client.subscribe("a", QoS::AtMostOnce);
    client.send(subscribe(2, "b", QoS::AtMostOnce));
    client.expect(suback(2, ReasonCode::QuotaExceeded));
    client.send(subscribe(3, "a", QoS::AtLeastOnce));
    client.expect(suback(3, ReasonCode::GrantedQoS1));
    assert_eq!(world.broker.subscriptions(), 1);
}

#[test]
fn a_filter_with_too_many_levels_is_refused_as_invalid() {
    let world = world_with(|settings| settings.limits.topic_levels_max = 2);
    let mut client = world.connect(connect("c"));
    client.send(subscribe(1, "a/b/c", QoS::AtMostOnce));
    client.expect(suback(1, ReasonCode::TopicFilterInvalid));
    client.send(subscribe(2, "$share/g/a/b", QoS::AtMostOnce));
    client.expect(suback(2, ReasonCode::Success));
}

fn refused_by_codec(packet: impl Into<Packet>, limits: &codec::Limits) -> ReasonCode {
    let mut bytes = bytes::BytesMut::new();
    codec::encode(&packet.into(), vowmq::packet::Version::V5, &mut bytes).expect("it can be written");
    let decoded = codec::decode(bytes.freeze(), Some(vowmq::packet::Version::V5), limits);
    decoded.expect_err("it is beyond the limit").reason
}

#[test]
fn a_topic_with_too_many_levels_is_invalid() {
    let limits = codec::Limits { topic_levels_max: 2, ..codec::Limits::default() };
    assert_eq!(refused_by_codec(publish("a/b/c"), &limits), ReasonCode::TopicNameInvalid);
}

#[test]
fn too_many_user_properties_exceed_the_quota() {
    let limits = codec::Limits { user_properties_max: 1, ..codec::Limits::default() };
    let mut many = subscribe(1, "a", QoS::AtMostOnce);
    many.0.user = vec![(text("k"), text("1")), (text("k"), text("2"))];
    assert_eq!(refused_by_codec(many, &limits), ReasonCode::QuotaExceeded);
}

#[test]
fn more_unacknowledged_publishes_than_receive_maximum_end_the_connection() {
    // [MQTT-3.3.4-7]
    let world = world_with(|settings| settings.limits.receive_max = 2);
    let mut client = world.connect(connect("c"));
    client.send(publish("a").qos2(1));
    client.send(publish("a").qos2(2));
    client.expect_open();
    client.send(publish("a").qos2(3));
    client.expect_closed(ReasonCode::ReceiveMaximumExceeded);
}

#[test]
fn topic_aliases_out_of_range_end_the_connection() {
    // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
    for alias in [0, 3] {
        let world = world_with(|settings| settings.limits.topic_aliases_max = 2);
        let mut client = world.connect(connect("c"));
        client.send(publish("a").alias(2));
        client.send(publish("a").alias(2).without_topic());
        client.expect_open();
        client.send(publish("a").alias(alias));
        client.expect_closed(ReasonCode::TopicAliasInvalid);
    }
}

#[test]
fn retained_messages_beyond_the_limits_are_refused_and_replacements_are_not() {
    let by_count = world_with(|settings| settings.retained_messages_max = 1);
    let mut client = by_count.connect(connect("c"));
    client.send(publish("a").qos1(1).retain().payload("1"));
    client.expect(puback(1));
    client.send(publish("b").qos1(2).retain().payload("1"));
    client.expect(puback_code(2, ReasonCode::QuotaExceeded));
    client.send(publish("a").qos1(3).retain().payload("2"));
    client.expect(puback(3));
    let by_bytes = world_with(|settings| settings.retained_bytes_max = 1);
    let mut client = by_bytes.connect(connect("c"));
    client.send(publish("a").qos1(1).retain().payload("too much"));
    client.expect(puback_code(1, ReasonCode::QuotaExceeded));
}

/// A broker where the queue of `s`, who is away, has room for two messages.
fn full(change: impl FnOnce(&mut Settings)) -> World {
    let world = world_with(|settings| {
        settings.limits.queued_messages_max = 2;
        change(settings);
    });
    let mut subscriber = world.connect(connect("s"));
    subscriber.subscribe("a", QoS::AtLeastOnce);
    subscriber.lose();
    world
}

fn expect_payloads(world: &World, payloads: &[&str]) {
    let mut subscriber = world.connect(resume("s"));
    for payload in payloads {
        let Packet::Publish(publish) = subscriber.expect_packet("PUBLISH") else {
            unreachable!("its name was looked at")
        };
        assert_eq!(publish.payload, payload.as_bytes());
    }
    subscriber.expect_nothing();
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let world = full(|settings| settings.limits.on_full = OnFull::Refuse);
    let mut publisher = world.connect(connect("p"));
    for (value, code) in [(1, ReasonCode::Success), (2, ReasonCode::Success), (3, ReasonCode::QuotaExceeded)] {
        publisher.send(publish("a").qos1(value).payload(&value.to_string()));
        publisher.expect(puback_code(value, code));
    }
    assert_eq!(world.broker.counters.publishes_refused.value(), 1);
    expect_payloads(&world, &["1", "2"]);
}

#[test]
fn a_refusal_is_withheld_from_a_3_1_1_publisher_or_ends_its_connection() {
    for refused_311 in [Refused311::Withhold, Refused311::Disconnect] {
        let world = full(|settings| settings.limits.refused_311 = refused_311);
        let mut publisher = world.connect(connect_311("p", true));
        for value in 1..=2 {
            publisher.send(publish("a").qos1(value));
            publisher.expect(puback(value));
        }
        publisher.send(publish("a").qos1(3));
        publisher.expect_nothing();
        assert_eq!(publisher.closing().is_some(), refused_311 == Refused311::Disconnect);
    }
}

#[test]
fn a_full_queue_may_drop_what_is_newest_or_oldest() {
    for (on_full, kept) in [(OnFull::DropNewest, ["1", "2"]), (OnFull::DropOldest, ["2", "3"])] {
        let world = full(|settings| settings.limits.on_full = on_full);
        let mut publisher = world.connect(connect("p"));
        for value in 1..=3 {
            publisher.send(publish("a").qos1(value).payload(&value.to_string()));
            publisher.expect(puback(value));
        }
        assert_eq!(world.broker.counters.dropped_queue_full.value(), 1, "{on_full:?}");
        expect_payloads(&world, &kept);
    }
}

#[test]
fn clients_may_not_publish_to_topics_of_the_broker() {
    let world = world();
    let mut watcher = world.connect(connect("w"));
    watcher.subscribe("$x/#", QoS::AtMostOnce);
    let mut client = world.connect(connect("c"));
    client.send(publish("$x/a").qos1(1));
    client.expect(puback_code(1, ReasonCode::NotAuthorized));
    let mut old = world.connect(connect_311("old", true));
    old.send(publish("$x/a").qos1(1));
    old.expect(puback(1));
    watcher.expect_nothing();
    assert_eq!(world.broker.counters.publishes_denied.value(), 2);
}
