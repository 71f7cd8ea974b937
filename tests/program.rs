//! The program as a person meets it: how it starts, how it ends, and whom it lets wait.
use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::codec;
use vowmq::packet::{
    Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

const PATIENCE: Duration = Duration::from_secs(15);

struct Program {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(directory: &TempDir, port: u16, allow_anonymous: bool, settings: &str) -> Command {
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = {allow_anonymous}\n");
    std::fs::write(directory.path().join("vowmq.toml"), format!("data_dir = \"data\"\n{settings}\n{listener}"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.current_dir(directory.path()).args(["--config", "vowmq.toml"]);
    command
}

fn start(allow_anonymous: bool, settings: &str) -> Program {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let process = command(&directory, port, allow_anonymous, settings).stderr(Stdio::null()).spawn().unwrap();
    let program = Program { process, port, _directory: directory };
    wait_until_it_listens(&program);
    program
}

fn wait_until_it_listens(program: &Program) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, program.port)).is_err() {
        assert!(Instant::now() < deadline, "the broker does not start");
        std::thread::yield_now();
    }
}

fn send(stream: &mut TcpStream, packet: &Packet) {
    let mut bytes = BytesMut::new();
    codec::encode(packet, Version::V5, &mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
}

fn publish_qos1(name: &str, id: PacketId) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos: PublishQoS::AtLeastOnce(id),
        retain: false,
        topic: Some(TopicName::try_from(name).unwrap()),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: bytes::Bytes::new(),
    })
}

fn connect_bytes(version: Version) -> BytesMut {
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_s: 0,
        client_id: Text::try_from("tester").unwrap(),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let mut bytes = BytesMut::new();
    codec::encode(&Packet::Connect(Box::new(connect)), version, &mut bytes).unwrap();
    bytes
}

fn socket(program: &Program) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, program.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The next packet, or `None` when the broker has closed the connection.
fn next(stream: &mut TcpStream, version: Version) -> Option<Packet> {
    let mut bytes = BytesMut::new();
    loop {
        let length = codec::frame_len(&bytes, Some(version), &codec::Limits::default()).unwrap();
        if length == Some(bytes.len()) {
            return Some(codec::decode(bytes.freeze(), Some(version), &codec::Limits::default()).unwrap());
        }
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => bytes.extend_from_slice(&byte),
            Ok(_) => return None,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
                return None;
            }
        }
    }
}

