//! Never a silent drop: who is told what of a message that somebody has no room for, and what is kept of it.
use crate::durable::{commit, durable, durable_with};
use crate::packets::*;
use crate::peer::{Peer, World, world_with};
use vowmq::broker::{QueueRule, QueueSettings, Settings};
use vowmq::packet::{Connect, Packet, Publish};
use vowmq::session::{OnFull, Refused311};
use vowmq::types::{QoS, ReasonCode};

const ALL: u64 = u64::MAX;

fn rule(name: &str, messages_max: u64) -> QueueRule {
    QueueRule { filter: filter(name), messages_max, bytes_max: ALL, age_s_max: 0, on_full: OnFull::Refuse }
}

/// A broker where each queue has room for one message, and `full` is away with one in its queue for `a`.
pub fn one_full(change: impl FnOnce(&mut Settings)) -> World {
    let world = world_with(|settings| {
        settings.limits.queued_messages_max = 1;
        change(settings);
    });
    away(&world, "full", "a", QoS::ExactlyOnce);
    let mut publisher = world.connect(connect("first"));
    publisher.send(publish("a").qos1(1).payload("first"));
    publisher.expect(puback(1));
    world
}

/// A session that waits for its client.
pub fn away(world: &World, client_id: &str, name: &str, qos: QoS) {
    let mut subscriber = world.connect(connect(client_id));
    subscriber.subscribe(name, qos);
    subscriber.lose();
}

/// A client whose session ends with its connection.
pub fn passing(client_id: &str) -> Connect {
    let mut passing = connect(client_id);
    passing.properties.session_expiry_s = None;
    passing
}

pub fn next_publish(peer: &mut Peer) -> Publish {
    match peer.expect_packet("PUBLISH") {
        Packet::Publish(publish) => publish,
        other => panic!("{other:?} is no PUBLISH"),
    }
}

fn expect_payload(peer: &mut Peer, payload: &str) {
    assert_eq!(next_publish(peer).payload, payload.as_bytes());
}

/// Reason, session, count and topic of what the log would tell.
pub fn told(world: &World) -> Vec<String> {
    let gathered = world.broker.counters.drops.take_gathered();
    let lines = gathered.lines();
    lines.iter().map(|l| format!("{} {} {} {}", l.reason, l.client_id.as_str(), l.messages, l.example)).collect()
}

#[test]
fn a_refused_qos2_message_frees_its_identifier_and_comes_through_when_there_is_room() {
    // [MQTT-4.3.3-9]
    let world = one_full(|_| {});
    let mut publisher = world.connect(connect("p"));
    for _ in 0..2 {
        publisher.send(publish("a").qos2(1).payload("second"));
        publisher.expect(pubrec_code(1, ReasonCode::QuotaExceeded));
    }
    assert_eq!(world.broker.counters.publishes_refused.value(), 2);
    let mut subscriber = world.connect(resume("full"));
    expect_payload(&mut subscriber, "first");
    subscriber.send(puback(1));
    publisher.send(publish("a").qos2(1).payload("second"));
    publisher.expect(pubrec(1));
    publisher.send(pubrel(1));
    publisher.expect(pubcomp(1));
    expect_payload(&mut subscriber, "second");
}

#[test]
fn a_3_1_1_publisher_gets_no_pubrec_or_must_go() {
    for refused_311 in [Refused311::Withhold, Refused311::Disconnect] {
        let world = one_full(|settings| settings.limits.refused_311 = refused_311);
        let mut publisher = world.connect(connect_311("p", false));
        publisher.send_all([publish("a").qos2(1).into(), publish("nobody").qos2(2).into()]);
        if refused_311 == Refused311::Withhold {
            publisher.expect(pubrec(2));
        }
        assert_eq!(publisher.closing().is_some(), refused_311 == Refused311::Disconnect);
    }
}

#[test]
fn what_was_withheld_is_taken_when_it_comes_again_and_there_is_room() {
    let world = one_full(|_| {});
    let mut publisher = world.connect(connect_311("p", false));
    publisher.send(publish("a").qos2(1).payload("second"));
    publisher.expect_nothing();
    publisher.lose();
    let mut subscriber = world.connect(resume("full"));
    expect_payload(&mut subscriber, "first");
    subscriber.send(puback(1));
    let mut publisher = world.connect(connect_311("p", false));
    publisher.send(publish("a").qos2(1).dup().payload("second"));
    publisher.expect(pubrec(1));
    expect_payload(&mut subscriber, "second");
}

