//! Statements that a transcript shows better than the wire.
use crate::packets::*;
use crate::peer::{Peer, World, world, world_with};
use bytes::Bytes;
use vowmq::codec;
use vowmq::packet::{Auth, Packet, SubscribeFilter, Unsubscribe, Version};
use vowmq::types::{QoS, ReasonCode, Text};

fn published(client: &mut Peer) -> Vec<String> {
    std::iter::repeat_with(|| client.expect_packet("PUBLISH"))
        .take(3)
        .map(|packet| match packet {
            Packet::Publish(publish) => String::from_utf8_lossy(&publish.payload).into_owned(),
            other => panic!("{} is no PUBLISH", other.name()),
        })
        .collect()
}

fn decoded(bytes: &'static [u8], version: Option<Version>) -> Result<Packet, ReasonCode> {
    let packet = codec::decode(Bytes::from_static(bytes), version, &codec::Limits::default());
    packet.map_err(|violation| violation.reason)
}

#[test]
fn a_will_of_qos_3_is_malformed() {
    // [MQTT-3.1.2-14] (3.1.1)
    let connect = b"\x10\x12\x00\x04MQTT\x04\x1e\x00\x3c\x00\x01c\x00\x01w\x00\x00";
    assert_eq!(decoded(connect, None), Err(ReasonCode::MalformedPacket));
}

#[test]
fn a_content_type_that_is_not_utf8_is_malformed() {
    // [MQTT-3.3.2-19]
    assert_eq!(decoded(b"\x30\x08\x00\x01a\x04\x03\x00\x01\xff", Some(Version::V5)), Err(ReasonCode::MalformedPacket));
    assert!(decoded(b"\x30\x08\x00\x01a\x04\x03\x00\x01x", Some(Version::V5)).is_ok());
}

#[test]
fn a_retained_message_comes_to_a_new_subscription_with_retain_set() {
    // [MQTT-3.3.1-8] (3.1.1)
    let world = world();
    world.connect(connect_311("p", true)).send(publish("a").retain().payload("x"));
    let mut client = world.connect(connect_311("s", true));
    client.subscribe("a", QoS::AtMostOnce);
    client.expect(publish("a").retain().payload("x"));
    client.expect_nothing();
}

#[test]
fn wildcard_filters_are_refused_where_they_are_switched_off() {
    // [MQTT-3.8.3-2] (3.1.1)
    let world = world_with(|settings| settings.features.wildcard_subscriptions = false);
    let mut client = world.connect(connect_311("c", true));
    client.send(subscribe(1, "a/#", QoS::AtMostOnce));
    client.expect(suback(1, ReasonCode::UnspecifiedError));
    client.send(subscribe(2, "a/b", QoS::AtMostOnce));
    client.expect(suback(2, ReasonCode::Success));
}

#[test]
fn a_message_joins_every_matching_session_whether_its_client_is_there_or_not() {
    // [MQTT-4.5.0-1] (3.1.1)
    let world = world();
    let mut here = world.connect(connect_311("here", true));
    here.subscribe("a/+", QoS::AtLeastOnce);
    let mut away = world.connect(connect_311("away", false));
    away.subscribe("a/b", QoS::AtLeastOnce);
    away.lose();
    let mut publisher = world.connect(connect_311("p", true));
    publisher.send(publish("a/b").qos1(5));
    publisher.expect(puback(5));
    here.expect(publish("a/b").qos1(1));
    world.connect(connect_311("away", false)).expect(publish("a/b").qos1(1));
}

#[test]
fn unfinished_deliveries_are_sent_again_in_their_first_order() {
    // [MQTT-4.6.0-1] (3.1.1)
    let world = world();
    let mut client = world.connect(connect_311("c", false));
    client.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect_311("p", true));
    for payload in ["1", "2", "3"] {
        publisher.send(publish("a").qos1(1).payload(payload));
    }
    assert_eq!(published(&mut client), ["1", "2", "3"]);
    client.lose();
    let mut client = world.connect(connect_311("c", false));
    client.expect(publish("a").qos1(1).dup().payload("1"));
    client.expect(publish("a").qos1(2).dup().payload("2"));
    client.expect(publish("a").qos1(3).dup().payload("3"));
}

#[test]
fn a_client_that_wants_no_problem_information_gets_codes_only() {
    // [MQTT-3.1.2-29]
    let world = world();
    let mut request = connect("c");
    request.properties.request_problem_information = Some(false);
    let mut client = world.connect(request);
    client.send(pubrel(3));
    client.expect(pubcomp_code(3, ReasonCode::PacketIdentifierNotFound));
    client.send(publish("$x").qos1(4));
    client.expect(puback_code(4, ReasonCode::NotAuthorized));
    client.send(unsubscribe(5, "a"));
    client.expect(unsuback(5, ReasonCode::NoSubscriptionExisted));
}

