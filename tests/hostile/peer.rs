//! A client that sends what a test says, legal or not, and knows what the process at the other end takes.
use crate::common::broker::{Broker, listening};
use bytes::{Bytes, BytesMut};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::codec;
use vowmq::packet::{
    Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version,
    Will,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Peer {
    pub stream: TcpStream,
    input: BytesMut,
    version: Version,
}

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

/// A CONNECT of a session that is not kept.
pub fn connect(client_id: &str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: text(client_id),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// One of a session that is kept.
pub fn kept(client_id: &str) -> Connect {
    let properties = ConnectProperties { session_expiry_s: Some(3600), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..connect(client_id) }
}

pub fn by(user: &str, password: &str, connect: Connect) -> Connect {
    Connect { user_name: Some(text(user)), password: Some(Bytes::copy_from_slice(password.as_bytes())), ..connect }
}

pub fn will(topic: &str) -> Will {
    Will {
        topic: TopicName::try_from(topic).unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_s: 0,
        properties: PublishProperties::default(),
    }
}

pub fn publish(topic: &str, qos: PublishQoS, payload: &[u8]) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::try_from(topic).unwrap()),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::copy_from_slice(payload),
    }
}

pub fn encoded(packet: &Packet) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    codec::encode(packet, Version::V5, &mut bytes).unwrap();
    bytes.to_vec()
}

/// A packet of any kind with any body.
pub fn raw(first: u8, body: &[u8]) -> Vec<u8> {
    let (mut bytes, mut left) = (vec![first], body.len());
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        bytes.push(u8::try_from(left % 128).unwrap() | more);
        left /= 128;
        if left == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

impl Peer {
    /// Connects to a port of this machine, and says nothing.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, input: BytesMut::new(), version: Version::V5 }
    }

    /// Connects; the second part is the code of CONNACK.
    pub fn ask(port: u16, connect: Connect) -> (Self, ReasonCode) {
        let mut peer = Self::open(port);
        peer.version = connect.version;
        peer.send(&Packet::Connect(Box::new(connect)));
        match peer.next() {
            Some(Packet::ConnAck(connack)) => (peer, connack.code),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    pub fn connect(port: u16, connect: Connect) -> Self {
        let (peer, code) = Self::ask(port, connect);
        assert_eq!(code, ReasonCode::Success);
        peer
    }

    pub fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Whether the bytes could be written: who is cut meanwhile is cut.
    pub fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// The next packet; `None` once the broker has closed the connection. Panics if nothing happens.
    pub fn next(&mut self) -> Option<Packet> {
        let limits = codec::Limits::default();
        loop {
            if let Some(length) = codec::frame_len(&self.input, Some(self.version), &limits).unwrap()
                && length <= self.input.len()
            {
                let frame = self.input.split_to(length).freeze();
                return Some(codec::decode(frame, Some(self.version), &limits).unwrap());
            }
            let mut chunk = [0; 16384];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("neither a packet nor the end of the connection: {error}"),
            }
        }
    }

    /// What the broker says until it closes the connection.
    pub fn rest(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The code with which the broker ends the connection.
    pub fn farewell(&mut self) -> Option<ReasonCode> {
        match self.rest().pop() {
            Some(Packet::Disconnect(disconnect)) => Some(disconnect.code),
            Some(Packet::ConnAck(connack)) => Some(connack.code),
            Some(_) | None => None,
        }
    }

    /// The code of the SUBACK; what is published meanwhile may come first.
    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        let filter = TopicFilter::try_from(filter).unwrap();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = vec![SubscribeFilter { filter, options }];
        self.send(&Packet::Subscribe(Subscribe { id: id(65535), subscription_id: None, user: Vec::new(), filters }));
        loop {
            match self.next().expect("the connection is open") {
                Packet::SubAck(suback) => return suback.codes[0],
                _other => {}
            }
        }
    }

    /// Publishes with QoS 1; the code of the PUBACK.
    pub fn publish(&mut self, topic: &str, retain: bool, payload: &[u8]) -> ReasonCode {
        let publish = Publish { retain, ..publish(topic, PublishQoS::AtLeastOnce(id(7)), payload) };
        self.send(&Packet::Publish(publish));
        match self.next() {
            Some(Packet::PubAck(ack)) => ack.code,
            other => panic!("no PUBACK but {other:?}"),
        }
    }

    /// What has come before the answer to a PINGREQ: nothing that was sent before can come later, but deliveries.
    pub fn before_pong(&mut self) -> Vec<Packet> {
        self.send(&Packet::PingReq);
        let mut before = Vec::new();
        loop {
            match self.next().expect("the connection is open") {
                Packet::PingResp => return before,
                other => before.push(other),
            }
        }
    }

    pub fn expect_publish(&mut self) -> Publish {
        match self.next() {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("no PUBLISH but {other:?}"),
        }
    }
}

/// Whether somebody new gets in, and a message through.
pub fn assert_serves(broker: &Broker) {
    let mut witness = Peer::connect(broker.port, connect("witness"));
    assert_eq!(witness.subscribe("witness/of/the/rest", QoS::AtMostOnce), ReasonCode::Success);
    witness.send(&Packet::Publish(publish("witness/of/the/rest", PublishQoS::AtMostOnce, b"seen")));
    assert_eq!(&witness.expect_publish().payload[..], b"seen");
}

/// KiB of main memory that the broker takes.
pub fn resident_kib(broker: &Broker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel tells");
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How many connections the broker holds, and how many more wait to be taken by it. A connection that its client
/// has given up long ago is among them for as long as what came by it may still be read; the kernel's table of
/// connections knows nothing of it any more.
pub fn open_connections(broker: &Broker) -> usize {
    let listeners: HashMap<_, _> = listening().into_iter().map(|listener| (listener.inode, listener.waiting)).collect();
    let unix = std::fs::read_to_string("/proc/net/unix").unwrap();
    let local: HashSet<_> = unix.lines().filter_map(|line| line.split_whitespace().nth(6)).collect();
    // Asked after the tables: what is taken between the two looks is counted by this one.
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", broker.pid())).unwrap().flatten();
    let targets =
        descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok());
    let sockets = targets.filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()));
    let of_tcp = sockets.filter(|inode| !local.contains(inode.as_str()));
    of_tcp.map(|inode| listeners.get(&inode).copied().unwrap_or(1)).sum()
}