#[test]
fn a_message_that_only_some_took_is_acknowledged_counted_and_told() {
    for qos2 in [false, true] {
        let world = one_full(|_| {});
        away(&world, "free", "a", QoS::ExactlyOnce);
        let mut publisher = world.connect(connect("p"));
        let message = publish("a").payload("second");
        if qos2 {
            publisher.send(message.qos2(1));
            publisher.expect(pubrec(1));
        } else {
            publisher.send(message.qos1(1));
            publisher.expect(puback(1));
        }
        assert_eq!(world.broker.counters.dropped_queue_full.value(), 1);
        assert_eq!(world.broker.counters.publishes_refused.value(), 0);
        assert_eq!(told(&world), ["queue_full full 1 a"]);
        assert_eq!(told(&world), [] as [&str; 0]);
        expect_payload(&mut world.connect(resume("free")), "second");
        let mut full = world.connect(resume("full"));
        expect_payload(&mut full, "first");
        full.expect_nothing();
    }
}

#[test]
fn a_message_that_nobody_keeps_is_refused_and_reaches_nobody() {
    let world = one_full(|_| {});
    let mut watcher = world.connect(passing("watcher"));
    watcher.subscribe("#", QoS::AtMostOnce);
    let mut passing_by = world.connect(passing("passing"));
    passing_by.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1));
    publisher.expect(puback_code(1, ReasonCode::QuotaExceeded));
    watcher.expect_nothing();
    passing_by.expect_nothing();
    assert_eq!(world.broker.counters.dropped_queue_full.value(), 0, "its publisher was told");
    assert_eq!(told(&world), ["refused full 1 a"]);
}

#[test]
fn qos_0_passes_a_full_queue_by() {
    let world = one_full(|_| {});
    let mut watcher = world.connect(passing("watcher"));
    watcher.subscribe("#", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").payload("0"));
    expect_payload(&mut watcher, "0");
    assert_eq!(told(&world), [] as [&str; 0]);
}

#[test]
fn a_retained_message_is_kept_though_a_queue_is_full() {
    let world = one_full(|_| {});
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1).retain().payload("kept"));
    publisher.expect(puback(1));
    assert_eq!(told(&world), ["queue_full full 1 a"]);
    let mut late = world.connect(connect("late"));
    late.subscribe("a", QoS::AtMostOnce);
    expect_payload(&mut late, "kept");
}

#[test]
fn a_shared_message_goes_to_the_member_that_has_room() {
    let world = world_with(|settings| settings.limits.queued_messages_max = 1);
    let mut members: Vec<_> = ["m1", "m2"].map(|name| world.connect(connect(name))).into();
    for member in &mut members {
        member.subscribe("$share/g/a", QoS::AtLeastOnce);
    }
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1));
    publisher.send(publish("a").qos1(2));
    publisher.expect(puback(1));
    publisher.expect(puback(2));
    publisher.send(publish("a").qos1(3));
    publisher.expect(puback_code(3, ReasonCode::QuotaExceeded));
    for member in &mut members {
        assert_eq!(next_publish(member).qos.level(), QoS::AtLeastOnce);
        member.expect_nothing();
    }
    let last = members.last_mut().expect("there are two");
    last.send(puback(1));
    for value in [4, 5] {
        publisher.send(publish("a").qos1(value).payload("next"));
        let code = if value == 4 { ReasonCode::Success } else { ReasonCode::QuotaExceeded };
        publisher.expect(puback_code(value, code));
    }
    expect_payload(last, "next");
}

#[test]
fn what_an_ended_session_leaves_to_its_group_is_told_of_if_nobody_has_room() {
    let world = world_with(|settings| settings.limits.queued_messages_max = 1);
    away(&world, "m1", "$share/g/a", QoS::AtLeastOnce);
    away(&world, "m2", "$share/g/a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send_all([publish("a").qos1(1).into(), publish("a").qos1(2).into()]);
    publisher.expect(puback(1));
    publisher.expect(puback(2));
    world.connect(connect("m1")).expect_nothing();
    assert_eq!(told(&world), ["queue_full m1 1 a"]);
}

#[test]
fn a_will_that_finds_no_room_is_told_of() {
    let world = one_full(|_| {});
    let mut last_will = will("a", 0);
    last_will.qos = QoS::AtLeastOnce;
    world.connect(Connect { will: Some(last_will), ..connect("w") }).lose();
    assert_eq!(told(&world), ["queue_full full 1 a"]);
    assert_eq!(world.broker.counters.publishes_refused.value(), 0);
}

#[test]
fn what_a_connection_never_collected_is_told_of_when_it_finds_no_room_in_the_queue() {
    let world = world_with(|settings| {
        settings.limits.queued_messages_max = 1;
        settings.limits.on_full = OnFull::DropOldest;
    });
    let mut subscriber = world.connect(connect("s"));
    subscriber.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for value in 1..=2 {
        publisher.send(publish("a").qos1(value).payload(&value.to_string()));
        publisher.expect(puback(value));
    }
    subscriber.lose();
    assert_eq!(told(&world), ["queue_full s 1 a"]);
    expect_payload(&mut world.connect(resume("s")), "2");
}

#[test]
fn control_packets_do_not_compete_with_deliveries() {
    let world = world_with(|settings| {
        settings.limits.queued_messages_max = 1;
        settings.limits.in_flight_max = 1;
    });
    let mut client = world.connect(connect("full"));
    client.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1));
    publisher.expect(puback(1));
    next_publish(&mut client);
    client.send_all([
        publish("elsewhere").qos1(1).into(),
        publish("elsewhere").qos2(2).into(),
        subscribe(3, "b", QoS::AtLeastOnce).into(),
        unsubscribe(4, "b"),
        Packet::PingReq,
    ]);
    client.expect(Packet::PingResp);
    client.expect(puback_code(1, ReasonCode::NoMatchingSubscribers));
    client.expect(pubrec_code(2, ReasonCode::NoMatchingSubscribers));
    client.expect(suback(3, ReasonCode::GrantedQoS1));
    client.expect(unsuback(4, ReasonCode::Success));
}

