//! Limits on what one client, user or address may ask for, and on memory.
use crate::common::broker::Broker;
use crate::peer::{Peer, ack, ask, eventually, id, read, request, start};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::{QoS, ReasonCode};

/// The value of a counter or gauge without labels.
fn metric(broker: &Broker, name: &str) -> f64 {
    let (_, _, page) = request(broker, "GET", "/metrics", &[], "");
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
}

#[test]
fn an_operator_keeps_an_address_out_and_lets_it_in_again() {
    let broker = start("[abuse]\nexempt = []\n");
    let stays = Peer::connect(&broker, "stays");
    let (status, bans) =
        ask(&broker, "POST", "/api/v1/bans", &json!({ "address": "127.0.0.1", "seconds": 600 }).to_string());
    assert_eq!((status, &bans[0]["address"], &bans[0]["manual"]), (200, &"127.0.0.1".into(), &true.into()));
    let mut late = TcpStream::connect(broker.address).unwrap();
    assert!(matches!(late.read(&mut [0; 1]), Ok(0) | Err(_)), "closed without a word");
    assert_eq!(ask(&broker, "DELETE", "/api/v1/bans?address=127.0.0.1", "").0, 200);
    assert_eq!(ask(&broker, "DELETE", "/api/v1/bans?address=127.0.0.1", "").0, 404);
    assert_eq!(ask(&broker, "POST", "/api/v1/bans", &json!({ "address": "x", "seconds": 1 }).to_string()).0, 400);
    Peer::connect(&broker, "late");
    drop(stays);
}

#[test]
fn a_client_that_comes_and_goes_all_the_time_is_refused_and_others_are_not() {
    let broker = start("[abuse]\nexempt = []\nclient_connects_max = 5\nclient_refused_s = 600\n");
    for _ in 0..5 {
        Peer::connect(&broker, "flaps");
    }
    let (_, refusal) = Peer::ask_to_connect(&broker, "flaps");
    assert_eq!(refusal.code, ReasonCode::ConnectionRateExceeded);
    assert_eq!(connack_311(&broker, "flaps"), [0x20, 2, 0, 3], "3.1.1: server unavailable");
    Peer::connect(&broker, "steady");
}

