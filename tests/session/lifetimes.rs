//! Wills, takeovers, keep-alive and the end of sessions, in virtual time.
use crate::packets::*;
use crate::peer::{Peer, World, world};
use vowmq::packet::{Connect, Packet};
use vowmq::types::{QoS, ReasonCode};

fn watched() -> (World, Peer) {
    let world = world();
    let mut watcher = world.connect(connect("w"));
    watcher.subscribe("gone", QoS::AtMostOnce);
    (world, watcher)
}

fn with_will(delay_s: u32) -> Connect {
    Connect { will: Some(will("gone", delay_s)), ..connect("c") }
}

fn last_will() -> Packet {
    publish("gone").payload("gone").into()
}

#[test]
fn a_will_comes_after_its_delay() {
    // [MQTT-3.1.2-8]
    let (world, mut watcher) = watched();
    world.connect(with_will(10)).lose();
    world.pass_s(9);
    watcher.expect_nothing();
    world.pass_s(1);
    watcher.expect(last_will());
    world.pass_s(500);
    watcher.expect_nothing();
}

#[test]
fn a_will_comes_at_the_end_of_the_session_if_that_is_sooner() {
    let (world, mut watcher) = watched();
    world.connect(with_will(1000)).lose();
    world.pass_s(99);
    watcher.expect_nothing();
    world.pass_s(1);
    watcher.expect(last_will());
    assert_eq!(world.broker.sessions(), 1, "only the watcher's session is left");
}

#[test]
fn a_client_that_says_goodbye_takes_its_will_along_unless_it_asks_for_it() {
    // [MQTT-3.14.4-3]
    let (world, mut watcher) = watched();
    for (code, comes) in [(ReasonCode::Success, false), (ReasonCode::DisconnectWithWill, true)] {
        let mut client = world.connect(with_will(0));
        client.send(disconnect(code));
        client.lose();
        if comes {
            watcher.expect(last_will());
        }
        watcher.expect_nothing();
    }
}

#[test]
fn a_takeover_resumes_the_session_or_begins_afresh() {
    let (world, mut watcher) = watched();
    let mut client = world.connect(with_will(10));
    client.subscribe("a", QoS::AtLeastOnce);
    let client = world.take_over(client, Connect { clean_start: false, ..with_will(10) });
    assert!(client.connack.as_ref().is_some_and(|connack| connack.session_present));
    watcher.expect_nothing();
    assert_eq!(world.broker.subscriptions(), 2);
    let client = world.take_over(client, with_will(10));
    assert!(client.connack.as_ref().is_some_and(|connack| !connack.session_present));
    watcher.expect(last_will());
    assert_eq!(world.broker.subscriptions(), 1, "the old session took its subscription along");
}

#[test]
fn silence_for_one_and_a_half_keep_alives_ends_the_connection() {
    // [MQTT-3.1.2-22]
    let world = world();
    let mut client = world.connect(Connect { keep_alive_s: 10, ..connect("c") });
    world.pass_s(14);
    client.wake();
    client.expect_open();
    client.send(Packet::PingReq);
    client.expect(Packet::PingResp);
    world.pass_s(15);
    client.wake();
    client.expect_closed(ReasonCode::KeepAliveTimeout);
}

#[test]
fn a_session_is_kept_until_it_expires() {
    for (away_s, is_kept) in [(99, true), (100, false)] {
        let world = world();
        world.connect(connect("c")).lose();
        world.pass_s(away_s);
        let client = world.connect(resume("c"));
        assert_eq!(client.connack.as_ref().map(|connack| connack.session_present), Some(is_kept));
    }
}

#[test]
fn a_disconnect_may_not_bring_a_session_to_life() {
    let world = world();
    let mut request = connect("c");
    request.properties.session_expiry_s = None;
    let mut client = world.connect(request);
    let mut goodbye = vowmq::packet::Disconnect::new(ReasonCode::Success);
    goodbye.properties.get_or_insert_default().session_expiry_s = Some(5);
    client.send(Packet::Disconnect(goodbye));
    client.expect_closed(ReasonCode::ProtocolError);
}