#[test]
fn a_message_that_waited_for_too_long_is_given_up_and_told_of() {
    let world = world_with(|settings| {
        settings.queue.age_s_max = 60;
        settings.queue.rules = vec![
            QueueRule { age_s_max: 600, ..rule("slow/#", ALL) },
            QueueRule { age_s_max: 0, ..rule("ever/#", ALL) },
        ];
    });
    away(&world, "s", "#", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for (value, name) in [(1, "a"), (2, "slow/a"), (3, "ever/a")] {
        publisher.send(publish(name).qos1(value));
        publisher.expect(puback(value));
    }
    publisher.send(publish("b").qos1(4).expiry(5));
    world.pass_s(60);
    let mut subscriber = world.connect(resume("s"));
    assert_eq!(next_publish(&mut subscriber).topic, Some(topic("slow/a")));
    assert_eq!(next_publish(&mut subscriber).topic, Some(topic("ever/a")));
    subscriber.expect_nothing();
    assert_eq!(world.broker.counters.dropped_aged.value(), 1);
    assert_eq!(world.broker.counters.dropped_expired.value(), 1);
    assert_eq!(told(&world), ["aged s 1 a", "expired s 1 b"]);
}

#[test]
fn what_was_sent_once_does_not_age() {
    let world = world_with(|settings| settings.queue.age_s_max = 60);
    let mut subscriber = world.connect(connect("s"));
    subscriber.subscribe("a", QoS::AtLeastOnce);
    world.connect(connect("p")).send(publish("a").qos1(1));
    next_publish(&mut subscriber);
    subscriber.lose();
    world.pass_s(90);
    let mut subscriber = world.connect(resume("s"));
    assert!(next_publish(&mut subscriber).dup);
    assert_eq!(told(&world), [] as [&str; 0]);
}

#[test]
fn a_rule_bounds_its_topics_in_each_session_and_leaves_others_alone() {
    let world = world_with(|settings| settings.queue.rules = vec![rule("t/#", 2)]);
    away(&world, "s", "#", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    let mut publish_to = |name: &str, code: ReasonCode| {
        publisher.send(publish(name).qos1(1));
        publisher.expect(puback_code(1, code));
    };
    publish_to("t/a", ReasonCode::Success);
    publish_to("t/b", ReasonCode::Success);
    publish_to("t/c", ReasonCode::QuotaExceeded);
    publish_to("u", ReasonCode::Success);
    away(&world, "other", "t/c", QoS::AtLeastOnce);
    publish_to("t/c", ReasonCode::Success);
    assert_eq!(told(&world), ["filter_full s 1 t/c", "refused s 1 t/c"]);
    assert_eq!(world.broker.counters.dropped_filter_full.value(), 1);
    let mut subscriber = world.connect(resume("s"));
    for _ in 0..3 {
        next_publish(&mut subscriber);
    }
    // Positions 0 to 2 bear the identifiers 1 to 3; the third is `u`, which frees nothing of the rule.
    subscriber.send(puback(3));
    publish_to("t/d", ReasonCode::QuotaExceeded);
    subscriber.send(puback(1));
    publish_to("t/d", ReasonCode::Success);
    publish_to("t/d", ReasonCode::QuotaExceeded);
}

#[test]
fn a_rule_may_bound_bytes_and_drop_in_silence_to_the_publisher() {
    let on_full = OnFull::DropNewest;
    let world =
        world_with(|settings| settings.queue.rules = vec![QueueRule { bytes_max: 300, on_full, ..rule("t", ALL) }]);
    away(&world, "s", "t", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for value in 1..=3 {
        publisher.send(publish("t").qos1(value).payload("0123456789"));
        publisher.expect(puback(value));
    }
    assert_eq!(told(&world), ["filter_full s 1 t"]);
}

#[test]
fn space_of_a_rule_is_free_again_however_a_delivery_ends() {
    let world = world_with(|settings| settings.queue.rules = vec![rule("t", 1)]);
    let mut publisher = world.connect(connect("p"));
    let mut expect_room = |why: &str| {
        publisher.send(publish("t").qos2(1).expiry(5).payload(why));
        publisher.expect(pubrec(1));
        publisher.send(pubrel(1));
        publisher.expect(pubcomp(1));
    };
    let mut subscriber = world.connect(connect("s"));
    subscriber.subscribe("t", QoS::ExactlyOnce);
    expect_room("at the beginning");
    next_publish(&mut subscriber);
    subscriber.send(pubrec(1));
    subscriber.expect(pubrel(1));
    subscriber.send(pubcomp(1));
    expect_room("after PUBCOMP");
    next_publish(&mut subscriber);
    subscriber.send(pubrec_code(2, ReasonCode::UnspecifiedError));
    expect_room("after a failing PUBREC");
    next_publish(&mut subscriber);
    subscriber.send(pubrec(3));
    subscriber.expect(pubrel(3));
    subscriber.lose();
    expect_room("after PUBREC");
    world.pass_s(5);
    let mut subscriber = world.connect(resume("s"));
    subscriber.expect(pubrel(3));
    expect_room("after expiry");
}

#[test]
fn a_rule_counts_what_a_restart_found() {
    let with_rule = |settings: &mut Settings| settings.queue.rules = vec![rule("else", 1), rule("t", 2)];
    let world = durable();
    let mut subscriber = world.connect(connect("s"));
    commit(&world);
    subscriber.take_connack();
    subscriber.send(subscribe(1, "t", QoS::AtLeastOnce));
    subscriber.lose();
    let mut publisher = world.connect(connect("p"));
    commit(&world);
    publisher.take_connack();
    publisher.send(publish("t").qos1(1));
    commit(&world);
    publisher.expect(puback(1));

    let world = world.restart(with_rule);
    let mut publisher = world.connect(connect("p2"));
    commit(&world);
    publisher.take_connack();
    for (value, code) in [(1, ReasonCode::Success), (2, ReasonCode::QuotaExceeded)] {
        publisher.send(publish("t").qos1(value));
        commit(&world);
        publisher.expect(puback_code(value, code));
    }
}

#[test]
fn a_message_for_more_sessions_than_a_record_holds_is_refused() {
    let settings = |settings: &mut Settings| {
        settings.queue = QueueSettings { durable_targets_max: 1, ..QueueSettings::default() };
    };
    let world = durable_with(settings);
    let mut clients: Vec<_> = ["a", "b", "p"].map(|client_id| world.connect(connect(client_id))).into();
    commit(&world);
    clients.iter_mut().for_each(Peer::take_connack);
    let mut publisher = clients.pop().expect("there are three");
    let mut codes = [ReasonCode::Success, ReasonCode::QuotaExceeded].into_iter();
    for client in &mut clients {
        client.send(subscribe(1, "t", QoS::AtLeastOnce));
        publisher.send(publish("t").qos1(1));
        commit(&world);
        publisher.expect(puback_code(1, codes.next().expect("one for each client")));
    }
    assert_eq!(world.broker.counters.publishes_refused_targets.value(), 1);
    assert_eq!(world.broker.counters.publishes_refused.value(), 0);
}

#[test]
fn a_message_that_is_too_large_for_the_store_is_refused_where_it_would_be_stored() {
    let world = durable_with(|settings| settings.queue.record_bytes_max = 400);
    let mut subscriber = world.connect(connect("s"));
    let mut publisher = world.connect(connect("p"));
    commit(&world);
    subscriber.take_connack();
    publisher.take_connack();
    let (small, large) = ("x".repeat(200), "x".repeat(300));
    publisher.send(publish("t").qos1(1).payload(&large));
    publisher.expect(puback_code(1, ReasonCode::NoMatchingSubscribers));
    publisher.send(publish("t").qos1(2).retain().payload(&large));
    publisher.expect(puback_code(2, ReasonCode::QuotaExceeded));
    subscriber.send(subscribe(1, "t", QoS::AtLeastOnce));
    for (value, payload, code) in [(3, &small, ReasonCode::Success), (4, &large, ReasonCode::QuotaExceeded)] {
        publisher.send(publish("t").qos1(value).payload(payload));
        commit(&world);
        publisher.expect(puback_code(value, code));
    }
    assert_eq!(world.broker.counters.publishes_refused_record.value(), 2);
}
