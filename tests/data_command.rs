//! What a person with a damaged data directory meets: a start that says what is wrong, a look, a repair, a start.
use std::convert::Infallible;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tempfile::TempDir;
use vowmq::codec;
use vowmq::packet::{
    Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version,
};
use vowmq::store::cold::{Changes, Cold, Database, Space};
use vowmq::store::log::{DiskFiles, Group, Lsn, Options, open};
use vowmq::types::{PacketId, PublishProperties, Text, TopicFilter, TopicName};

const PATIENCE: Duration = Duration::from_secs(20);
const SEGMENT_BYTES: u64 = 4096;

fn program(directory: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.current_dir(directory.path()).stdin(Stdio::null());
    command
}

/// Held while a log is open in this process and while a child is begun: a child holds, until it is another program, the
/// locks that its parent has.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn(command: &mut Command) -> Child {
    let _alone = alone();
    command.spawn().unwrap()
}

fn data(directory: &TempDir, arguments: &[&str]) -> Output {
    let mut command = program(directory);
    command.arg("data").args(arguments).args(["--data-dir", "data"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    spawn(&mut command).wait_with_output().unwrap()
}

fn told(output: &Output, code: i32) -> String {
    let told = String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, spare_segments: 1, frame_bytes_max: SEGMENT_BYTES - 544, salt: 7 }
}

/// A small log of three segments and a spare, closed in order.
fn small_log(directory: &TempDir) -> PathBuf {
    let _alone = alone();
    let path = directory.path().join("data");
    let files = Arc::new(DiskFiles::create(&path).unwrap());
    let (mut log, _) = open(files, options(), Lsn::START, |_, _| Ok::<(), Infallible>(())).unwrap();
    for number in 0..10_u8 {
        let mut group = Group::new();
        group.push(&[number; 1000]);
        group.push(b"small");
        log.append(&mut group).unwrap();
    }
    log.make_spare().unwrap();
    log.close().unwrap();
    path
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|it| it == "log")).collect();
    found.sort();
    found
}

fn spoil(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_sound_directory_is_told_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = small_log(&directory);
    let all = || segments(&path).iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    let before = all();
    let check = told(&data(&directory, &["check"]), 0);
    assert!(check.contains("0000000000000000.log: "), "{check}");
    assert!(check.contains("4 frames, 6 records, 4096 bytes"), "{check}");
    assert!(check.contains("20 records, log positions 0 to ") && check.contains("closed in order"), "{check}");
    assert!(check.ends_with("data: sound\n"), "{check}");
    let repair = told(&data(&directory, &["repair"]), 0);
    assert_eq!(repair, "data: sound, nothing to repair\n");
    assert_eq!(all(), before);
    assert!(!path.join("quarantine-1").exists());
}

#[test]
fn damage_is_told_repaired_and_told_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = small_log(&directory);
    let names = segments(&path);
    assert_eq!(names.len(), 5);
    spoil(&names[0], 600);
    fs::remove_file(&names[1]).unwrap();
    spoil(&names[2], 5);
    let spoilt = fs::read(&names[0]).unwrap();

    let check = told(&data(&directory, &["check"]), 1);
    assert!(check.contains("damage: data/0000000000000000.log: damaged at offset 512 (log position 512)"), "{check}");
    assert!(check.contains("run `vowmq data repair --data-dir data`"), "{check}");
    assert!(check.contains("damage: data/0000000000002000.log: "), "{check}");
    assert_eq!(fs::read(&names[0]).unwrap(), spoilt, "a look changes nothing");

    let repair = told(&data(&directory, &["repair"]), 0);
    assert!(repair.contains("given up: data/0000000000000000.log: 1056 bytes from offset 512"), "{repair}");
    assert!(repair.contains(", 2 records: a frame does not match its checksum"), "{repair}");
    assert!(repair.contains("given up: data/0000000000001000.log: 4096 bytes from offset 0"), "{repair}");
    assert!(repair.contains("mended: data/0000000000002000.log: the segment header was made anew"), "{repair}");
    assert!(repair.contains("repaired, 2 pieces were given up"), "{repair}");
    assert!(repair.contains("what was there before is in data/quarantine-1"), "{repair}");
    assert_eq!(fs::read(path.join("quarantine-1/0000000000000000.log")).unwrap(), spoilt);
    let notes = fs::read_to_string(path.join("quarantine-1/WHAT-IS-THIS.txt")).unwrap();
    assert!(
        notes.contains("given up: data/0000000000000000.log: 1056 bytes") && notes.contains("Remove it"),
        "{notes}"
    );

    let check = told(&data(&directory, &["check"]), 0);
    assert!(check.contains("given up by an earlier repair: data/0000000000001000.log: 4096 bytes"), "{check}");
    assert!(check.contains("12 records, log positions 0"), "{check}");
    assert_eq!(told(&data(&directory, &["repair"]), 0), "data: sound, nothing to repair\n");
}