fn code(packet: Option<Packet>) -> Option<ReasonCode> {
    match packet? {
        Packet::ConnAck(connack) => Some(connack.code),
        Packet::Disconnect(disconnect) => Some(disconnect.code),
        other => panic!("{} was not expected", other.name()),
    }
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in ["-TERM", "-INT"] {
        let mut program = start(true, "");
        let mut client = socket(&program);
        client.write_all(&connect_bytes(Version::V5)).unwrap();
        assert_eq!(code(next(&mut client, Version::V5)), Some(ReasonCode::Success));
        let killed = Command::new("kill").args([signal, &program.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(code(next(&mut client, Version::V5)), Some(ReasonCode::ServerShuttingDown), "{signal}");
        assert_eq!(next(&mut client, Version::V5), None);
        drop(client);
        assert_eq!(program.process.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// What waits for the line of its minute is told at the end too.
#[test]
fn dropped_messages_are_told_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let settings =
        "log = { format = \"json\" }\nqueue = { on_full = \"drop_newest\" }\nlimits = { queued_messages_max = 1 }";
    let mut command = command(&directory, port, true, settings);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stream = process.stderr.take();
    let mut program = Program { process, port, _directory: directory };
    wait_until_it_listens(&program);
    let mut client = socket(&program);
    client.write_all(&connect_bytes(Version::V5)).unwrap();
    assert_eq!(code(next(&mut client, Version::V5)), Some(ReasonCode::Success));
    let filter = TopicFilter::try_from("a").unwrap();
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filters = vec![SubscribeFilter { filter, options }];
    let id = PacketId::new(1).unwrap();
    send(&mut client, &Packet::Subscribe(Subscribe { id, subscription_id: None, user: Vec::new(), filters }));
    for _ in 0..2 {
        send(&mut client, &publish_qos1("a", id));
    }
    let names: Vec<_> = (0..4).map(|_| next(&mut client, Version::V5).expect("it is open").name()).collect();
    assert_eq!(names.iter().filter(|name| **name == "PUBACK").count(), 2, "{names:?}");
    assert_eq!(names.iter().filter(|name| **name == "PUBLISH").count(), 1, "{names:?}");
    let killed = Command::new("kill").args(["-TERM", &program.process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut told = String::new();
    let mut out = program.process.stdout.take();
    drop(client);
    stream.unwrap().read_to_string(&mut told).unwrap();
    out.as_mut().unwrap().read_to_string(&mut told).unwrap();
    let line = told.lines().find(|line| line.contains("messages were dropped")).unwrap_or_else(|| panic!("{told}"));
    for part in ["\"client_id\":\"tester\"", "\"reason\":\"queue_full\"", "\"messages\":1", "\"topic\":\"a\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    let ours: Vec<_> = told.lines().filter(|line| line.starts_with("vowmq: ")).collect();
    assert_eq!(ours.len(), 1, "{told}");
    ours.concat()
}

#[test]
fn a_port_in_use_and_data_in_use_are_one_line_each() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let port = taken.local_addr().unwrap().port();
    let told = fails(&command(&directory, port, true, "").output().unwrap());
    let expected = format!("vowmq: listener.address: 127.0.0.1:{port}: Address already in use");
    assert!(told.starts_with(&expected) && told.ends_with("choose another address"), "{told}");

    let program = start(true, "");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut second = command(&directory, port, true, "");
    second.args(["--data-dir", program._directory.path().join("data").to_str().unwrap()]);
    let told = fails(&second.output().unwrap());
    assert!(told.contains("in use by another process"), "{told}");
}

#[test]
fn without_authentication_only_an_anonymous_listener_lets_clients_in() {
    let program = start(false, "");
    for version in [Version::V311, Version::V5] {
        let mut client = socket(&program);
        client.write_all(&connect_bytes(version)).unwrap();
        assert_eq!(code(next(&mut client, version)), Some(ReasonCode::NotAuthorized), "[MQTT-3.1.4-2]");
        assert_eq!(next(&mut client, version), None);
    }
}

#[test]
fn a_client_that_does_not_wait_for_connack_is_served_on() {
    let program = start(true, "");
    let mut client = socket(&program);
    // All in one segment: what is answered late must not keep the connection from being read again.
    let mut bytes = connect_bytes(Version::V5);
    let id = PacketId::new(7).unwrap();
    codec::encode(&publish_qos1("a", id), Version::V5, &mut bytes).unwrap();
    client.write_all(&bytes).unwrap();
    assert_eq!(code(next(&mut client, Version::V5)), Some(ReasonCode::Success));
    assert!(matches!(next(&mut client, Version::V5), Some(Packet::PubAck(ack)) if ack.id == id));
    send(&mut client, &Packet::PingReq);
    assert_eq!(next(&mut client, Version::V5), Some(Packet::PingResp));
}

#[test]
fn who_does_not_say_who_he_is_is_cut() {
    let program = start(true, "[limits]\nconnect_timeout_ms = 300");
    let began = Instant::now();
    let mut silent = socket(&program);
    let mut slow = socket(&program);
    slow.write_all(&connect_bytes(Version::V5)[..5]).unwrap();
    assert_eq!(next(&mut silent, Version::V5), None);
    assert_eq!(next(&mut slow, Version::V5), None);
    assert!(began.elapsed() >= Duration::from_millis(250));
}

#[test]
fn a_claim_of_a_huge_packet_is_refused_at_the_fixed_header() {
    let program = start(true, "[limits]\nconnect_timeout_ms = 60000");
    let mut liar = socket(&program);
    liar.write_all(&[0x10, 0xff, 0xff, 0xff, 0x7f]).unwrap();
    assert_eq!(next(&mut liar, Version::V5), None);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_make_room_when_they_end() {
    let program = start(true, "[limits]\nconnections_per_address_max = 1");
    let deadline = Instant::now() + PATIENCE;
    // The connection that asked whether the broker is there may not have ended yet.
    let first = loop {
        let mut client = socket(&program);
        // A connection that is refused at once may be gone before it is written to.
        let _ = client.write_all(&connect_bytes(Version::V5));
        if code(next(&mut client, Version::V5)) == Some(ReasonCode::Success) {
            break client;
        }
        assert!(Instant::now() < deadline, "nobody is let in");
    };
    let mut second = socket(&program);
    assert_eq!(next(&mut second, Version::V5), None);
    drop(first);
}

/// Processor time that the process has used, in ticks of 10 ms.
fn ticks(program: &Program) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.process.id())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn a_connection_that_is_idle_costs_nothing() {
    let program = start(true, "[sys]\ninterval_s = 0\n[limits]\nwrite_stall_timeout_ms = 20\n");
    let mut stream = socket(&program);
    stream.write_all(&connect_bytes(Version::V5)).unwrap();
    assert_eq!(code(next(&mut stream, Version::V5)), Some(ReasonCode::Success));
    send(&mut stream, &Packet::PingReq);
    assert_eq!(next(&mut stream, Version::V5), Some(Packet::PingResp));
    let before = ticks(&program);
    // Nothing comes; until the read gives up, the timer of what was written has gone off.
    stream.set_read_timeout(Some(Duration::from_millis(600))).unwrap();
    assert!(stream.read(&mut [0]).is_err());
    let used = ticks(&program) - before;
    assert!(used < 20, "an idle connection took {used} ticks of 60");
}

/// Whether the making of the state beside the log has begun, wherever that is.
fn has_begun_a_state(directory: &TempDir) -> bool {
    let entries = std::fs::read_dir(directory.path().join("data")).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().join("0.jnl").exists())
}

#[test]
fn a_first_start_that_was_killed_is_begun_again() {
    for round in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let spawn = || command(&directory, port, true, "").stderr(Stdio::piped()).spawn().unwrap();
        let mut first = spawn();
        let deadline = Instant::now() + PATIENCE;
        while !has_begun_a_state(&directory) {
            assert!(Instant::now() < deadline, "the broker does not begin");
            std::thread::yield_now();
        }
        first.kill().unwrap();
        first.wait().unwrap();
        let mut second = spawn();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if second.try_wait().unwrap().is_some() {
                let told = second.wait_with_output().unwrap().stderr;
                panic!("round {round}: {}", String::from_utf8_lossy(&told));
            }
            assert!(Instant::now() < deadline, "round {round}: the broker does not start");
            std::thread::yield_now();
        }
        second.kill().unwrap();
        second.wait().unwrap();
    }
}
