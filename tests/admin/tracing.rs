//! Where a message goes, told step by step.
use crate::common::broker::Broker;
use crate::peer::{PATIENCE, Peer, ack, admin_address, id, own_token, start};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

/// The stream, and when patience ends: it is kept alive by comments.
struct Trace(BufReader<TcpStream>, Instant);

impl Trace {
    /// Follows from now on.
    fn begin(broker: &Broker, query: &str) -> Self {
        let (address, token) = (admin_address(broker), own_token(broker));
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head =
            format!("GET /api/v1/trace?{query} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut trace = Self(BufReader::new(stream), Instant::now() + 3 * PATIENCE);
        assert_eq!(trace.data_behind("event: begun"), "{}");
        trace
    }

    fn data_behind(&mut self, event: &str) -> String {
        loop {
            assert!(Instant::now() < self.1, "no {event} comes");
            if self.line() == event {
                let line = self.line();
                return line.strip_prefix("data: ").unwrap_or_else(|| panic!("no data but {line:?}")).to_owned();
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the trace ended");
        line.trim().to_owned()
    }

    /// The next step, told by its parts that do not change.
    fn step(&mut self) -> (String, Value) {
        let step: Value = serde_json::from_str(&self.data_behind("event: step")).unwrap();
        let part = |name: &str| step[name].as_str().unwrap_or_default();
        let told = format!("{} {} {} {}", part("event"), part("client_id"), part("packet"), part("reason"));
        (told.trim().replace("  ", " "), step)
    }
}

#[test]
fn one_message_is_followed_from_end_to_end() {
    let broker = start("");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a/#", QoS::ExactlyOnce);
    let mut giver = Peer::connect(&broker, "giver");
    let mut trace = Trace::begin(&broker, "property=trace%3Dme");
    giver.publish("a/other", PublishQoS::ExactlyOnce(id(8)), "no", &[("trace", "other")]);
    assert!(matches!(giver.next(), Some(Packet::PubRec(_))));
    let other = taker.expect_publish();
    giver.publish("a/b", PublishQoS::ExactlyOnce(id(9)), "hidden", &[("trace", "me")]);
    assert!(matches!(giver.next(), Some(Packet::PubRec(_))));
    let publish = taker.expect_publish();
    let out = publish.qos.id().unwrap();
    assert_ne!(other.qos.id(), Some(out));
    taker.send(&Packet::PubRec(ack(out)));
    assert!(matches!(taker.next(), Some(Packet::PubRel(_))));
    taker.send(&Packet::PubComp(ack(out)));
    giver.send(&Packet::PubRel(ack(id(9))));
    assert!(matches!(giver.next(), Some(Packet::PubComp(_))));

    let steps: Vec<_> = (0..10).map(|_| trace.step()).collect();
    let of = |client: &str| {
        let told = steps.iter().map(|(told, _)| told.as_str());
        told.filter(|told| told.contains(client)).collect::<Vec<_>>()
    };
    assert_eq!(
        of("giver"),
        ["received giver PUBLISH", "answered giver PUBREC", "acknowledged giver PUBREL", "answered giver PUBCOMP"]
    );
    assert_eq!(
        of("taker"),
        [
            "routed taker",
            "stored taker",
            "sent taker PUBLISH",
            "acknowledged taker PUBREC",
            "answered taker PUBREL",
            "acknowledged taker PUBCOMP"
        ]
    );
    let index = |told: &str| steps.iter().position(|(found, _)| found == told).unwrap();
    assert!(index("stored taker") < index("answered giver PUBREC"), "acknowledged means on disk");
    assert!(index("stored taker") < index("sent taker PUBLISH"));
    let stored = &steps[index("stored taker")].1;
    assert_eq!((&stored["topic"], &stored["position"]), (&"a/b".into(), &1.into()));
    let fingerprint = &stored["message"];
    assert!(steps.iter().all(|(_, step)| step["message"] == *fingerprint && step["topic"] == "a/b"), "{steps:?}");
    assert!(steps.iter().all(|(_, step)| !step.to_string().contains("hidden")), "no payload unless asked for");
    let times: Vec<_> = steps.iter().map(|(_, step)| step["at_us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
}

#[test]
fn a_client_is_followed_with_what_it_misses() {
    let broker = start("[limits]\nqueued_messages_max = 1\n[queue]\non_full = \"drop_newest\"\n");
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    let mut giver = Peer::connect(&broker, "giver");
    let mut trace = Trace::begin(&broker, "client_id=taker&payload=true");
    giver.publish_qos1("a", "first");
    let publish = taker.expect_publish();
    giver.publish_qos1("a", "second");
    taker.send(&Packet::PubAck(ack(publish.qos.id().unwrap())));
    for expected in ["routed taker", "stored taker", "sent taker PUBLISH", "dropped taker queue_full"] {
        let (told, step) = trace.step();
        assert_eq!(told, expected);
        assert_eq!(step["payload_text"], if told.starts_with("sent") { "first".into() } else { Value::Null });
    }
    assert_eq!(trace.step().0, "acknowledged taker PUBACK");
    drop(taker);
    assert_eq!(trace.step().0, "disconnected taker");
}

#[test]
fn a_refused_message_and_one_for_nobody_are_told() {
    let broker = start("");
    let mut giver = Peer::connect(&broker, "giver");
    let mut trace = Trace::begin(&broker, "topic=%24x/%23");
    let mut any = Trace::begin(&broker, "topic=b");
    giver.publish("$x/y", PublishQoS::AtLeastOnce(id(1)), "", &[]);
    giver.publish("b", PublishQoS::AtLeastOnce(id(2)), "", &[]);
    for (trace, reason) in [(&mut trace, "NotAuthorized"), (&mut any, "NoMatchingSubscribers")] {
        assert_eq!(trace.step().0, "received giver PUBLISH");
        assert_eq!(trace.step().0, format!("refused giver {reason}"));
        assert_eq!(trace.step().0, format!("answered giver PUBACK {reason}"));
    }
}
