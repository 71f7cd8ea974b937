//! Acknowledged means on disk: what leaves only after its commit, and what waits for nothing.
use crate::durable::{Durable, commit, durable, durable_with};
use crate::packets::*;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use vowmq::packet::Packet;
use vowmq::store::{Record, Target};
use vowmq::types::{ClientId, Message, QoS, ReasonCode, SessionKey, Stamp, SubscriptionIds, Text, TopicName};

fn connected(world: &Durable, client_id: &str) -> crate::peer::Peer {
    let mut client = world.connect(connect(client_id));
    assert_eq!(client.connack, None, "CONNACK waits for the session's record");
    assert!(!commit(world).is_empty());
    client.take_connack();
    assert!(client.connack.is_some());
    client
}

#[test]
fn connack_and_suback_leave_after_their_commit() {
    let world = durable();
    let mut client = connected(&world, "c");
    client.send(subscribe(1, "a", QoS::AtLeastOnce));
    client.expect_nothing();
    let records = commit(&world);
    assert!(matches!(records.as_slice(), [Record::Subscribed { .. }]), "{records:?}");
    client.expect(suback(1, ReasonCode::GrantedQoS1));
}

/// Each would be a record of the log otherwise.
#[test]
fn what_is_acknowledged_together_is_written_as_one() {
    let world = durable();
    let mut client = connected(&world, "c");
    client.send(subscribe(1, "a", QoS::ExactlyOnce));
    commit(&world);
    client.expect(suback(1, ReasonCode::GrantedQoS2));
    let mut publisher = connected(&world, "p");
    publisher.send_all([7, 8, 9].map(|id| publish("a").qos2(id).into()));
    commit(&world);
    [7, 8, 9].into_iter().for_each(|id| publisher.expect(pubrec(id)));
    [1, 2, 3].into_iter().for_each(|id| client.expect(publish("a").qos2(id)));
    publisher.send_all([7, 8, 9].map(pubrel));
    assert!(matches!(commit(&world).as_slice(), [Record::InboundReleased { count: 3, .. }]));
    client.send_all([1, 2, 3].map(pubrec));
    assert!(matches!(commit(&world).as_slice(), [Record::Received { position: 0, count: 3, .. }]));
    // The second stays: what is around it are no neighbours.
    client.send_all([1, 3].map(pubcomp));
    let records = commit(&world);
    let done = [Record::done(SessionKey(1), 0), Record::done(SessionKey(1), 2)];
    assert_eq!(records, done);
}

#[test]
fn each_step_of_a_message_for_a_kept_session_leaves_after_its_commit() {
    let world = durable();
    let mut client = connected(&world, "c");
    client.send(subscribe(1, "a", QoS::ExactlyOnce));
    commit(&world);
    client.expect(suback(1, ReasonCode::GrantedQoS2));
    let mut publisher = connected(&world, "p");

    publisher.send(publish("a").qos2(7));
    publisher.expect_nothing();
    client.expect_nothing();
    commit(&world);
    publisher.expect(pubrec(7));
    client.expect(publish("a").qos2(1));

    publisher.send(pubrel(7));
    publisher.expect_nothing();
    commit(&world);
    publisher.expect(pubcomp(7));

    client.send(pubrec(1));
    client.expect_nothing();
    commit(&world);
    client.expect(pubrel(1));
    client.send(pubcomp(1));
    assert!(matches!(commit(&world).as_slice(), [Record::Done { .. }]));

    publisher.send(publish("a").qos1(8));
    publisher.expect_nothing();
    commit(&world);
    publisher.expect(puback(8));
}

#[test]
fn traffic_between_sessions_that_end_with_their_connections_waits_for_nothing() {
    let world = durable();
    let mut client = world.connect(connect_311("c", true));
    assert!(client.connack.is_some());
    client.subscribe("a", QoS::AtLeastOnce);
    client.send(publish("a").qos1(3));
    client.expect(puback(3));
    client.expect(publish("a").qos1(1));
    client.send(puback(1));
    assert!(commit(&world).is_empty());
}

