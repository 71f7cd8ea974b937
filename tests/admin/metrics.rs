//! The metrics: well-formed, complete, and right.
use crate::peer::{Peer, ack, eventually, request, start};
use std::collections::{BTreeMap, BTreeSet};
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

/// Samples by name and labels. Panics at what OpenMetrics 1.0 does not allow.
fn parse(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with("# EOF\n"), "the page ends with # EOF");
    let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in page.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "EOF"] => return samples,
            ["#", "HELP", name, help] => {
                assert!(families.insert((*name).to_owned()), "{name} is there twice");
                assert!(
                    !help.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                    "{line}"
                );
                (*name).clone_into(&mut family);
            }
            ["#", "TYPE", name, told] => {
                assert_eq!(*name, family, "the type stands with its help");
                (*told).clone_into(&mut kind);
            }
            _ => {
                let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line:?}"));
                let bare = name.split('{').next().unwrap();
                let suffix = bare.strip_prefix(&family).unwrap_or_else(|| panic!("{line} is not of {family}"));
                let allowed: &[&str] = match kind.as_str() {
                    "counter" => &["_total"],
                    "histogram" => &["_bucket", "_count", "_sum"],
                    "gauge" => &[""],
                    other => panic!("{family} is {other}"),
                };
                assert!(allowed.contains(&suffix), "{line}: {kind}");
                let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
                assert!(kind == "gauge" || value >= 0.0, "{line}");
                assert!(samples.insert(name.to_owned(), value).is_none(), "{line} is there twice");
            }
        }
    }
    panic!("no end");
}

fn scrape(broker: &crate::common::broker::Broker) -> BTreeMap<String, f64> {
    let (status, head, page) = request(broker, "GET", "/metrics", &[], "");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    parse(&page)
}

#[test]
fn metrics_are_well_formed_and_count_what_happens() {
    let broker = start("");
    let before = scrape(&broker);
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    let mut giver = Peer::connect(&broker, "giver");
    for _ in 0..3 {
        giver.publish_qos1("a", "12345");
    }
    giver.publish("a", PublishQoS::AtMostOnce, "1", &[]);
    for _ in 0..4 {
        let publish = taker.expect_publish();
        if let Some(id) = publish.qos.id() {
            taker.send(&Packet::PubAck(ack(id)));
        }
    }
    let after = eventually("the acknowledgements", || {
        let samples = scrape(&broker);
        (samples["vowmq_queued_messages"] == 0.0).then_some(samples)
    });
    let grown = |name: &str| after[name] - before.get(name).unwrap_or_else(|| panic!("no {name}"));
    for (name, expected) in [
        ("vowmq_publishes_received_total{version=\"5\",qos=\"1\"}", 3.0),
        ("vowmq_publishes_received_total{version=\"5\",qos=\"0\"}", 1.0),
        ("vowmq_deliveries_sent_total{version=\"5\",qos=\"1\"}", 3.0),
        ("vowmq_payload_received_bytes_total", 16.0),
        ("vowmq_payload_sent_bytes_total", 16.0),
        ("vowmq_connections{version=\"5\"}", 2.0),
        ("vowmq_sessions{state=\"connected\"}", 2.0),
        ("vowmq_subscriptions", 1.0),
        ("vowmq_connections_opened_total", 2.0),
        // Each came in a read of its own.
        ("vowmq_delivery_seconds_count", 4.0),
    ] {
        assert_eq!(grown(name), expected, "{name}");
    }
    let listener = format!("vowmq_listener_connections{{listener=\"{}\"}}", broker.address);
    assert_eq!(after[&listener], 2.0);
    for name in [
        "vowmq_received_bytes_total",
        "vowmq_commit_seconds_count",
        "vowmq_commit_wait_seconds_sum",
        "vowmq_delivery_seconds_sum",
        "vowmq_groups_total",
    ] {
        assert!(grown(name) > 0.0, "{name}");
    }
    let last = "vowmq_commit_seconds_bucket{le=\"+Inf\"}";
    assert_eq!(after[last], after["vowmq_commit_seconds_count"], "buckets are cumulative");
    for name in [
        "process_resident_memory_bytes",
        "vowmq_disk_free_bytes",
        "vowmq_log_segments",
        "vowmq_log_bytes",
        "vowmq_ready",
    ] {
        assert!(after[name] > 0.0, "{name}");
    }
    for reason in ["queue_full", "mailbox_full", "aged", "expired", "too_large"] {
        assert!(after.contains_key(&format!("vowmq_deliveries_dropped_total{{reason=\"{reason}\"}}")), "{reason}");
    }
    let names = |samples: &BTreeMap<String, f64>| {
        samples.keys().filter(|name| !name.contains("listener=")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(names(&before), names(&after), "no client adds a series");
}

#[test]
fn exchanges_under_way_are_told_by_the_packet_that_is_due() {
    let broker = start("");
    let awaiting = |packet: &str| scrape(&broker)[&format!("vowmq_handshakes{{awaiting=\"{packet}\"}}")];
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::ExactlyOnce);
    let mut giver = Peer::connect(&broker, "giver");
    giver.publish_qos1("a", "1");
    giver.publish("a", PublishQoS::ExactlyOnce(crate::peer::id(9)), "2", &[]);
    let [first, second] = [taker.expect_publish(), taker.expect_publish()];
    eventually("all to be under way", || {
        (["puback", "pubrec", "pubcomp", "pubrel"].map(awaiting) == [1.0, 1.0, 0.0, 1.0]).then_some(())
    });
    taker.send(&Packet::PubRec(ack(second.qos.id().unwrap())));
    assert!(matches!(taker.next(), Some(Packet::PubRel(_))));
    eventually("PUBREC to count", || {
        (["puback", "pubrec", "pubcomp", "pubrel"].map(awaiting) == [1.0, 0.0, 1.0, 1.0]).then_some(())
    });
    taker.send(&Packet::PubComp(ack(second.qos.id().unwrap())));
    taker.send(&Packet::PubAck(ack(first.qos.id().unwrap())));
    giver.send(&Packet::PubRel(ack(crate::peer::id(9))));
    eventually("all to be over", || {
        (["puback", "pubrec", "pubcomp", "pubrel"].map(awaiting) == [0.0; 4]).then_some(())
    });
    assert!(scrape(&broker).contains_key("vowmq_logins_refused_total{reason=\"wrong_password\"}"));
}
