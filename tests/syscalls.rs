//! The order of system calls: no acknowledgement is written to a socket before the fdatasync that covers what it
//! promises, and what nobody keeps touches no disk. Looked at with strace, from outside.
#[path = "crash/link.rs"]
mod link;

use bytes::Bytes;
use link::Connection;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, Unsubscribe, Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

const PATIENCE: Duration = Duration::from_secs(60);

/// One line of a trace that says when something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    /// Bytes came from a client.
    Received(Vec<u8>),
    /// A write to the log began.
    Written(Vec<u8>),
    /// A sync of the log is done.
    Synced,
    /// A write to a client began.
    Sent(Vec<u8>),
}

/// What strace wrote, in order. A call that was interrupted by another thread's is two lines: what it carries out counts
/// where it begins, what it brings where it ends.
fn events(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut unfinished = std::collections::HashMap::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.trim_start().split_once(' ') else { continue };
        let call = call.trim_start();
        let resumed = call.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"));
        let (name, is_log, is_begin, is_end, text) = match resumed {
            Some((name, text)) => {
                let is_log = unfinished.remove(&(thread, name)).unwrap_or(false);
                (name, is_log, false, true, text)
            }
            None => {
                let Some((name, text)) = call.split_once('(') else { continue };
                // Names of files are in hexadecimal as well, where strace is asked for it.
                let is_named_log = |file: &str| file.ends_with(".log") || file.ends_with("\\x2e\\x6c\\x6f\\x67");
                let is_log = text.split_once('>').is_some_and(|(file, _)| is_named_log(file));
                let is_end = !call.ends_with("<unfinished ...>");
                if !is_end {
                    unfinished.insert((thread, name), is_log);
                }
                (name, is_log, true, is_end, text)
            }
        };
        match name {
            "recvfrom" | "read" if is_end => events.push(Event::Received(bytes_of(text))),
            "pwrite64" if is_begin && is_log => events.push(Event::Written(bytes_of(text))),
            "fdatasync" if is_end && is_log && text.trim_end().ends_with("= 0") => events.push(Event::Synced),
            "sendto" | "write" | "writev" if is_begin => events.push(Event::Sent(bytes_of(text))),
            _ => {}
        }
    }
    events
}