#[test]
fn acknowledgements_keep_the_order_of_their_packets() {
    // [MQTT-4.6.0-2]: the second waits for nothing itself, but for the first.
    let world = durable();
    let mut kept = connected(&world, "c");
    kept.send(subscribe(1, "kept", QoS::AtLeastOnce));
    commit(&world);
    let mut publisher = connected(&world, "p");
    publisher.send(publish("kept").qos1(1));
    publisher.send(publish("nobody").qos1(2));
    publisher.expect_nothing();
    commit(&world);
    publisher.expect(puback(1));
    publisher.expect(puback_code(2, ReasonCode::NoMatchingSubscribers));
}

#[test]
fn a_message_for_an_absent_client_waits_for_its_commit_and_is_there_when_the_client_is_back() {
    let world = durable();
    let mut client = connected(&world, "c");
    client.send(subscribe(1, "a", QoS::AtLeastOnce));
    commit(&world);
    client.expect(suback(1, ReasonCode::GrantedQoS1));
    client.lose();
    assert!(matches!(commit(&world).as_slice(), [Record::SessionParked { .. }]));
    let mut publisher = connected(&world, "p");
    publisher.send(publish("a").qos1(1));
    publisher.expect_nothing();
    let mut client = world.connect(resume("c"));
    client.expect_nothing();
    commit(&world);
    publisher.expect(puback(1));
    client.take_connack();
    assert!(client.connack.as_ref().is_some_and(|connack| connack.session_present));
    client.expect(publish("a").qos1(1));
}

#[test]
fn a_shared_message_moves_on_to_another_member_in_one_commit() {
    let world = durable();
    let mut first = connected(&world, "first");
    first.send(subscribe(1, "$share/g/a", QoS::AtLeastOnce));
    let mut publisher = connected(&world, "p");
    publisher.send(publish("a").qos1(1));
    commit(&world);
    first.expect(suback(1, ReasonCode::GrantedQoS1));
    first.expect(publish("a").qos1(1));
    let mut second = connected(&world, "second");
    second.send(subscribe(1, "$share/g/a", QoS::AtLeastOnce));
    commit(&world);
    second.expect(suback(1, ReasonCode::GrantedQoS1));
    first.lose();
    second.expect_nothing();
    let records = commit(&world);
    let moved = records.iter().position(|record| matches!(record, Record::Published { .. }));
    let done = records.iter().position(|record| matches!(record, Record::Done { .. }));
    assert!(moved.is_some() && moved < done, "{records:?}");
    second.expect(publish("a").qos1(1));
}

#[test]
fn however_many_members_come_at_once_a_queue_is_read_for_them_once_more_at_most() {
    const MEMBERS: u16 = 50;
    let world = durable();
    let mut away = connected(&world, "away");
    away.send(subscribe(1, "$share/g/a", QoS::AtLeastOnce));
    commit(&world);
    away.lose();
    let mut publisher = connected(&world, "p");
    for id in 1..=100 {
        publisher.send(publish("a").qos1(id));
    }
    commit(&world);
    // Started again, it has all of it in the store alone.
    let world = world.restart(|_| {});
    let mut members: Vec<_> = (0..MEMBERS).map(|number| connected(&world, &format!("m{number}"))).collect();
    for member in &mut members {
        member.send(subscribe(1, "$share/g/a", QoS::AtLeastOnce));
    }
    commit(&world);
    let pages = world.pages_read.load(Ordering::Relaxed);
    assert!((1..=4).contains(&pages), "{pages} pages were read for {MEMBERS} members");
    let mut received = 0;
    for member in &mut members {
        member.expect(suback(1, ReasonCode::GrantedQoS1));
        received += receive_all(&world, member, 100).len();
    }
    assert_eq!(received, 100);
}