#[test]
fn a_client_identifier_beyond_the_limit_is_refused_before_anything_is_made() {
    // [MQTT-3.1.3-8]
    let world = world_with(|settings| settings.limits.client_id_bytes_max = 3);
    let violation = world.try_connect(connect("long")).expect_err("it is too long");
    assert_eq!(violation.reason, ReasonCode::ClientIdentifierNotValid);
    assert_eq!(world.broker.sessions(), 0);
}

#[test]
fn a_will_is_cancelled_when_its_client_is_back_before_the_delay_is_over() {
    // [MQTT-3.1.3-9]
    let world = world();
    let mut watcher = world.connect(connect("w"));
    watcher.subscribe("gone", QoS::AtMostOnce);
    let mut request = connect("c");
    request.will = Some(will("gone", 10));
    world.connect(request).lose();
    world.pass_s(9);
    let _client = world.connect(resume("c"));
    world.pass_s(50);
    watcher.expect_nothing();
}

#[test]
fn connack_keeps_to_a_small_maximum_packet_size() {
    // [MQTT-3.2.2-19] [MQTT-3.2.2-20]
    let world = world_with(|settings| settings.features.durability = Some("memory"));
    let roomy = world.connect(connect("roomy")).connack.expect("CONNACK has left");
    assert_eq!(roomy.properties.diagnostics.user.len(), 1);
    let mut request = connect("small");
    request.properties.maximum_packet_bytes = Some(40);
    let small = world.connect(request).connack.expect("CONNACK has left");
    assert!(small.properties.diagnostics.user.is_empty());
    assert_eq!(small.properties.diagnostics.reason_string, None);
}

#[test]
fn a_client_that_takes_no_packet_as_large_as_its_connack_is_refused_and_disturbs_nobody() {
    // [MQTT-3.1.2-24]
    let world = world();
    let connack = world.connect(connect("c")).connack.expect("CONNACK has left");
    let length = codec::packet_len(&Packet::ConnAck(Box::new(connack)), Version::V5).expect("it was sent");
    let length = u32::try_from(length).expect("it is small");
    let mut owner = world.connect(connect("owner"));
    let mut request = connect("owner");
    request.properties.maximum_packet_bytes = Some(length - 1);
    let violation = world.try_connect(request).expect_err("there is no room for CONNACK");
    assert_eq!(violation.reason, ReasonCode::PacketTooLarge);
    owner.expect_nothing();
    owner.expect_open();
    let mut request = connect("d");
    request.properties.maximum_packet_bytes = Some(length);
    world.connect(request).connack.expect("CONNACK has left");
}

#[test]
fn what_the_client_takes_no_answer_to_is_not_carried_out() {
    // [MQTT-3.1.2-24]
    let world = world();
    let most = 20;
    // Fixed header, packet identifier, property length, and a code for each filter.
    for (filters, is_answered) in [(most - 5, true), (most - 4, false)] {
        for is_subscribe in [true, false] {
            let mut request = connect("c");
            request.properties.maximum_packet_bytes = u32::try_from(most).ok();
            let mut client = world.connect(request);
            let names = (0..filters).map(|number| filter(&format!("t/{number}")));
            let asked = if is_subscribe {
                let mut asked = subscribe(1, "t", QoS::AtMostOnce).0;
                let options = asked.filters[0].options;
                asked.filters = names.map(|filter| SubscribeFilter { filter, options }).collect();
                Packet::Subscribe(asked)
            } else {
                Packet::Unsubscribe(Unsubscribe { id: id(1), user: Vec::new(), filters: names.collect() })
            };
            client.send(asked);
            if is_answered {
                let answer = client.expect_packet(if is_subscribe { "SUBACK" } else { "UNSUBACK" });
                assert_eq!(codec::packet_len(&answer, Version::V5), Ok(most));
            } else {
                client.expect_closed(ReasonCode::PacketTooLarge);
                assert_eq!(world.broker.subscriptions(), 0);
            }
            client.lose();
        }
    }
}

#[test]
fn disconnect_keeps_to_a_small_maximum_packet_size() {
    // [MQTT-3.14.2-3] [MQTT-3.14.2-4]
    let world = world();
    let farewell = |client_id: &str, max| {
        let mut request = connect(client_id);
        request.properties.maximum_packet_bytes = max;
        let mut client = world.connect(request);
        client.send(Packet::PingResp);
        client.expect_closed(ReasonCode::ProtocolError);
        client.farewell().expect("5.0 clients are told why")
    };
    let Packet::Disconnect(roomy) = farewell("roomy", None).0 else { panic!("it is a DISCONNECT") };
    assert!(roomy.properties.is_some_and(|properties| properties.diagnostics.reason_string.is_some()));
    let (small, length) = farewell("small", Some(20));
    assert_eq!(small, disconnect(ReasonCode::ProtocolError));
    assert!(length <= 20);
}