/// The bytes of all strings in a call, which strace shows as `"\x40\x02"`.
fn bytes_of(text: &str) -> Vec<u8> {
    let strings = text.split('"').skip(1).step_by(2);
    strings.flat_map(|string| string.split("\\x").filter_map(|byte| u8::from_str_radix(byte, 16).ok())).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Checks that between a request and its answer what is promised was written to the log and synced. `promise` are bytes
/// that the log must have got for it.
fn check_durable(events: &[Event], request: &[u8], answer: &[u8], promise: &[u8]) -> Result<(), String> {
    let (from, to) = exchange(events, request, answer)?;
    let between = &events[from..to];
    let written = between.iter().position(|event| matches!(event, Event::Written(bytes) if contains(bytes, promise)));
    let written = written.ok_or("what is promised was not written before the answer")?;
    let is_synced = between[written..].contains(&Event::Synced);
    is_synced.then_some(()).ok_or_else(|| "the answer left before the sync was done".to_owned())
}

fn check_untouched(events: &[Event], request: &[u8], answer: &[u8]) -> Result<(), String> {
    let (from, to) = exchange(events, request, answer)?;
    let touches = events[from..to].iter().filter(|event| matches!(event, Event::Written(_) | Event::Synced));
    let count = touches.count();
    (count == 0).then_some(()).ok_or_else(|| format!("the disk was touched {count} times"))
}

/// Where the request came in, and where its answer went out.
fn exchange(events: &[Event], request: &[u8], answer: &[u8]) -> Result<(usize, usize), String> {
    let came = |event: &Event| matches!(event, Event::Received(bytes) if contains(bytes, request));
    let went = |event: &Event| matches!(event, Event::Sent(bytes) if contains(bytes, answer));
    let from = events.iter().position(came).ok_or("the request is not in the trace")?;
    let to = events[from..].iter().position(went).ok_or("the answer is not in the trace")?;
    Ok((from, from + to))
}

#[test]
fn the_checker_sees_an_acknowledgement_that_comes_too_early() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let (publish, ack) = (hex(b"2.payload"), hex(&[0x40, 2, 0, 7]));
    let trace = |lines: &[&str]| {
        let lines: Vec<_> = lines.iter().map(|line| line.replace("PUB", &publish).replace("ACK", &ack)).collect();
        events(&lines.join("\n"))
    };
    let request = "10 recvfrom(9<TCP:[1]>, \"PUB\", 64, 0, NULL, NULL) = 9";
    let write = "11 pwrite64(5</d/0.log>, \"PUB\", 9, 0) = 9";
    let (sync_begins, sync_ends) = ("11 fdatasync(5</d/0.log> <unfinished ...>", "11 <... fdatasync resumed>) = 0");
    let answer = "10 sendto(9<TCP:[1]>, \"ACK\", 4, 0, NULL, 0) = 4";
    let check = |lines: &[&str]| check_durable(&trace(lines), b"2.payload", &[0x40, 2, 0, 7], b"payload");
    assert_eq!(check(&[request, write, sync_begins, sync_ends, answer]), Ok(()));
    assert!(check(&[request, write, sync_begins, answer, sync_ends]).is_err());
    assert!(check(&[request, answer, write, sync_begins, sync_ends]).is_err());
    assert!(check(&[request, sync_begins, sync_ends, write, answer]).is_err());
    assert!(check(&[request, write, "11 fdatasync(5</d/0.log>) = -1 EIO", answer]).is_err());
    assert!(check(&[request, write, "11 fdatasync(6</d/other>) = 0", answer]).is_err());
    let untouched = |lines: &[&str]| check_untouched(&trace(lines), b"2.payload", &[0x40, 2, 0, 7]);
    assert_eq!(untouched(&[write, request, answer]), Ok(()));
    assert!(untouched(&[request, write, answer]).is_err());
}

/// A broker under strace.
struct Traced {
    strace: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Traced {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let text = format!(
            "data_dir = \"data\"\n[sys]\ninterval_s = 0\n[[listener]]\naddress = \"{address}\"\nallow_anonymous = true\n"
        );
        fs::write(directory.path().join("vowmq.toml"), text).unwrap();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new("strace");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
            command.env_remove(name);
        }
        let traced = "trace=pwrite64,fdatasync,recvfrom,read,sendto,write,writev";
        command.args(["-f", "-y", "-xx", "-s", "65536", "-o", "trace", "-e", traced, "-e", "signal=none"]);
        command.arg(env!("CARGO_BIN_EXE_vowmq")).args(["--config", "vowmq.toml"]);
        command.current_dir(directory.path()).stdin(Stdio::null());
        let strace = command.stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let strace = strace.unwrap_or_else(|error| panic!("strace: {error}; tests/setup.sh installs it"));
        let mut traced = Self { strace, address, directory };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(traced.directory.path().join("log")).unwrap();
            assert_eq!(traced.strace.try_wait().unwrap(), None, "{}", log());
            assert!(Instant::now() < deadline, "the broker does not start under strace: {}", log());
            std::thread::yield_now();
        }
        traced
    }

    /// Ends the broker in order, and says what it did.
    fn finish(mut self) -> Vec<Event> {
        let tracer = self.strace.id();
        let children = fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).unwrap();
        let broker = children.split_whitespace().next().expect("strace has the broker as its child");
        assert!(Command::new("kill").arg(broker).status().unwrap().success());
        self.strace.wait().unwrap();
        events(&fs::read_to_string(self.directory.path().join("trace")).unwrap())
    }

    fn connect(&self, client_id: &str, is_kept: bool) -> Connection {
        let connect = Connect {
            version: Version::V311,
            clean_start: !is_kept,
            keep_alive_s: 0,
            client_id: Text::try_from(client_id).unwrap(),
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        Connection::open(self.address, connect).0
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // A strace that is killed takes the broker with it only if it is still attached; both may have ended.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

fn answer(connection: &mut Connection, packet: &Packet) -> Packet {
    connection.send(packet);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connection.next() {
            Some(Packet::Publish(_)) => {}
            Some(packet) => return packet,
            None => assert!(!connection.is_dead() && Instant::now() < deadline, "no answer comes"),
        }
    }
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

fn publish(topic: &str, payload: &'static str, qos: PublishQoS) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::try_from(topic).unwrap()),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::from_static(payload.as_bytes()),
    })
}

