//! The same `acl_file` for Mosquitto, asked by clients, and for us: who gets what must not differ.
//!
//! Two differences are meant: `$SYS` is nobody's to write here, and a filter that is not wholly allowed is refused where
//! Mosquitto grants it and keeps messages back.

use bytes::BytesMut;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::access::{Rights, Rules, Subject};
use vowmq::codec;
use vowmq::packet::{
    Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version,
};
use vowmq::types::{ClientId, Identity, PacketId, PublishProperties, QoS, Text, TopicFilter, TopicName};

/// Users and client identifiers; without a user name a client is anonymous.
const CLIENTS: [(Option<&str>, &str); 9] = [
    (None, "c1"),
    (Some("ann"), "c1"),
    (Some("ann"), "c2"),
    (Some("bob"), "c1"),
    (Some("roger"), "c3"),
    (Some("eve"), "c4"),
    (Some("#"), "c5"),
    (Some("ann"), "#"),
    (Some("+"), "+"),
];

const TOPICS: [&str; 31] = [
    "public/x",
    "public",
    "guest/box",
    "house",
    "house/lamp",
    "house/safe",
    "house/safe/x",
    "house/attic/temperature",
    "notes with spaces/monday",
    "inbox/ann",
    "inbox/bob",
    "devices/c1/out",
    "devices/c2/out",
    "devices/c5/out",
    "devices/c1/in",
    "devices/c1/in/x",
    "devices/c2/in/x",
    "users/ann/x",
    "users/ann/locked",
    "users/ann/locked/x",
    "users/bob",
    "users/bob/x",
    "users/eve/locked",
    "mixed/x-c1-ann/y",
    "mixed/x-c2-ann/y",
    "all/of/you",
    "users//x",
    "foo/bar",
    "nobody/knows",
    "$SYS/broker/version",
    "$other/x",
];

/// Sees and writes everything.
const ADMIN: &str = "user the-admin\ntopic readwrite #\ntopic readwrite $other/#\n";
const PATIENCE: Duration = Duration::from_secs(10);
const VERSION: Version = Version::V311;