#[test]
fn a_delivery_that_is_never_acknowledged_costs_no_more_for_all_that_came_and_went_behind_it() {
    const FAR: u64 = 1 << 40;
    let world = durable();
    let session = SessionKey(1);
    let client_id = ClientId::new(&Text::from_static("c")).unwrap();
    let published = |position: u64, payload: &'static str| {
        let message = Message {
            topic: TopicName::try_from("a").unwrap(),
            payload: payload.into(),
            qos: QoS::AtLeastOnce,
            retain: false,
            forward: Bytes::new(),
            expires_at: None,
            received: Stamp::default(),
        };
        let (qos, subscription_ids) = (QoS::AtLeastOnce, SubscriptionIds::default());
        let target = Target { session, position, qos, retain: false, subscription_ids, share: None, give_up_at: None };
        Record::Published {
            message: Arc::new(message),
            inbound: None,
            is_retained: false,
            targets: [target].into_iter().collect(),
        }
    };
    world.write(&[
        Record::SessionBegun { session, client_id, is_v5: true },
        Record::SessionAttached { session, expiry_s: 100, will: None },
        published(0, "never acknowledged"),
        Record::SessionParked { session, expires_at: None, will_at: None, sent_below: 1 },
        // What was between them has expired.
        published(FAR, "the last"),
    ]);
    let world = world.restart(|_| {});
    let mut client = world.connect(resume("c"));
    commit(&world);
    client.take_connack();
    client.expect(publish("a").qos1(1).dup().payload("never acknowledged"));
    // Further ahead than there are identifiers [MQTT-2.2.1-4].
    client.expect_nothing();
    client.send(puback(1));
    commit(&world);
    let id = u16::try_from(FAR % 65_535 + 1).unwrap();
    client.expect(publish("a").qos1(id).payload("the last"));
    client.send(puback(id));
    commit(&world);
    client.expect_nothing();
}

/// Lets what is retained and durable go from memory, as the house does from time to time.
fn shelve(durable: &Durable) {
    for _ in 0..2 {
        durable.broker.shelve_retained();
    }
}

/// Handles everything that comes until nothing more does, as a client that acknowledges at once. Returns the topics.
fn receive_all(durable: &Durable, client: &mut crate::peer::Peer, at_most: usize) -> Vec<String> {
    let mut topics = Vec::new();
    while topics.len() < at_most {
        let Some(packet) = client.next() else {
            if commit(durable).is_empty() && !client.has_next() {
                return topics;
            }
            continue;
        };
        let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
        topics.push(publish.topic.expect("no alias is used").as_str().to_owned());
        client.send(puback(publish.qos.id().expect("QoS 1").value()));
    }
    topics
}

#[test]
fn retained_messages_on_their_way_to_a_subscription_survive_lost_connections() {
    let world = durable_with(|settings| {
        (settings.retained_messages_max, settings.retained_bytes_max) = (1000, 1 << 20);
        // About a hundred.
        settings.retained_memory_bytes_max = 20_000;
    });
    let mut publisher = connected(&world, "p");
    for number in 0..300 {
        publisher.send(publish(&format!("r/{number:03}")).qos1(1).retain().payload("some bytes to keep"));
        commit(&world);
        publisher.expect(puback(1));
    }
    shelve(&world);
    let mut client = connected(&world, "c");
    client.send(subscribe(1, "r/#", QoS::AtLeastOnce));
    commit(&world);
    client.expect(suback(1, ReasonCode::GrantedQoS1));
    let mut topics = receive_all(&world, &mut client, 40);
    client.lose();
    commit(&world);
    let mut client = world.connect(resume("c"));
    commit(&world);
    client.take_connack();
    topics.extend(receive_all(&world, &mut client, usize::MAX));
    topics.dedup();
    let expected: Vec<_> = (0..300).map(|number| format!("r/{number:03}")).collect();
    assert_eq!(topics, expected);
    // They were sent once and for all.
    client.lose();
    commit(&world);
    let mut client = world.connect(resume("c"));
    commit(&world);
    client.take_connack();
    assert_eq!(receive_all(&world, &mut client, usize::MAX), Vec::<String>::new());
}