fn subscribe(value: u16, filter: &str) -> Packet {
    Packet::Subscribe(Subscribe {
        id: id(value),
        subscription_id: None,
        user: Vec::new(),
        filters: vec![SubscribeFilter {
            filter: TopicFilter::try_from(filter).unwrap(),
            options: SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() },
        }],
    })
}

#[test]
fn no_acknowledgement_leaves_before_the_sync_that_covers_it() {
    let broker = Traced::start();
    let mut kept = broker.connect("kept-session", true);
    assert!(matches!(answer(&mut kept, &subscribe(0x1111, "kept/topic")), Packet::SubAck(_)));
    assert!(matches!(answer(&mut kept, &subscribe(0x1112, "other/topic")), Packet::SubAck(_)));
    let filters = vec![TopicFilter::try_from("other/topic").unwrap()];
    let unsubscribe = Packet::Unsubscribe(Unsubscribe { id: id(0x1113), user: Vec::new(), filters });
    assert!(matches!(answer(&mut kept, &unsubscribe), Packet::UnsubAck(_)));
    kept.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
    let mut publisher = broker.connect("publisher", true);
    let first = publish("kept/topic", "the first promise", PublishQoS::AtLeastOnce(id(0x2222)));
    assert!(matches!(answer(&mut publisher, &first), Packet::PubAck(_)));
    let second = publish("kept/topic", "the second promise", PublishQoS::ExactlyOnce(id(0x3333)));
    assert!(matches!(answer(&mut publisher, &second), Packet::PubRec(_)));
    assert!(matches!(answer(&mut publisher, &Packet::PubRel(Ack::success(id(0x3333)))), Packet::PubComp(_)));
    let mut live = broker.connect("live", false);
    assert!(matches!(answer(&mut live, &subscribe(0x4444, "live/topic")), Packet::SubAck(_)));
    let passing = publish("live/topic", "nobody keeps this", PublishQoS::AtLeastOnce(id(0x5555)));
    assert!(matches!(answer(&mut live, &passing), Packet::PubAck(_)));
    let events = broker.finish();
    let check = |what: &str, request: &[u8], answer: &[u8], promise: &[u8]| {
        check_durable(&events, request, answer, promise).unwrap_or_else(|why| panic!("{what}: {why}"));
    };
    check("CONNACK", b"kept-session", &[0x20, 2, 0, 0], b"kept-session");
    check("SUBACK", b"kept/topic\x02", &[0x90, 3, 0x11, 0x11, 2], b"kept/topic");
    check("UNSUBACK", &[0xa2, 15, 0x11, 0x13], &[0xb0, 2, 0x11, 0x13], b"other/topic");
    check("PUBACK", b"the first promise", &[0x40, 2, 0x22, 0x22], b"the first promise");
    check("PUBREC", b"the second promise", &[0x50, 2, 0x33, 0x33], b"the second promise");
    check("PUBCOMP", &[0x62, 2, 0x33, 0x33], &[0x70, 2, 0x33, 0x33], b"\x33\x33");
    let untouched = check_untouched(&events, b"nobody keeps this", &[0x40, 2, 0x55, 0x55]);
    untouched.unwrap_or_else(|why| panic!("live traffic: {why}"));
}
