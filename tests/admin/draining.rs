//! Leaving the house in order.
use crate::peer::{Peer, ack, ask, eventually, id, read, request, start};
use serde_json::json;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

#[test]
fn a_drain_lets_exchanges_end_sends_clients_elsewhere_and_lets_nobody_in() {
    let broker = start("");
    let mut idle = Peer::connect(&broker, "idle");
    let mut busy = Peer::connect(&broker, "busy");
    busy.publish("a", PublishQoS::ExactlyOnce(id(3)), "", &[]);
    assert!(matches!(busy.next(), Some(Packet::PubRec(_))));
    assert_eq!(request(&broker, "GET", "/readyz", &[], "").0, 200);
    let asked = json!({ "server_reference": "other:1883", "grace_ms": 600_000 }).to_string();
    let (status, state) = ask(&broker, "POST", "/api/v1/drain", &asked);
    assert_eq!((status, &state["draining"]), (200, &true.into()));
    match idle.next() {
        Some(Packet::Disconnect(disconnect)) => {
            assert_eq!(disconnect.code, ReasonCode::UseAnotherServer);
            let reference = disconnect.properties.and_then(|properties| properties.server_reference);
            assert_eq!(reference.as_ref().map(|text| text.as_str()), Some("other:1883"));
        }
        other => panic!("{other:?}"),
    }
    let (ready, _, told) = request(&broker, "GET", "/readyz", &[], "");
    assert_eq!(ready, 503);
    assert!(told.contains("draining"), "{told}");
    let (_, refusal) = Peer::ask_to_connect(&broker, "late");
    assert_eq!(refusal.code, ReasonCode::UseAnotherServer);
    assert_eq!(refusal.properties.server_reference.as_ref().map(|text| text.as_str()), Some("other:1883"));

    eventually("the idle one to leave", || (read(&broker, "/api/v1/drain")["connected"] == 1).then_some(()));
    busy.send(&Packet::PubRel(ack(id(3))));
    assert!(matches!(busy.next(), Some(Packet::PubComp(_))), "what was under way has come to its end");
    assert!(matches!(busy.next(), Some(Packet::Disconnect(_))));
    eventually("all to leave", || (read(&broker, "/api/v1/drain")["connected"] == 0).then_some(()));
    assert_eq!(ask(&broker, "DELETE", "/api/v1/drain", "").1["draining"], false);
    Peer::connect(&broker, "late");
}

#[test]
fn a_drain_for_good_does_not_wait_for_ever_and_begins_no_delivery() {
    let broker = start("");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::ExactlyOnce);
    let mut giver = Peer::connect(&broker, "giver");
    giver.publish_qos1("a", "never acknowledged");
    taker.expect_publish();
    drop(giver);
    let (status, _) = ask(&broker, "POST", "/api/v1/drain", &json!({ "for_good": true, "grace_ms": 300 }).to_string());
    assert_eq!(status, 200);
    ask(&broker, "POST", "/api/v1/publish", &json!({ "topic": "a", "qos": 1, "payload_text": "waits" }).to_string());
    match taker.next() {
        Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.code, ReasonCode::ServerMoved),
        other => panic!("{other:?}"),
    }
    assert_eq!(read(&broker, "/api/v1/sessions/taker")["queued_messages"], 2, "both are still there");
}