#[test]
fn one_copy_bears_the_identifiers_of_all_subscriptions_that_match() {
    // [MQTT-3.3.4-4]
    let world = world();
    let mut client = world.connect(connect("c"));
    client.send(subscribe(1, "a/#", QoS::AtMostOnce).id(11));
    client.expect(suback(1, ReasonCode::Success));
    client.send(subscribe(2, "a/b", QoS::AtLeastOnce).id(12));
    client.expect(suback(2, ReasonCode::GrantedQoS1));
    client.send(publish("a/b").qos1(3));
    let Packet::PubAck(_) = client.expect_packet("PUBACK") else { unreachable!("its name was looked at") };
    let Packet::Publish(mut copy) = client.expect_packet("PUBLISH") else { unreachable!("its name was looked at") };
    copy.subscription_ids.sort_unstable();
    assert_eq!(Packet::Publish(copy), publish("a/b").qos1(1).ids(&[11, 12]).into());
    client.expect_nothing();
}

#[test]
fn several_copies_bear_the_identifier_of_their_own_subscription() {
    // [MQTT-3.3.4-5]: a shared subscription's copy comes beside that of the session's other subscriptions.
    let world = world();
    let mut client = world.connect(connect("c"));
    client.send(subscribe(1, "a", QoS::AtMostOnce).id(11));
    client.expect(suback(1, ReasonCode::Success));
    client.send(subscribe(2, "$share/g/a", QoS::AtMostOnce).id(12));
    client.expect(suback(2, ReasonCode::Success));
    client.send(publish("a"));
    client.expect(publish("a").ids(&[11]));
    client.expect(publish("a").ids(&[12]));
    client.expect_nothing();
}

#[test]
fn a_refused_qos_2_identifier_may_be_used_for_a_new_message() {
    // [MQTT-4.3.3-9]
    let world = world();
    let mut client = world.connect(connect("c"));
    client.subscribe("a", QoS::AtMostOnce);
    client.send(publish("$x").qos2(7));
    client.expect(pubrec_code(7, ReasonCode::NotAuthorized));
    client.send(publish("a").qos2(7));
    client.expect(pubrec(7));
    client.expect(publish("a"));
    client.send(pubrel(7));
    client.expect(pubcomp(7));
}

#[test]
fn expiry_does_not_stop_a_qos_2_handshake() {
    // [MQTT-4.3.3-13]: neither where the broker receives, nor where it sends.
    let world = world();
    let mut client = world.connect(connect("c"));
    client.subscribe("a", QoS::ExactlyOnce);
    client.send(publish("a").qos2(7).expiry(5));
    client.expect(pubrec(7));
    client.expect(publish("a").qos2(1).expiry(5));
    world.pass_s(60);
    client.send(pubrel(7));
    client.expect(pubcomp(7));
    client.send(pubrec(1));
    client.expect(pubrel(1));
    client.send(pubcomp(1));
    client.expect_nothing();
    client.expect_open();
}

#[test]
fn a_qos_2_delivery_is_finished_with_the_shared_member_that_began_it() {
    // [MQTT-4.8.2-4]
    let world = world();
    let mut first = world.connect(connect("first"));
    first.subscribe("$share/g/a", QoS::ExactlyOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos2(1));
    first.expect(publish("a").qos2(1));
    let mut second = world.connect(connect("second"));
    second.subscribe("$share/g/a", QoS::ExactlyOnce);
    first.lose();
    second.expect_nothing();
    let mut first = world.connect(resume("first"));
    first.expect(publish("a").qos2(1).dup());
    first.send(pubrec(1));
    first.expect(pubrel(1));
    second.expect_nothing();
}

#[test]
fn the_first_send_quota_is_the_clients_receive_maximum() {
    // [MQTT-4.9.0-1]
    let world = world();
    let mut request = connect("c");
    request.properties.receive_maximum = Some(2);
    let mut client = world.connect(request);
    client.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    for payload in ["1", "2", "3"] {
        publisher.send(publish("a").qos1(1).payload(payload));
    }
    client.expect(publish("a").qos1(1).payload("1"));
    client.expect(publish("a").qos1(2).payload("2"));
    client.expect_nothing();
    client.send(puback(1));
    client.expect(publish("a").qos1(3).payload("3"));
}

fn auth(method: Option<Text>) -> Packet {
    Packet::Auth(Auth { code: ReasonCode::Reauthenticate, method, data: None, diagnostics: None })
}

#[test]
fn authentication_again_without_a_method_in_connect_ends_the_connection() {
    // [MQTT-4.12.1-1] [MQTT-4.12.1-2]
    // [MQTT-3.15.2-2] [MQTT-3.15.2-3]: no AUTH is ever sent, with or without diagnostics.
    let world: World = world();
    for (client_id, method) in [("a", None), ("b", Some(text("SCRAM-SHA-256")))] {
        let mut client = world.connect(connect(client_id));
        client.send(auth(method));
        client.expect_closed(ReasonCode::ProtocolError);
        client.expect_nothing();
    }
}

#[test]
fn an_unknown_authentication_method_is_refused_at_connect() {
    // [MQTT-4.12.0-1]
    let mut request = connect("c");
    request.properties.authentication_method = Some(text("X"));
    let violation = world().try_connect(request).expect_err("there is no such method");
    assert_eq!(violation.reason, ReasonCode::BadAuthenticationMethod);
}
