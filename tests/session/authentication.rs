//! Enhanced authentication in a session: which AUTH may come when, and what its verdict does (5.0 section 4.12).
use crate::packets::*;
use crate::peer::{Peer, World, world};
use bytes::Bytes;
use vowmq::packet::{Auth, Connect, Packet};
use vowmq::session::{Authenticated, Close, Verdict};
use vowmq::types::{Attributes, Identity, QoS, ReasonCode};

fn auth(code: ReasonCode, method: &str, data: &str) -> Packet {
    let data = (!data.is_empty()).then(|| Bytes::copy_from_slice(data.as_bytes()));
    Packet::Auth(Auth { code, method: Some(text(method)), data, diagnostics: None })
}

fn again(data: &str) -> Packet {
    auth(ReasonCode::Reauthenticate, "M", data)
}

fn go_on(data: &str) -> Packet {
    auth(ReasonCode::ContinueAuthentication, "M", data)
}

fn opened(world: &World, connect: Connect) -> Peer {
    let by = Authenticated { method: text("M"), data: Bytes::from_static(b"last") };
    world.connect_authenticated(connect, by, Identity::default())
}

fn client(world: &World) -> Peer {
    opened(world, connect("c"))
}

#[test]
fn connack_repeats_the_method_of_connect() {
    // [MQTT-4.12.0-5] [MQTT-4.12.0-6]
    let world = world();
    let connack = client(&world).connack.expect("it is in");
    assert_eq!(connack.properties.authentication_method, Some(text("M")));
    assert_eq!(connack.properties.authentication_data, Some(Bytes::from_static(b"last")));
    let connack = world.connect(connect("d")).connack.expect("it is in");
    assert_eq!((connack.properties.authentication_method, connack.properties.authentication_data), (None, None));
}

#[test]
fn a_client_proves_again_who_it_is_while_its_messages_flow() {
    // [MQTT-4.12.0-2] [MQTT-4.12.0-3]
    let world = world();
    let mut client = client(&world);
    client.subscribe("a", QoS::AtLeastOnce);
    client.send(again("first"));
    let step = client.step().expect("a step is to be checked");
    assert_eq!((step.method, step.is_first, step.data), (text("M"), true, Bytes::from_static(b"first")));
    client.judge(Verdict::Challenge(Bytes::from_static(b"challenge")));
    client.expect(go_on("challenge"));
    client.send(publish("a").qos1(7));
    assert_eq!(client.next().map(|packet| packet.name()), Some("PUBACK"));
    client.expect(publish("a").qos1(1));
    client.send(go_on("answer"));
    let step = client.step().expect("a step is to be checked");
    assert_eq!((step.is_first, step.data), (false, Bytes::from_static(b"answer")));
    client.judge(Verdict::Proved(Bytes::from_static(b"signature")));
    client.expect(auth(ReasonCode::Success, "M", "signature"));
    client.expect_open();
    // And once more.
    client.send(again("first"));
    assert!(client.step().is_some());
}

#[test]
fn a_failed_re_authentication_ends_the_connection() {
    // [MQTT-4.12.1-2]
    let world = world();
    for is_challenged in [false, true] {
        let mut client = client(&world);
        client.send(again("first"));
        if is_challenged {
            client.judge(Verdict::Challenge(Bytes::new()));
            client.expect(go_on(""));
            client.send(go_on("wrong"));
        }
        assert!(client.step().is_some());
        client.judge(Verdict::Refused);
        client.expect_closed(ReasonCode::NotAuthorized);
        client.expect_nothing();
        client.lose();
    }
}

#[test]
fn an_auth_that_does_not_fit_ends_the_connection() {
    // [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.1-1]
    let world = world();
    let other = |code| auth(code, "N", "x");
    let rows = [
        vec![go_on("x")],
        vec![auth(ReasonCode::Success, "M", "x")],
        vec![other(ReasonCode::Reauthenticate)],
        vec![again("x"), again("x")],
        vec![again("x"), go_on("x")],
    ];
    for packets in rows {
        let mut client = client(&world);
        client.send_all(packets);
        client.expect_closed(ReasonCode::ProtocolError);
        client.lose();
    }
    for packet in [again("x"), other(ReasonCode::ContinueAuthentication), auth(ReasonCode::Success, "M", "")] {
        let mut client = client(&world);
        client.send(again("x"));
        client.judge(Verdict::Challenge(Bytes::new()));
        client.expect(go_on(""));
        client.send(packet);
        client.expect_closed(ReasonCode::ProtocolError);
        client.lose();
    }
}

#[test]
fn a_challenge_that_the_client_cannot_take_ends_the_connection() {
    // [MQTT-3.1.2-24]
    let world = world();
    let mut request = connect("c");
    request.properties.maximum_packet_bytes = Some(100);
    let mut client = opened(&world, request);
    client.send(again("x"));
    client.judge(Verdict::Challenge(Bytes::from(vec![b'x'; 100])));
    client.expect_closed(ReasonCode::PacketTooLarge);
    client.expect_nothing();
}

#[test]
fn a_connection_ends_when_what_proved_its_client_does() {
    let world = world();
    let expires_at_ms = Some(1_000_000 + 60_000);
    let by = Authenticated { method: text("M"), data: Bytes::new() };
    let identity = Identity::default().with(Attributes { expires_at_ms, ..Attributes::default() });
    let mut client = world.connect_authenticated(connect("c"), by, identity);
    world.pass_s(59);
    client.wake();
    client.expect_open();
    world.pass_s(1);
    client.wake();
    client.expect_closed(ReasonCode::MaximumConnectTime);
    assert_eq!(client.closing(), Some(Close::ProofExpired));
    assert!(client.farewell().is_some_and(|(packet, _)| packet.name() == "DISCONNECT"));
}