#[test]
fn mosquittos_acl_files_have_the_same_outcome_here_and_there() {
    if Command::new("mosquitto").arg("-h").output().is_err() {
        eprintln!("left out: mosquitto is not installed (apt-get install mosquitto)");
        return;
    }
    let ours = include_str!("data/acl.mosquitto").to_owned();
    let examples = Path::new("/usr/share/doc/mosquitto/examples/aclfile.example");
    let theirs = std::fs::read_to_string(examples).ok();
    for acl in [Some(ours), theirs].into_iter().flatten() {
        let mosquitto = Mosquitto::start(&format!("{acl}\n{ADMIN}"));
        let rules = Rules::parse_mosquitto(&acl).expect("a file that Mosquitto takes");
        let mut differences = Vec::new();
        for (user, client_id) in CLIENTS {
            let rights = rights(&rules, user, client_id);
            let published = mosquitto.published_by(user, client_id);
            let read = mosquitto.read_by(user, client_id);
            for name in TOPICS {
                let topic = TopicName::try_from(name).expect("a legal topic");
                let may_publish = rights.publish(&topic, QoS::AtLeastOnce, false).is_allowed;
                let may_read = rights.subscribe(&TopicFilter::try_from(name).expect("a topic")).is_allowed;
                let is_sys = name.starts_with("$SYS");
                if !is_sys && may_publish != published.iter().any(|topic| topic == name) {
                    differences.push(format!("{user:?} {client_id} publishes {name}: here {may_publish}"));
                }
                if may_read != read.iter().any(|topic| topic == name) {
                    differences.push(format!("{user:?} {client_id} reads {name}: here {may_read}"));
                }
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    }
}

fn rights(rules: &Rules, user: Option<&str>, client_id: &str) -> Rights {
    let text = |name| Text::try_from(name).expect("legal text");
    let identity = Identity { user: user.map(text), ..Identity::default() };
    let client_id = ClientId::new(&text(client_id)).expect("not empty");
    rules.rights(Subject { identity: &identity, client_id: &client_id })
}

/// A Mosquitto of this test's own. Dropping it kills the process.
struct Mosquitto {
    port: u16,
    process: Child,
    directory: TempDir,
}

impl Mosquitto {
    fn start(acl: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, text: &str| -> PathBuf {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("the file can be written");
            path
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|probe| probe.local_addr());
        let port = port.expect("127.0.0.1 has a free port").port();
        let acl = write("acl", acl);
        let config = format!("listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {}\n", acl.display());
        let config = write("conf", &config);
        let log = std::fs::File::create(directory.path().join("log")).expect("the log can be created");
        let process = Command::new("mosquitto").arg("-c").arg(config).stdout(Stdio::null()).stderr(log).spawn();
        let mosquitto = Self { port, process: process.expect("mosquitto starts"), directory };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = std::fs::read_to_string(mosquitto.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "mosquitto does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        mosquitto
    }

    fn client(&self, user: Option<&str>, client_id: &str) -> Client {
        Client::connect(self.port, user, client_id)
    }

    /// The topics whose messages reach the admin.
    fn published_by(&self, user: Option<&str>, client_id: &str) -> Vec<String> {
        let mut admin = self.client(Some("the-admin"), "the-admin");
        admin.subscribe("#");
        admin.subscribe("$other/#");
        let mut client = self.client(user, client_id);
        TOPICS.iter().filter(|topic| !topic.starts_with("$SYS")).for_each(|topic| client.publish(topic));
        admin.heard()
    }

    /// The topics whose messages the client gets once it asked for each.
    fn read_by(&self, user: Option<&str>, client_id: &str) -> Vec<String> {
        let mut client = self.client(user, client_id);
        TOPICS.iter().for_each(|topic| client.subscribe(topic));
        let mut admin = self.client(Some("the-admin"), "the-admin");
        TOPICS.iter().filter(|topic| !topic.starts_with("$SYS")).for_each(|topic| admin.publish(topic));
        client.heard()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let ended = self.process.kill().and_then(|()| self.process.wait());
        ended.expect("our own child can be ended");
    }
}

struct Client {
    stream: TcpStream,
    input: BytesMut,
    heard: Vec<String>,
}

impl Client {
    fn connect(port: u16, user: Option<&str>, client_id: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("mosquitto listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        let mut client = Self { stream, input: BytesMut::new(), heard: Vec::new() };
        let text = |name| Text::try_from(name).expect("legal text");
        client.send(Packet::Connect(Box::new(Connect {
            version: VERSION,
            clean_start: true,
            keep_alive_s: 0,
            client_id: text(client_id),
            will: None,
            user_name: user.map(text),
            password: None,
            properties: ConnectProperties::default(),
        })));
        let Packet::ConnAck(connack) = client.receive() else { panic!("CONNACK comes first") };
        assert!(!connack.code.is_failure(), "{user:?} {client_id} is let in");
        client
    }

    fn publish(&mut self, topic: &str) {
        self.send(Packet::Publish(Publish {
            dup: false,
            qos: PublishQoS::AtLeastOnce(id()),
            retain: false,
            topic: Some(TopicName::try_from(topic).expect("a legal topic")),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: "x".into(),
        }));
        self.await_one(|packet| matches!(packet, Packet::PubAck(_)));
    }

    fn subscribe(&mut self, filter: &str) {
        let filter = TopicFilter::try_from(filter).expect("a legal filter");
        let filters = vec![SubscribeFilter { filter, options: SubscriptionOptions::default() }];
        self.send(Packet::Subscribe(Subscribe { id: id(), subscription_id: None, user: Vec::new(), filters }));
        self.await_one(|packet| matches!(packet, Packet::SubAck(_)));
    }

    /// Everything that came, each topic as often as it did.
    fn heard(mut self) -> Vec<String> {
        // Answered behind all that was on its way before.
        self.send(Packet::PingReq);
        self.await_one(|packet| matches!(packet, Packet::PingResp));
        self.heard
    }

    fn await_one(&mut self, is_it: impl Fn(&Packet) -> bool) {
        loop {
            match self.receive() {
                Packet::Publish(publish) => self.heard.extend(publish.topic.map(|topic| topic.as_str().to_owned())),
                packet if is_it(&packet) => return,
                packet => panic!("{} was not expected", packet.name()),
            }
        }
    }

    fn send(&mut self, packet: Packet) {
        let mut output = BytesMut::new();
        codec::encode(&packet, VERSION, &mut output).expect("a legal packet");
        self.stream.write_all(&output).expect("mosquitto takes it");
    }

    fn receive(&mut self) -> Packet {
        let limits = codec::Limits::default();
        loop {
            let length = codec::frame_len(&self.input, Some(VERSION), &limits).expect("a legal frame");
            if let Some(length) = length.filter(|length| *length <= self.input.len()) {
                let frame = self.input.split_to(length).freeze();
                return codec::decode(frame, Some(VERSION), &limits).expect("a legal packet");
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("mosquitto answers in time");
            assert!(count > 0, "mosquitto closed the connection");
            self.input.extend_from_slice(&bytes[..count]);
        }
    }
}

fn id() -> PacketId {
    PacketId::new(1).expect("not 0")
}