#[test]
fn a_spoilt_state_is_told_and_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(&directory, "");
    Client::connect(&broker).retain("one", "the first payload");
    let path = directory.path().join("data");
    // It is made beside the broker's first work.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !path.join("state").exists() {
        assert!(Instant::now() < deadline, "the state is made");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(broker);
    let check = told(&data(&directory, &["check"]), 0);
    assert!(check.contains("data/state: 0 state, 0 queue"), "{check}");
    for keyspace in fs::read_dir(path.join("state/keyspaces")).unwrap() {
        fs::write(keyspace.unwrap().path().join("current"), "gibberish").unwrap();
    }
    let check = told(&data(&directory, &["check"]), 1);
    assert!(check.contains("damage: ") && check.contains("cannot open"), "{check}");
    assert!(check.contains("data: damaged in 1 place"), "{check}");
    let start_refused = refused(&directory, "");
    assert!(start_refused.contains("data/state: cannot open"), "{start_refused}");
    assert!(start_refused.contains("run `vowmq data repair --data-dir data`"), "{start_refused}");
    let repair = told(&data(&directory, &["repair"]), 0);
    // The log still reaches back to its beginning.
    assert!(repair.contains("mended: the state beside the log") && repair.contains("nothing was given up"), "{repair}");
    assert!(path.join("quarantine-1/state/keyspaces").is_dir());
    told(&data(&directory, &["check"]), 0);
    let broker = start(&directory, "");
    assert_eq!(Client::connect(&broker).message("one"), "the first payload");
}

#[test]
fn a_state_of_a_newer_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(start(&directory, ""));
    let state = directory.path().join("data/state");
    {
        let _alone = alone();
        let database = Database::open(&state).unwrap();
        let mut changes = Changes::default();
        changes.put(Space::State, &b"\0\0\0\0\0\0\0\0format"[..], 99u64.to_be_bytes().to_vec());
        database.commit(changes).unwrap();
    }
    let told = refused(&directory, "");
    assert!(told.contains("data/state") && told.contains("later version of vowmq; start that version"), "{told}");
}

#[test]
fn findings_are_there_for_machines() {
    let directory = tempfile::tempdir().unwrap();
    let path = small_log(&directory);
    let findings = |code| -> serde_json::Value {
        serde_json::from_str(&told(&data(&directory, &["check", "--json"]), code)).unwrap()
    };
    let sound = findings(0);
    assert_eq!((&sound["sound"], &sound["records"], &sound["closed"]), (&true.into(), &20.into(), &true.into()));
    assert_eq!(sound["segments"].as_array().unwrap().len(), 5);
    spoil(&segments(&path)[0], 600);
    let damaged = findings(1);
    assert_eq!((&damaged["sound"], damaged["damage"].as_array().unwrap().len()), (&false.into(), 1));
    told(&data(&directory, &["repair"]), 0);
    let repaired = findings(0);
    assert_eq!(repaired["given_up"][0]["bytes"], 1056);
    assert_eq!(repaired["given_up"][0]["records"], 2);
}