/// What a 3.1.1 client of this name is answered.
fn connack_311(broker: &Broker, client_id: &str) -> [u8; 4] {
    let mut stream = TcpStream::connect(broker.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let length = u8::try_from(client_id.len()).unwrap();
    let connect = [0x10, 12 + length, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, length];
    stream.write_all(&[&connect, client_id.as_bytes()].concat()).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn connects_of_a_client_have_a_rate_of_their_own() {
    let broker = start("[abuse]\nexempt = []\nburst_s = 1\n[abuse.client]\nconnects_per_second_max = 1\n");
    let codes: Vec<_> = (0..5).map(|_| Peer::ask_to_connect(&broker, "often").1.code).collect();
    assert!(codes.contains(&ReasonCode::Success) && codes.contains(&ReasonCode::ConnectionRateExceeded), "{codes:?}");
    Peer::connect(&broker, "other");
}

#[test]
fn a_rate_put_in_force_by_a_reload_holds_for_who_comes_then() {
    let broker = start("[abuse]\nexempt = []\nburst_s = 1\n");
    let path = broker.data_dir().with_file_name("vowmq.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{before}[abuse.client]\nsubscriptions_per_second_max = 1\n")).unwrap();
    let (status, told) = ask(&broker, "POST", "/api/v1/reload", "{}");
    assert_eq!(status, 200, "{told}");
    let mut client = Peer::connect(&broker, "c");
    let codes: Vec<_> = (0..4).map(|number| client.try_subscribe(&format!("a/{number}"), QoS::AtLeastOnce)).collect();
    assert!(codes.contains(&ReasonCode::QuotaExceeded), "{codes:?}");
}

#[test]
fn bytes_have_a_rate() {
    const RATE: usize = 20_000;
    let rates = format!("[abuse.address]\nbytes_per_second_max = {RATE}\n");
    let broker = start(&format!("[abuse]\nexempt = []\nburst_s = 1\n{rates}"));
    let mut fast = Peer::connect(&broker, "fast");
    let began = Instant::now();
    // Twice a second's worth beyond the first, each part answered before the next.
    for number in 1..=6 {
        fast.publish("a", PublishQoS::AtLeastOnce(id(number)), &"x".repeat(RATE / 2), &[]);
        assert!(matches!(fast.next(), Some(Packet::PubAck(_))));
    }
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
    assert!(metric(&broker, "vowmq_reads_paused_rate_total") > 0.0);
}

#[test]
fn connects_of_an_address_have_a_rate() {
    let broker = start("[abuse]\nexempt = []\nburst_s = 1\n[abuse.address]\nconnects_per_second_max = 2\n");
    let answers = (0..10).filter(|number| {
        let mut stream = TcpStream::connect(broker.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let connect = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'a' + *number];
        stream.write_all(&connect).is_ok() && matches!(stream.read(&mut [0; 4]), Ok(4))
    });
    let let_in = answers.count();
    assert!((1..10).contains(&let_in), "{let_in}");
}

#[test]
fn a_client_that_sends_faster_than_it_may_is_slowed_and_loses_nothing() {
    const RATE: u16 = 100;
    const MESSAGES: u16 = 3 * RATE;
    let rates = format!("[abuse.client]\nmessages_per_second_max = {RATE}\n");
    let broker = start(&format!("[abuse]\nexempt = []\nburst_s = 1\n{rates}"));
    let mut fast = Peer::connect(&broker, "fast");
    let began = Instant::now();
    // In parts, so that not all is in the broker's hands before it can say stop.
    for part in 0..6 {
        for number in 0..MESSAGES / 6 {
            fast.publish("a", PublishQoS::AtLeastOnce(id(1 + part * MESSAGES / 6 + number)), "x", &[]);
        }
        for _ in 0..MESSAGES / 6 {
            assert!(matches!(fast.next(), Some(Packet::PubAck(_))));
        }
    }
    // A second's worth came at once; the last part is answered before what it owes is made up for.
    assert!(began.elapsed() >= Duration::from_millis(1400), "{:?}", began.elapsed());
    assert!(metric(&broker, "vowmq_reads_paused_rate_total") > 0.0);
}

#[test]
fn subscriptions_have_a_rate() {
    let broker = start("[abuse]\nexempt = []\nburst_s = 1\n[abuse.client]\nsubscriptions_per_second_max = 1\n");
    let mut client = Peer::connect(&broker, "c");
    let mut codes = Vec::new();
    for number in 0..4 {
        codes.push(client.try_subscribe(&format!("a/{number}"), QoS::AtLeastOnce));
    }
    assert_eq!(codes[0], ReasonCode::GrantedQoS1);
    assert!(codes.contains(&ReasonCode::QuotaExceeded), "{codes:?}");
    let of_client = read(&broker, "/api/v1/subscriptions?client_id=c");
    let granted = codes.iter().filter(|code| **code == ReasonCode::GrantedQoS1).count();
    assert_eq!(of_client["items"].as_array().unwrap().len(), granted);
}

const MIB: f64 = 1024.0 * 1024.0;

#[test]
fn publishers_wait_while_memory_is_short_and_go_on_when_it_is_not() {
    const PAYLOAD: usize = 64 << 10;
    const MESSAGES: u16 = 4000;
    let idle = metric(&start(""), "process_resident_memory_bytes") / MIB;
    let (slow, refuse) = (idle as u64 + 48, idle as u64 + 2000);
    let limits = "[limits]\nqueued_bytes_max = 10000000000\nreceive_max = 65535\n";
    let marks = format!("[memory]\nslow_publishers_at_mib = {slow}\nrefuse_connects_at_mib = {refuse}\n");
    let broker = start(&format!("persistence = false\n{limits}{marks}"));
    let mut taker = Peer::connect(&broker, "taker");
    taker.subscribe("a", QoS::AtLeastOnce);
    drop(taker);
    let mut giver = Peer::connect(&broker, "giver");
    let payload = "x".repeat(PAYLOAD);
    let writer = std::thread::spawn(move || {
        for number in 1..=MESSAGES {
            giver.publish("a", PublishQoS::AtLeastOnce(id(number)), &payload, &[]);
        }
        for _ in 1..=MESSAGES {
            assert!(matches!(giver.next(), Some(Packet::PubAck(_))));
        }
    });
    eventually("the publisher to wait", || (metric(&broker, "vowmq_memory_shortages_total") > 0.0).then_some(()));
    let resident = metric(&broker, "process_resident_memory_bytes") / MIB;
    assert!(resident < slow as f64 + 64.0, "{resident} MiB, with publishers slowed at {slow}");
    // Others are served meanwhile.
    let mut other = Peer::connect(&broker, "other");
    other.send(&Packet::PingReq);
    assert!(matches!(other.next(), Some(Packet::PingResp)));
    // Who takes what is there lets the publisher go on.
    let mut taker = Peer::connect(&broker, "taker");
    for _ in 1..=MESSAGES {
        let taken = taker.expect_publish().qos.id().unwrap();
        taker.send(&Packet::PubAck(ack(taken)));
    }
    writer.join().unwrap();
}

#[test]
fn new_clients_are_refused_when_memory_runs_out() {
    let broker = start("[memory]\nslow_publishers_at_mib = 1\nrefuse_connects_at_mib = 1\n");
    let code = eventually("memory to be looked at", || {
        let (_, connack) = Peer::ask_to_connect(&broker, "c");
        (connack.code != ReasonCode::Success).then_some(connack.code)
    });
    assert_eq!(code, ReasonCode::QuotaExceeded);
    assert_eq!(request(&broker, "GET", "/readyz", &[], "").0, 503);
}
