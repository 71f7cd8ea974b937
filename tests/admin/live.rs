//! Settings that change while the broker runs.
use crate::common::broker::Broker;
use crate::peer::{Peer, ack, ask, eventually, read, start};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

const ADMIN: &str = "[admin]\naddress = \"127.0.0.1:0\"\n";

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn listener(address: SocketAddr, more: &str) -> String {
    format!("[[listener]]\naddress = \"{address}\"\nallow_anonymous = true\n{more}\n")
}

/// What the broker says of a reload with these settings: names with `true`, `false` or why not.
fn reload(broker: &Broker, settings: &str) -> Vec<(String, Result<bool, String>)> {
    broker.configure(&format!("{settings}\n{ADMIN}"));
    let (status, told) = ask(broker, "POST", "/api/v1/reload", "{}");
    assert_eq!(status, 200, "{told}");
    let one = |one: &Value| {
        let result = match one["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(one["changed"].as_bool().unwrap()),
        };
        (one["name"].as_str().unwrap().to_owned(), result)
    };
    told.as_array().unwrap().iter().map(one).collect()
}

fn find<'a>(told: &'a [(String, Result<bool, String>)], name: &str) -> &'a Result<bool, String> {
    let found = told.iter().find(|(told, _)| told.starts_with(name));
    &found.unwrap_or_else(|| panic!("{name} is not told of: {told:?}")).1
}

/// A pair of clients: one publishes numbers and waits for each PUBACK, the other takes them.
struct Pair {
    publisher: JoinHandle<u64>,
    subscriber: JoinHandle<Vec<u64>>,
}

