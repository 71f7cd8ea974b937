//! What a session has in hand: each stage of each exchange.
use crate::peer::{Peer, ack, ask, eventually, id, read, start};
use serde_json::Value;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

fn deliveries(session: &Value) -> Vec<(u64, String)> {
    let deliveries = session["deliveries"].as_array().unwrap().iter();
    deliveries
        .map(|delivery| (delivery["position"].as_u64().unwrap(), delivery["state"].as_str().unwrap().to_owned()))
        .collect()
}

/// Waits until the only delivery is in this state.
fn wait_for(broker: &crate::common::broker::Broker, state: &str) -> Value {
    eventually(state, || {
        let session = read(broker, "/api/v1/sessions/taker");
        (deliveries(&session) == [(0, state.to_owned())]).then_some(session)
    })
}

#[test]
fn a_stuck_qos_2_message_is_shown_with_what_it_waits_for() {
    let broker = start("");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a/#", QoS::ExactlyOnce);
    let mut giver = Peer::connect(&broker, "giver");
    giver.publish("a/b", PublishQoS::ExactlyOnce(id(9)), "secret", &[("trace", "one")]);
    assert!(matches!(giver.next(), Some(Packet::PubRec(_))));
    let from_giver = read(&broker, "/api/v1/sessions/giver");
    assert_eq!(from_giver["awaiting_pubrel"], serde_json::json!([9]), "the publisher's side");

    let publish = taker.expect_publish();
    let session = wait_for(&broker, "awaiting_pubrec");
    let delivery = &session["deliveries"][0];
    assert_eq!(delivery["packet_id"], publish.qos.id().unwrap().value());
    assert_eq!(delivery["message"]["topic"], "a/b");
    assert_eq!(delivery["message"]["properties"], serde_json::json!([["trace", "one"]]));
    assert_eq!((&delivery["resent"], &delivery["message"]["payload_bytes"]), (&0.into(), &6.into()));
    assert!(delivery["since_ms"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(!session.to_string().contains("secret"), "payloads are shown only if asked for: {session}");
    let with_payload = read(&broker, "/api/v1/sessions/taker?payload=true");
    assert_eq!(with_payload["deliveries"][0]["message"]["payload_text"], "secret");

    taker.send(&Packet::PubRec(ack(publish.qos.id().unwrap())));
    assert!(matches!(taker.next(), Some(Packet::PubRel(_))));
    let session = wait_for(&broker, "awaiting_pubcomp");
    assert_eq!(session["deliveries"][0].get("message"), None, "the client has it");
    assert_eq!((&session["in_flight"], &session["connected"]), (&1.into(), &true.into()));

    // Away, the same is read from the disk; back, PUBREL is sent again.
    drop(taker);
    eventually("the client's leave", || (read(&broker, "/api/v1/sessions/taker")["connected"] == false).then_some(()));
    let session = wait_for(&broker, "awaiting_pubcomp");
    assert!(session["deliveries"][0]["since_ms"].is_u64() && session["disconnected_at_ms"].is_u64(), "{session}");
    let mut taker = Peer::connect(&broker, "taker");
    assert!(matches!(taker.next(), Some(Packet::PubRel(_))));
    let session = wait_for(&broker, "awaiting_pubcomp");
    assert_eq!(session["deliveries"][0]["resent"], 1, "{session}");
    taker.send(&Packet::PubComp(ack(publish.qos.id().unwrap())));
    eventually("the end of it", || deliveries(&read(&broker, "/api/v1/sessions/taker")).is_empty().then_some(()));
}

#[test]
fn a_queue_is_shown_in_pages_wherever_it_is() {
    let broker = start("[limits]\nin_flight_max = 2\n");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    let mut giver = Peer::connect(&broker, "giver");
    for number in 0..5 {
        giver.publish_qos1("a", &number.to_string());
    }
    let first = taker.expect_publish();
    taker.expect_publish();
    let expected = |states: [&str; 5]| {
        let states = states.into_iter().zip(0_u64..);
        states.map(|(state, position)| (position, state.to_owned())).collect::<Vec<_>>()
    };
    let (sent, queued) = ("awaiting_puback", "queued");
    let live = expected([sent, sent, queued, queued, queued]);
    eventually("the queue", || (deliveries(&read(&broker, "/api/v1/sessions/taker")) == live).then_some(()));
    drop(taker);
    eventually("the client's leave", || (read(&broker, "/api/v1/sessions/taker")["connected"] == false).then_some(()));
    let session = read(&broker, "/api/v1/sessions/taker?payload=true");
    assert_eq!(deliveries(&session), live, "what was sent and not acknowledged is told from what never was");
    assert_eq!(session["deliveries"][4]["message"]["payload_text"], "4");
    assert_eq!(session["deliveries"][0]["packet_id"], first.qos.id().unwrap().value());
    let (mut paged, mut from) = (Vec::new(), Some(0));
    while let Some(position) = from {
        let page = read(&broker, &format!("/api/v1/sessions/taker?limit=2&from={position}"));
        let found = deliveries(&page);
        assert!(found.len() <= 2 && !found.is_empty(), "{page}");
        paged.extend(found);
        from = page["next"].as_u64();
    }
    assert_eq!(paged, live);
    let (status, page) = ask(&broker, "GET", "/api/v1/sessions?state=away&sort=backlog&queued_min=5", "");
    assert_eq!((status, &page["items"][0]["client_id"]), (200, &"taker".into()));
}
