//! Every packet in every state a connection can be in (section 4.13: what is wrong ends the connection).
use crate::packets::*;
use crate::peer::world;
use bytes::BytesMut;
use vowmq::codec;
use vowmq::packet::{Auth, ConnAck, Packet, Version};
use vowmq::types::{QoS, ReasonCode, Text};

/// One packet of each type.
fn every_packet() -> Vec<Packet> {
    vec![
        Packet::Connect(Box::new(connect("other"))),
        Packet::ConnAck(Box::new(ConnAck::refusal(ReasonCode::Success))),
        publish("a").qos1(1).into(),
        puback(1),
        pubrec(1),
        pubrel(1),
        pubcomp(1),
        subscribe(1, "a", QoS::AtMostOnce).into(),
        suback(1, ReasonCode::Success),
        unsubscribe(1, "a"),
        unsuback(1, ReasonCode::Success),
        Packet::PingReq,
        Packet::PingResp,
        disconnect(ReasonCode::Success),
        Packet::Auth(Auth {
            code: ReasonCode::Reauthenticate,
            method: Some(Text::from_static("m")),
            data: None,
            diagnostics: None,
        }),
    ]
}

#[test]
fn before_connect_every_other_packet_is_a_protocol_error() {
    // [MQTT-3.1.0-1]
    for packet in every_packet() {
        let mut bytes = BytesMut::new();
        codec::encode(&packet, Version::V5, &mut bytes).expect("it can be written");
        let decoded = codec::decode(bytes.freeze(), None, &codec::Limits::default());
        match packet {
            Packet::Connect(_) => assert!(decoded.is_ok()),
            other => assert_eq!(
                decoded.map_err(|violation| violation.reason),
                Err(ReasonCode::ProtocolError),
                "{}",
                other.name()
            ),
        }
    }
}

#[test]
fn packets_that_no_connected_client_may_send_end_the_connection() {
    // [MQTT-3.1.0-2]
    let wrong = ["CONNECT", "CONNACK", "SUBACK", "UNSUBACK", "PINGRESP", "AUTH"];
    for packet in every_packet() {
        let (name, world) = (packet.name(), world());
        let mut client = world.connect(connect("c"));
        client.send(packet);
        if wrong.contains(&name) {
            client.expect_closed(ReasonCode::ProtocolError);
            client.expect_nothing();
        } else if name == "DISCONNECT" {
            assert!(client.closing().is_some());
        } else {
            client.expect_open();
        }
    }
}

#[test]
fn nothing_that_follows_a_disconnect_is_looked_at() {
    // [MQTT-3.14.4-1]
    for packet in every_packet() {
        let world = world();
        let mut client = world.connect(connect("c"));
        client.send(disconnect(ReasonCode::Success));
        client.send(packet);
        client.expect_nothing();
        assert_eq!(client.farewell(), None, "who said goodbye is told nothing");
        assert_eq!(world.broker.subscriptions(), 0);
    }
}

#[test]
fn acknowledgements_of_nothing_are_answered_or_ignored_and_change_no_quota() {
    let world = world();
    let mut request = connect("c");
    request.properties.receive_maximum = Some(1);
    let mut client = world.connect(request);
    client.subscribe("a", QoS::AtLeastOnce);
    let mut publisher = world.connect(connect("p"));
    publisher.send(publish("a").qos1(1).payload("1"));
    publisher.send(publish("a").qos1(2).payload("2"));
    client.expect(publish("a").qos1(1).payload("1"));
    client.send(puback(40));
    client.send(pubcomp(41));
    client.expect_nothing();
    client.send(pubrec(42));
    client.expect(pubrel_code(42, ReasonCode::PacketIdentifierNotFound));
    client.send(pubrel(43));
    client.expect(pubcomp_code(43, ReasonCode::PacketIdentifierNotFound));
    client.expect_nothing();
    client.expect_open();
    client.send(puback(1));
    client.expect(publish("a").qos1(2).payload("2"));
    client.send(puback(1));
    client.expect_nothing();
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_the_connection() {
    for (qos, wrong) in [
        (QoS::AtLeastOnce, pubrec(1)),
        (QoS::AtLeastOnce, pubcomp(1)),
        (QoS::ExactlyOnce, puback(1)),
        (QoS::ExactlyOnce, pubcomp(1)),
    ] {
        let world = world();
        let mut client = world.connect(connect("c"));
        client.subscribe("a", qos);
        world.connect(connect("p")).send(publish("a").qos2(1));
        client.expect_packet("PUBLISH");
        client.send(wrong);
        client.expect_closed(ReasonCode::ProtocolError);
    }
}