struct Load {
    pairs: Vec<Pair>,
    is_over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Load {
    fn begin(broker: &Broker, pairs: usize) -> Self {
        let (is_over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let pair = |number| {
            let topic = format!("load/{number}");
            let mut to = Peer::connect(broker, &format!("to-{number}"));
            to.subscribe(&topic, QoS::AtLeastOnce);
            let mut from = Peer::connect(broker, &format!("from-{number}"));
            let (is_over, acknowledged) = (is_over.clone(), acknowledged.clone());
            let publisher = std::thread::spawn(move || {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    from.publish_qos1(&topic, &count.to_string());
                    count += 1;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                from.publish_qos1(&topic, "over");
                count
            });
            let subscriber = std::thread::spawn(move || {
                let mut taken = Vec::new();
                loop {
                    let publish = to.expect_publish();
                    let PublishQoS::AtLeastOnce(id) = publish.qos else { panic!("not as subscribed: {publish:?}") };
                    assert!(!publish.dup, "nothing is sent again on a connection that stays");
                    to.send(&Packet::PubAck(ack(id)));
                    match std::str::from_utf8(&publish.payload).unwrap() {
                        "over" => return taken,
                        number => taken.push(number.parse().unwrap()),
                    }
                }
            });
            Pair { publisher, subscriber }
        };
        Self { pairs: (0..pairs).map(pair).collect(), is_over, acknowledged }
    }

    /// Waits until there was traffic after this moment.
    fn flows(&self) {
        let before = self.acknowledged.load(Ordering::Relaxed);
        eventually("traffic", || (self.acknowledged.load(Ordering::Relaxed) >= before + 20).then_some(()));
    }

    /// Everything that was acknowledged came once, in order, on the connections of the beginning.
    fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for pair in self.pairs {
            let count = pair.publisher.join().unwrap();
            assert_eq!(pair.subscriber.join().unwrap(), (0..count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn reloads_under_load_disconnect_nobody_and_lose_nothing() {
    let broker = start("");
    let other = free_address();
    let load = Load::begin(&broker, 4);
    for round in 0..4 {
        let limits = format!("[limits]\nreceive_max = {}\nqueued_messages_max = {}\n", 100 + round, 5000 + round);
        let told = reload(&broker, &format!("{}{limits}", listener(other, "")));
        assert_eq!(find(&told, "limits.receive_max"), &Ok(true), "{told:?}");
        assert_eq!(find(&told, &format!("listener {other} opened")), &Ok(true));
        load.flows();
        let mut guest = Peer::connect_at(other, "guest");
        guest.subscribe("guest/#", QoS::AtLeastOnce);

        let told = reload(&broker, "[limits]\npacket_bytes_max = 65536\n");
        assert_eq!(find(&told, &format!("listener {other} closed")), &Ok(true));
        assert!(TcpStream::connect(other).is_err(), "it is closed when the answer comes");
        match guest.next() {
            Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.code, ReasonCode::AdministrativeAction),
            other => panic!("no DISCONNECT but {other:?}"),
        }
        assert_eq!(guest.next().map(|_| ()), None);
        let (_, connack) = Peer::ask_to_connect(&broker, "guest");
        assert!(connack.session_present, "the session outlives the listener");
        load.flows();
    }
    broker.signal("HUP");
    load.flows();
    load.end();
    assert_eq!(read(&broker, "/api/v1/sessions?contains=to-")["items"].as_array().map(Vec::len), Some(4));
}

#[test]
fn new_limits_are_told_to_those_who_come_and_those_who_are_there_keep_theirs() {
    let broker = start("[limits]\npacket_bytes_max = 100000\n");
    let mut old = Peer::connect(&broker, "old");
    old.subscribe("a", QoS::AtLeastOnce);
    let told = reload(&broker, "[limits]\npacket_bytes_max = 2000\nconnections_max = 2\n");
    assert_eq!(find(&told, "limits.packet_bytes_max: 2000 in place of 100000"), &Ok(true));
    let (new, connack) = Peer::ask_to_connect(&broker, "new");
    assert_eq!(connack.properties.maximum_packet_bytes, Some(2000));
    // It was told 100,000.
    old.publish("a", PublishQoS::AtLeastOnce(crate::peer::id(7)), &"x".repeat(5000), &[]);
    assert!(matches!(old.next(), Some(Packet::PubAck(_) | Packet::Publish(_))));
    let third = TcpStream::connect(broker.address).unwrap();
    assert_eq!(std::io::Read::read(&mut &third, &mut [0]).unwrap_or(0), 0, "two are there already");
    drop(new);
}

#[test]
fn what_cannot_be_taken_is_told_key_by_key_and_changes_nothing() {
    let broker = start("");
    for (settings, name, why) in [
        ("[authentication]\nthreads = 3", "authentication.threads", "restart"),
        ("[storage]\nlog_mib = 77", "storage.log_mib", "restart"),
        ("[queue]\non_full = \"drop_oldest\"", "queue.on_full", "restart"),
        ("[limits]\nreceive_max = 0", "configuration", "limits.receive_max"),
        ("[limits]\nreceive_maximum = 5", "configuration", "did you mean"),
        ("[log]\nlevel = \"vowmq=loud\"", "configuration", "log.level"),
        ("[limits", "configuration", "line"),
    ] {
        let told = reload(&broker, settings);
        match find(&told, name) {
            Err(told) => assert!(told.contains(why), "{settings}: {told}"),
            Ok(_) => panic!("{settings} was taken"),
        }
        assert!(!told.iter().any(|(_, result)| *result == Ok(true)), "{settings}: {told:?}");
    }
    let log = broker.log();
    assert!(log.contains("what was there before stays in force") && log.contains("storage.log_mib"), "{log}");
    let told = reload(&broker, "");
    assert_eq!(find(&told, "configuration"), &Ok(false), "all is as at the start");
}

#[test]
fn a_listener_that_cannot_be_opened_keeps_the_others_open() {
    let (first, taken) = (free_address(), TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let broker = start(&listener(first, ""));
    let mut guest = Peer::connect_at(first, "guest");
    let taken_at = taken.local_addr().unwrap();
    let told = reload(&broker, &listener(taken_at, ""));
    assert!(find(&told, &format!("listener {taken_at} not opened")).as_ref().unwrap_err().contains("use"));
    assert!(find(&told, &format!("listener {first} not closed")).is_err());
    guest.subscribe("a", QoS::AtLeastOnce);
    drop(taken);
    let told = reload(&broker, &listener(taken_at, ""));
    assert_eq!(find(&told, &format!("listener {taken_at} opened")), &Ok(true));
    assert_eq!(find(&told, &format!("listener {first} closed")), &Ok(true));
    assert!(matches!(guest.next(), Some(Packet::Disconnect(_))));
}

#[test]
fn a_listener_changes_its_rules_for_those_who_come() {
    let second = free_address();
    let broker = start(&listener(second, ""));
    let mut guest = Peer::connect_at(second, "guest");
    let told = reload(&broker, &listener(second, "connections_max = 1"));
    assert_eq!(find(&told, &format!("listener {second}")), &Ok(true));
    let refused = TcpStream::connect(second).unwrap();
    assert_eq!(std::io::Read::read(&mut &refused, &mut [0]).unwrap_or(0), 0, "one is there already");
    guest.subscribe("a", QoS::AtLeastOnce);
    let told = reload(&broker, &listener(second, "[listener.tls]\ncertificate = \"no.pem\"\nkey = \"no.key\""));
    let why = find(&told, &format!("listener {second}")).as_ref().unwrap_err();
    assert!(why.contains("no.pem"), "{why}");
    drop(guest);
    eventually("the old rules", || {
        let stream = TcpStream::connect(second).ok()?;
        stream.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        // A plain connection waits for CONNECT; one too many is closed at once.
        std::io::Read::read(&mut &stream, &mut [0]).is_err().then_some(())
    });
}

#[test]
fn a_conf_file_that_changes_is_noticed_without_a_signal() {
    let broker = start("");
    broker.configure(&format!("[limits]\nreceive_max = 99\n{ADMIN}"));
    eventually("the new limit", || broker.log().contains("limits.receive_max: 99 in place of 1024").then_some(()));
    let (_, connack) = Peer::ask_to_connect(&broker, "a");
    assert_eq!(connack.properties.receive_maximum, Some(99));
}

#[test]
fn the_log_level_of_the_file_is_taken() {
    let broker = start("");
    let told = reload(&broker, "[log]\nlevel = \"debug\"\n");
    assert_eq!(find(&told, "log.level: \"debug\" in place of \"info\""), &Ok(true));
    assert_eq!(read(&broker, "/api/v1/log-level")["level"], "debug");
}
