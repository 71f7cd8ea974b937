//! Dead letters: who missed what, for whoever asks.
use crate::full_queues::{away, next_publish, one_full, passing, told};
use crate::packets::*;
use crate::peer::{Peer, world_with};
use vowmq::broker::Settings;
use vowmq::codec::ForwardProperties;
use vowmq::packet::Publish;
use vowmq::session::OnFull;
use vowmq::types::{QoS, ReasonCode};

fn with_dead_letters(settings: &mut Settings) {
    settings.queue.dead_letter_topic = Some(topic("$dead"));
}

fn properties(publish: &Publish) -> Vec<(String, String)> {
    let properties = ForwardProperties::parse(&publish.properties.forward).expect("the broker writes what can be read");
    properties.user.iter().map(|(key, value)| (key.as_str().to_owned(), value.as_str().to_owned())).collect()
}

fn expect_dead_letter(undertaker: &mut Peer, name: &str, reason: &str, client_id: &str) -> Publish {
    let letter = next_publish(undertaker);
    assert_eq!(letter.topic, Some(topic(name)));
    let expected = [("vowmq-reason", reason), ("vowmq-client", client_id)];
    assert_eq!(properties(&letter), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    letter
}

#[test]
fn what_a_full_queue_missed_is_copied_to_the_dead_letters() {
    let world = one_full(with_dead_letters);
    away(&world, "free", "a", QoS::AtLeastOnce);
    let mut undertaker = world.connect(passing("undertaker"));
    undertaker.subscribe("$dead/#", QoS::ExactlyOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos2(1).payload("second"));
    publisher.expect(pubrec(1));
    let letter = expect_dead_letter(&mut undertaker, "$dead/a", "queue_full", "full");
    assert_eq!((letter.payload.as_ref(), letter.qos.level()), (b"second".as_slice(), QoS::ExactlyOnce));
    undertaker.expect_nothing();
    assert_eq!(world.broker.counters.dead_letters.value(), 1);
}

#[test]
fn a_refused_message_is_no_dead_letter() {
    let world = one_full(with_dead_letters);
    let mut undertaker = world.connect(passing("undertaker"));
    undertaker.subscribe("$dead/#", QoS::ExactlyOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1));
    publisher.expect(puback_code(1, ReasonCode::QuotaExceeded));
    undertaker.expect_nothing();
}

#[test]
fn what_a_session_gives_up_is_copied_too() {
    let world = world_with(|settings| {
        with_dead_letters(settings);
        settings.limits.queued_messages_max = 3;
        settings.limits.on_full = OnFull::DropOldest;
        settings.queue.age_s_max = 60;
    });
    away(&world, "s", "#", QoS::AtLeastOnce);
    let mut undertaker = world.connect(passing("undertaker"));
    undertaker.subscribe("$dead/#", QoS::AtMostOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("oldest").qos1(1));
    publisher.send(publish("expires").qos1(2).expiry(5));
    publisher.send(publish("ages").qos1(3));
    publisher.send(publish("huge").qos1(4).payload(&"x".repeat(100)));
    world.pass_s(10);
    publisher.send(publish("ages/not").qos1(5));
    world.pass_s(50);
    publisher.send(publish("huge").qos1(6).payload(&"x".repeat(100)));
    let mut small = resume("s");
    small.properties.maximum_packet_bytes = Some(64);
    let mut subscriber = world.connect(small);
    assert_eq!(next_publish(&mut subscriber).topic, Some(topic("ages/not")));
    subscriber.expect_nothing();
    world.broker.publish_dead_letters(world.now());
    expect_dead_letter(&mut undertaker, "$dead/oldest", "queue_full", "s");
    expect_dead_letter(&mut undertaker, "$dead/expires", "queue_full", "s");
    expect_dead_letter(&mut undertaker, "$dead/ages", "queue_full", "s");
    expect_dead_letter(&mut undertaker, "$dead/huge", "aged", "s");
    let letter = expect_dead_letter(&mut undertaker, "$dead/huge", "too_large", "s");
    assert_eq!(letter.payload.len(), 100);
    undertaker.expect_nothing();
}

#[test]
fn a_dead_letter_that_is_dropped_is_counted_and_nothing_more() {
    let world = one_full(with_dead_letters);
    away(&world, "free", "a", QoS::AtLeastOnce);
    away(&world, "undertaker", "$dead/#", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for value in 1..=2 {
        publisher.send(publish("a").qos1(value).retain());
        publisher.expect(puback(value));
    }
    world.broker.publish_dead_letters(world.now());
    // The first message is missed by `full`; the second by `free` too, and the undertaker has no room for either copy.
    assert_eq!(told(&world), ["queue_full free 1 a", "queue_full full 2 a", "queue_full undertaker 2 $dead/a"]);
    assert_eq!(world.broker.counters.dead_letters.value(), 3);
}

#[test]
fn nobody_who_asks_for_dead_letters_is_no_dead_letters() {
    let world = one_full(with_dead_letters);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1).retain());
    publisher.expect(puback(1));
    assert_eq!(world.broker.counters.dead_letters.value(), 0);
    assert_eq!(told(&world), ["queue_full full 1 a"]);
}

#[test]
fn one_message_has_a_bounded_number_of_dead_letters() {
    let world = one_full(with_dead_letters);
    let mut undertaker = world.connect(passing("undertaker"));
    undertaker.subscribe("$dead/#", QoS::AtMostOnce);
    for number in 0..99 {
        away(&world, &format!("s{number}"), "b", QoS::AtLeastOnce);
    }
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("b").qos1(1));
    publisher.send(publish("b").qos1(2).retain());
    publisher.expect(puback(1));
    publisher.expect(puback(2));
    let counters = &world.broker.counters;
    assert_eq!(counters.dropped_queue_full.value(), 99);
    assert_eq!((counters.dead_letters.value(), counters.dead_letters_left_out.value()), (64, 35));
    for _ in 0..64 {
        next_publish(&mut undertaker);
    }
    undertaker.expect_nothing();
}