#[test]
fn what_cannot_be_done_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    for command in ["check", "repair"] {
        let nowhere = told(&data(&directory, &[command]), 1);
        assert!(nowhere.starts_with("vowmq: data: No such file or directory"), "{nowhere}");
        assert!(nowhere.ends_with("name the data directory with --data-dir\n"), "{nowhere}");
    }
    assert!(!directory.path().join("data").exists());
    let path = small_log(&directory);
    let first = &segments(&path)[0];
    let mut bytes = fs::read(first).unwrap();
    bytes[8] = 77;
    let crc = crc32c::crc32c(&bytes[..508]);
    bytes[508..512].copy_from_slice(&crc.to_le_bytes());
    fs::write(first, &bytes).unwrap();
    let newer = told(&data(&directory, &["repair"]), 1);
    assert!(newer.contains("log format 77") && newer.contains("start the newer version"), "{newer}");
    let newer = told(&data(&directory, &["check"]), 1);
    assert!(newer.contains("log format 77"), "{newer}");
    assert_eq!(fs::read(first).unwrap(), bytes);
}

/// A broker with the data directory of a test.
struct Broker {
    process: Child,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(directory: &TempDir, settings: &str) -> (Command, u16) {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let listener = format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\nallow_anonymous = true\n");
    let text = format!("data_dir = \"data\"\n{settings}\n[sys]\ninterval_s = 1\n{listener}");
    fs::write(directory.path().join("vowmq.toml"), text).unwrap();
    let mut command = program(directory);
    command.args(["--config", "vowmq.toml"]);
    (command, port)
}

fn start(directory: &TempDir, settings: &str) -> Broker {
    let (mut command, port) = serve(directory, settings);
    let log = fs::File::create(directory.path().join("told")).unwrap();
    let mut broker = Broker { process: spawn(command.stderr(log)), port };
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        let told = || fs::read_to_string(directory.path().join("told")).unwrap();
        assert_eq!(broker.process.try_wait().unwrap(), None, "{}", told());
        assert!(Instant::now() < deadline, "the broker does not start: {}", told());
        std::thread::yield_now();
    }
    broker
}

/// The one line of a start that is refused.
fn refused(directory: &TempDir, settings: &str) -> String {
    let mut process = spawn(serve(directory, settings).0.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let deadline = Instant::now() + PATIENCE;
    while process.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            process.kill().unwrap();
        }
        std::thread::yield_now();
    }
    let told = told(&process.wait_with_output().unwrap(), 2);
    let ours: Vec<_> = told.lines().filter(|line| line.starts_with("vowmq: ")).collect();
    assert_eq!(ours.len(), 1, "{told}");
    ours.concat()
}

struct Client(TcpStream);

impl Client {
    fn connect(broker: &Broker) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, broker.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self(stream);
        client.send(&Packet::Connect(Box::new(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_s: 0,
            client_id: Text::try_from("tester").unwrap(),
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        })));
        assert!(matches!(client.next(), Packet::ConnAck(_)));
        client
    }

    fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        codec::encode(packet, Version::V311, &mut bytes).unwrap();
        self.0.write_all(&bytes).unwrap();
    }

    fn next(&mut self) -> Packet {
        let mut bytes = BytesMut::new();
        let limits = codec::Limits::default();
        while codec::frame_len(&bytes, Some(Version::V311), &limits).unwrap() != Some(bytes.len()) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            bytes.extend_from_slice(&byte);
        }
        codec::decode(bytes.freeze(), Some(Version::V311), &limits).unwrap()
    }

    /// Returns when the message is acknowledged, and so on disk.
    fn retain(&mut self, topic: &str, payload: &'static str) {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: PublishQoS::AtLeastOnce(PacketId::new(1).unwrap()),
            retain: true,
            topic: Some(TopicName::try_from(topic).unwrap()),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: Bytes::from_static(payload.as_bytes()),
        }));
        assert!(matches!(self.next(), Packet::PubAck(_)));
    }

    /// The next message to a subscription of this filter.
    fn message(&mut self, filter: &str) -> Bytes {
        self.send(&Packet::Subscribe(Subscribe {
            id: PacketId::new(2).unwrap(),
            filters: vec![SubscribeFilter {
                filter: TopicFilter::try_from(filter).unwrap(),
                options: SubscriptionOptions::default(),
            }],
            subscription_id: None,
            user: Default::default(),
        }));
        loop {
            if let Packet::Publish(publish) = self.next() {
                return publish.payload;
            }
        }
    }
}

