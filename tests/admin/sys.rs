//! `$SYS`, as monitors of Mosquitto read it.
use crate::common::broker::Broker;
use crate::peer::Peer;
use std::collections::BTreeMap;
use vowmq::types::QoS;

/// What exporters subscribe to, and how they read it.
const NUMBERS: [&str; 24] = [
    "clients/total",
    "clients/connected",
    "clients/active",
    "clients/disconnected",
    "clients/inactive",
    "clients/maximum",
    "clients/expired",
    "subscriptions/count",
    "shared_subscriptions/count",
    "retained messages/count",
    "messages/stored",
    "messages/received",
    "messages/sent",
    "store/messages/count",
    "store/messages/bytes",
    "publish/messages/received",
    "publish/messages/sent",
    "publish/messages/dropped",
    "publish/bytes/received",
    "publish/bytes/sent",
    "bytes/received",
    "bytes/sent",
    "heap/current",
    "heap/maximum",
];
const LOADS: [&str; 9] = [
    "messages/received",
    "messages/sent",
    "publish/received",
    "publish/sent",
    "publish/dropped",
    "bytes/received",
    "bytes/sent",
    "sockets",
    "connections",
];
const OURS: [&str; 6] =
    ["commit/latency_us/p99", "commit/wait_us/p50", "lag/oldest_us", "lag/submissions", "in_doubt", "queued/messages"];

#[test]
fn monitors_of_mosquitto_find_what_they_know() {
    let broker = Broker::start("[sys]\ninterval_s = 1\n[admin]\naddress = \"\"\n");
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("$SYS/#", QoS::AtMostOnce);
    let mut values = BTreeMap::new();
    // Everything is retained; a second publication has seen this client.
    while values.get("clients/connected") != Some(&"1".to_owned()) || !values.contains_key("vow/durability") {
        let publish = client.expect_publish();
        let topic = publish.topic.unwrap();
        let name = topic.as_str().strip_prefix("$SYS/broker/").unwrap().to_owned();
        values.insert(name, String::from_utf8(publish.payload.to_vec()).unwrap());
    }
    let value = |name: &str| values.get(name).unwrap_or_else(|| panic!("no {name}"));
    assert!(value("version").starts_with("vowmq version 0."), "{}", value("version"));
    let uptime = value("uptime").strip_suffix(" seconds").expect("Mosquitto's form");
    assert!(uptime.parse::<u64>().is_ok());
    for name in NUMBERS {
        assert!(value(name).parse::<u64>().is_ok(), "{name}: {}", value(name));
    }
    for name in LOADS {
        for span in ["1min", "5min", "15min"] {
            let load = value(&format!("load/{name}/{span}"));
            let decimals = load.split_once('.').map(|(_, decimals)| decimals.len());
            assert!(load.parse::<f64>().is_ok() && decimals == Some(2), "{name}: {load}");
        }
    }
    for name in OURS {
        assert!(value(&format!("vow/{name}")).parse::<u64>().is_ok(), "{name}");
    }
    assert_eq!((value("vow/durability").as_str(), value("clients/maximum").as_str()), ("fsync", "1"));
    assert!(value("heap/current").parse::<u64>().unwrap() > 1 << 20);
}
