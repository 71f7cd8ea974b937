//! Who gets which copy: shared subscriptions, retained messages, options, aliases, expiry.
use crate::packets::*;
use crate::peer::{Peer, world};
use vowmq::packet::{Packet, RetainHandling};
use vowmq::types::{QoS, ReasonCode};

#[test]
fn a_shared_message_goes_to_a_member_that_is_there() {
    let world = world();
    let mut away = world.connect(connect("away"));
    away.subscribe("$share/g/a", QoS::AtLeastOnce);
    away.lose();
    let mut here = world.connect(connect("here"));
    here.subscribe("$share/g/a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for value in 1..=4 {
        publisher.send(publish("a").qos1(value));
        here.expect(publish("a").qos1(value));
    }
    world.connect(resume("away")).expect_nothing();
}

#[test]
fn what_a_leaving_member_left_unfinished_at_qos_1_goes_to_another() {
    let world = world();
    let mut first = world.connect(connect("first"));
    first.subscribe("$share/g/a", QoS::AtLeastOnce);
    world.connect(connect("p")).send(publish("a").qos1(1).payload("x"));
    first.expect(publish("a").qos1(1).payload("x"));
    let mut second = world.connect(connect("second"));
    second.subscribe("$share/g/a", QoS::AtLeastOnce);
    second.expect_nothing();
    first.lose();
    second.expect(publish("a").qos1(1).payload("x"));
    world.connect(resume("first")).expect_nothing();
}

#[test]
fn what_waits_for_an_absent_member_is_claimed_by_one_that_comes() {
    let world = world();
    let mut away = world.connect(connect("away"));
    away.subscribe("$share/g/a", QoS::AtLeastOnce);
    away.lose();
    world.connect(connect("p")).send(publish("a").qos1(1));
    let mut here = world.connect(connect("here"));
    here.subscribe("$share/g/a", QoS::AtLeastOnce);
    here.expect(publish("a").qos1(1));
    world.connect(resume("away")).expect_nothing();
}

fn retained_for(client: &mut Peer, subscribing: SubscribeMaker) -> bool {
    client.send(subscribing);
    client.expect(suback(1, ReasonCode::Success));
    client.comes(publish("a").retain().payload("x"))
}

#[test]
fn retain_handling_says_when_retained_messages_come() {
    // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] (5.0)
    let cases = [
        (RetainHandling::Always, [true, true]),
        (RetainHandling::IfNew, [true, false]),
        (RetainHandling::Never, [false, false]),
    ];
    for (handling, comes) in cases {
        let world = world();
        world.connect(connect("p")).send(publish("a").retain().payload("x"));
        let mut client = world.connect(connect("c"));
        for expected in comes {
            let subscribing = subscribe(1, "a", QoS::AtMostOnce).retain_handling(handling);
            assert_eq!(retained_for(&mut client, subscribing), expected, "{handling:?}");
        }
    }
}

#[test]
fn retain_as_published_keeps_the_flag_of_live_messages() {
    // [MQTT-3.3.1-12] [MQTT-3.3.1-13] (5.0)
    let world = world();
    let (mut plain, mut as_published) = (world.connect(connect("plain")), world.connect(connect("rap")));
    plain.subscribe("a", QoS::AtMostOnce);
    as_published.send(subscribe(1, "a", QoS::AtMostOnce).retain_as_published());
    as_published.expect(suback(1, ReasonCode::Success));
    world.connect(connect("p")).send(publish("a").retain().payload("x"));
    plain.expect(publish("a").payload("x"));
    as_published.expect(publish("a").retain().payload("x"));
}

#[test]
fn no_local_keeps_a_clients_own_messages_from_it() {
    // [MQTT-3.8.3-3]
    let world = world();
    let mut client = world.connect(connect("c"));
    client.send(subscribe(1, "a", QoS::AtMostOnce).no_local());
    client.expect(suback(1, ReasonCode::Success));
    client.send(publish("a").payload("own"));
    client.expect_nothing();
    world.connect(connect("p")).send(publish("a").payload("other"));
    client.expect(publish("a").payload("other"));
}

#[test]
fn topics_sent_again_get_aliases_within_the_clients_maximum() {
    // [MQTT-3.1.2-26] [MQTT-3.3.2-11]
    let world = world();
    let mut request = connect("c");
    request.properties.topic_alias_maximum = Some(1);
    let mut client = world.connect(request);
    client.subscribe("#", QoS::AtMostOnce);
    let mut publisher = world.connect(connect("p"));
    for expected in [publish("a"), publish("a").alias(1), publish("a").alias(1).without_topic()] {
        publisher.send(publish("a"));
        client.expect(expected);
    }
}

#[test]
fn a_message_says_how_much_of_its_life_is_left_and_dies_in_the_queue() {
    // [MQTT-3.3.2-5] [MQTT-3.3.2-6]
    let world = world();
    let mut client = world.connect(connect("c"));
    client.subscribe("a", QoS::AtLeastOnce);
    client.lose();
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1).expiry(10));
    publisher.send(publish("a").qos1(2).expiry(30));
    world.pass_s(20);
    let mut client = world.connect(resume("c"));
    let Packet::Publish(left) = client.expect_packet("PUBLISH") else { unreachable!("its name was looked at") };
    assert_eq!(left.properties.expiry_s, Some(10));
    client.expect_nothing();
}