/// Three retained messages, each in a group of its own, and the second one spoilt.
fn broker_with_damage(directory: &TempDir) {
    let mut broker = start(directory, "");
    let mut client = Client::connect(&broker);
    for (topic, payload) in
        [("one", "the first payload"), ("two", "the second payload"), ("three", "the third payload")]
    {
        client.retain(topic, payload);
    }
    broker.process.kill().unwrap();
    broker.process.wait().unwrap();
    let first = &segments(&directory.path().join("data"))[0];
    let mut bytes = fs::read(first).unwrap();
    let at = bytes.windows(18).position(|window| window == b"the second payload").unwrap();
    bytes[at] ^= 1;
    fs::write(first, bytes).unwrap();
}

#[test]
fn a_start_on_damage_stops_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    broker_with_damage(&directory);
    for _ in 0..2 {
        let told = refused(&directory, "");
        assert!(told.contains("data/0000000000000000.log: damaged at offset "), "{told}");
        assert!(told.contains("run `vowmq data repair --data-dir data`"), "{told}");
    }
    told(&data(&directory, &["repair"]), 0);
    let broker = start(&directory, "");
    let mut client = Client::connect(&broker);
    assert_eq!(client.message("one"), "the first payload");
    assert_eq!(client.message("three"), "the third payload");

    // Beside a running broker a look is allowed, a repair is not.
    let check = told(&data(&directory, &["check"]), 0);
    assert!(check.contains("in use by a broker") && check.ends_with("data: sound\n"), "{check}");
    let repair = told(&data(&directory, &["repair"]), 1);
    assert!(repair.contains("in use by another process"), "{repair}");

    drop(broker);
    let directory = tempfile::tempdir().unwrap();
    let path = small_log(&directory);
    fs::remove_file(&segments(&path)[1]).unwrap();
    let told = refused(&directory, "");
    assert!(told.contains("data/0000000000001000.log: missing, yet the log goes through it"), "{told}");
    assert!(told.contains("run `vowmq data repair --data-dir data`"), "{told}");
}

#[test]
fn a_start_may_salvage_and_raises_the_alarm() {
    let directory = tempfile::tempdir().unwrap();
    broker_with_damage(&directory);
    let broker = start(&directory, "[storage]\non_damage = \"salvage\"");
    let mut client = Client::connect(&broker);
    assert_eq!(client.message("one"), "the first payload");
    assert_eq!(client.message("three"), "the third payload");
    let mut alarm = Client::connect(&broker);
    assert_eq!(alarm.message("$SYS/broker/vow/salvaged"), "1");
    let told = fs::read_to_string(directory.path().join("told")).unwrap();
    let warnings: Vec<_> = told.lines().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.iter().any(|line| line.contains("given up: data/0000000000000000.log: ")), "{told}");
    assert!(warnings.iter().any(|line| line.contains("data/quarantine-1")), "{told}");
    drop(broker);
    let broker = start(&directory, "[storage]\non_damage = \"salvage\"");
    assert_eq!(Client::connect(&broker).message("$SYS/broker/vow/salvaged"), "0");
    assert!(!directory.path().join("data/quarantine-2").exists());
}