/// Asks until something holds: what other threads of the broker do has no event to wait for from outside.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} does not come about");
        std::thread::yield_now();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Files of one test, and a listener for the users ann and bob, whose passwords are "a" and "b".
pub struct House {
    directory: TempDir,
    pub port: u16,
}

impl House {
    pub fn new(rules: &str) -> Self {
        let house = Self { directory: tempfile::tempdir().unwrap(), port: free_port() };
        house.users("ann:a\nbob:b\n");
        house.rules(rules);
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts these users in place of those that were there.
    pub fn users(&self, lines: &str) {
        let draft = self.path("users.draft");
        let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
        command.arg("passwd").arg(&draft).arg("batch").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(process.wait().unwrap().success());
        std::fs::rename(draft, self.path("users")).unwrap();
    }

    pub fn rules(&self, rules: &str) {
        std::fs::write(self.path("acl.draft"), rules).unwrap();
        std::fs::rename(self.path("acl.draft"), self.path("acl.toml")).unwrap();
    }

    pub fn settings(&self) -> String {
        format!(
            "[[listener]]\naddress = \"127.0.0.1:{}\"\n[[authenticator]]\nname = \"people\"\nkind = \"password_file\"\n\
             file = \"{}\"\n[access]\nfile = \"{}\"\n",
            self.port,
            self.path("users").display(),
            self.path("acl.toml").display()
        )
    }
}

/// A value that the broker publishes of itself.
pub fn counter(broker: &Broker, topic: &str) -> u64 {
    let mut peer = Peer::connect(broker.port, connect("reader-of-counters"));
    peer.subscribe(&format!("$SYS/broker/{topic}"), QoS::AtMostOnce);
    let payload = peer.expect_publish().payload;
    std::str::from_utf8(&payload).unwrap().parse().unwrap()
}