/// What a crash leaves at the end is never a reason not to start.
#[test]
fn what_is_kept_is_exported_beside_the_broker_and_imported_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(&directory, "");
    let mut client = Client::connect(&broker);
    client.retain("one", "the first payload");
    client.retain("two", "the second payload");
    let exported = told(&data(&directory, &["export", "--to", "backup.jsonl"]), 0);
    assert_eq!(exported, "backup.jsonl: written\n");
    let lines = fs::read_to_string(directory.path().join("backup.jsonl")).unwrap();
    assert!(lines.starts_with("{\"type\":\"begin\",\"format\":2,"), "{lines}");
    assert!(lines.contains("\"topic\":\"one\",\"payload\":\"the first payload\""), "{lines}");
    assert!(lines.trim_end().ends_with("\"retained\":2}"), "{lines}");
    // What comes later is not in it.
    client.retain("three", "the third payload");
    drop(broker);

    // The broker is dead, so that the command opens the directory itself.
    let again = told(&data(&directory, &["export"]), 0);
    assert!(again.contains("the third payload"), "{again}");
    let into = |name: &str, directory: &TempDir| {
        let mut command = program(directory);
        command.args(["data", "import", "--from", "backup.jsonl", "--data-dir", name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        spawn(&mut command).wait_with_output().unwrap()
    };
    let refused = told(&into("data", &directory), 1);
    assert!(refused.contains("data: holds sessions or messages already"), "{refused}");
    let imported = told(&into("elsewhere", &directory), 0);
    assert!(imported.contains("2 retained messages read from backup.jsonl"), "{imported}");
    fs::remove_dir_all(directory.path().join("data")).unwrap();
    fs::rename(directory.path().join("elsewhere"), directory.path().join("data")).unwrap();
    let broker = start(&directory, "");
    assert_eq!(Client::connect(&broker).message("two"), "the second payload");
}

#[test]
fn whose_a_session_is_goes_with_its_export() {
    let directory = tempfile::tempdir().unwrap();
    let owner = "\"owner\":{\"user\":\"ann\",\"groups\":[\"staff\"],\"claims\":{\"tenant\":\"acme\"},\
                 \"certificate\":\"ann.example\",\"address\":\"2001:db8::1\"},";
    let session = |id: &str, owner: &str| {
        format!(
            "{{\"type\":\"session\",\"client_id\":\"{id}\",\"v5\":true,{owner}\"expiry_s\":9,\"attached\":false,\
             \"sent_below\":0,\"next_position\":0,\"subscriptions\":[]}}"
        )
    };
    // Format 1 knew no owners.
    let lines = [
        "{\"type\":\"begin\",\"format\":1,\"vowmq\":\"0\"}".to_owned(),
        session("a", owner),
        session("b", ""),
        "{\"type\":\"end\",\"sessions\":2,\"messages\":0,\"retained\":0}".to_owned(),
    ];
    fs::write(directory.path().join("in.jsonl"), lines.join("\n") + "\n").unwrap();
    told(&data(&directory, &["import", "--from", "in.jsonl"]), 0);
    let exported = told(&data(&directory, &["export"]), 0);
    assert!(exported.contains(&lines[1]) && exported.contains(&lines[2]), "{exported}");
}

#[test]
fn an_export_that_is_none_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let begin = "{\"type\":\"begin\",\"format\":1,\"vowmq\":\"0\"}";
    for (text, expected) in [
        ("", "it ends at line 0 without its end line: it was cut short"),
        ("hello", "line 1: expected value at line 1 column 1"),
        ("{\"type\":\"end\",\"sessions\":1,\"messages\":0,\"retained\":0}", "line 1: the counts do not match"),
        ("{\"type\":\"begin\",\"format\":9,\"vowmq\":\"9\"}", "written in format 9"),
        (
            &format!("{begin}\n{{\"type\":\"received\",\"position\":1}}"),
            "line 2: a message without a session before it",
        ),
        (
            &format!("{begin}\n{{\"type\":\"retained\",\"topic\":\"a/#\",\"payload\":\"\",\"qos\":1,\"retain\":true}}"),
            "line 2: \"a/#\" is no topic name",
        ),
    ] {
        let file = directory.path().join("text");
        fs::write(&file, text).unwrap();
        let name = format!("data-{}", expected.len());
        let mut command = program(&directory);
        command.args(["data", "import", "--from", "text", "--data-dir", &name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let refused = told(&spawn(&mut command).wait_with_output().unwrap(), 1);
        assert!(refused.starts_with("vowmq: text: ") && refused.contains(expected), "{refused}");
    }
}

#[test]
fn a_torn_tail_is_no_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = small_log(&directory);
    let last = segments(&path)[3].clone();
    let bytes = fs::read(&last).unwrap();
    let guard = alone();
    let files = Arc::new(DiskFiles::create(&path).unwrap());
    let (log, _) = open(files, options(), Lsn::START, |_, _| Ok::<(), Infallible>(())).unwrap();
    let end = (log.end().value() - 3 * SEGMENT_BYTES) as usize;
    drop(log);
    drop(guard);
    let mut torn = bytes;
    torn[end..end + 20].fill(9);
    fs::write(&last, torn).unwrap();
    let check = told(&data(&directory, &["check"]), 0);
    assert!(check.contains("an unfinished write") && check.ends_with("data: sound\n"), "{check}");
    assert_eq!(told(&data(&directory, &["repair"]), 0), "data: sound, nothing to repair\n");
}
