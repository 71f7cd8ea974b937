//! A client that does what a test says, packet by packet, and a broker with an admin listener.
use crate::common::broker::Broker;
use bytes::{Bytes, BytesMut};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use vowmq::codec::{self, ForwardProperties};
use vowmq::packet::{
    Ack, ConnAck, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

pub const PATIENCE: Duration = Duration::from_secs(15);

pub struct Peer {
    stream: TcpStream,
    input: BytesMut,
    version: Version,
}

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).unwrap()
}

pub fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

impl Peer {
    /// Connects with a session that is kept.
    pub fn connect(broker: &Broker, client_id: &str) -> Self {
        Self::connect_at(broker.address, client_id)
    }

    /// The same, through another listener.
    pub fn connect_at(address: SocketAddr, client_id: &str) -> Self {
        let (peer, connack) = Self::ask_to_connect_at(address, client_id);
        assert_eq!(connack.code, ReasonCode::Success);
        peer
    }

    #[allow(dead_code, reason = "not every test that talks to a broker is refused")]
    pub fn ask_to_connect(broker: &Broker, client_id: &str) -> (Self, ConnAck) {
        Self::ask_to_connect_at(broker.address, client_id)
    }

    pub fn ask_to_connect_at(address: SocketAddr, client_id: &str) -> (Self, ConnAck) {
        let (mut peer, version) = (Self::open(address), Version::V5);
        let properties = ConnectProperties { session_expiry_s: Some(3600), ..ConnectProperties::default() };
        peer.send(&Packet::Connect(Box::new(Connect {
            version,
            clean_start: false,
            keep_alive_s: 60,
            client_id: text(client_id),
            will: None,
            user_name: None,
            password: None,
            properties,
        })));
        match peer.next() {
            Some(Packet::ConnAck(connack)) => (peer, *connack),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    fn open(address: SocketAddr) -> Self {
        // A broker with several listeners opens them one after the other, and is waited for by its first.
        let deadline = Instant::now() + PATIENCE;
        let stream = loop {
            match TcpStream::connect(address) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                connected => break connected.unwrap(),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, input: BytesMut::new(), version: Version::V5 }
    }

    pub fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        codec::encode(packet, self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next packet; `None` once the broker has closed the connection.
    pub fn next(&mut self) -> Option<Packet> {
        let limits = codec::Limits::default();
        loop {
            if let Some(length) = codec::frame_len(&self.input, Some(self.version), &limits).unwrap()
                && length <= self.input.len()
            {
                let frame = self.input.split_to(length).freeze();
                return Some(codec::decode(frame, Some(self.version), &limits).unwrap());
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
            }
        }
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = TopicFilter::try_from(filter).unwrap();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = vec![SubscribeFilter { filter, options }];
        self.send(&Packet::Subscribe(Subscribe { id: id(1), subscription_id: None, user: Vec::new(), filters }));
        // What is published meanwhile may come first.
        while !matches!(self.next().expect("the connection is open"), Packet::SubAck(_)) {}
    }

    /// Subscribes; gives the code of the SUBACK.
    #[allow(dead_code, reason = "not every test that talks to a broker is refused")]
    pub fn try_subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        let filter = TopicFilter::try_from(filter).unwrap();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = vec![SubscribeFilter { filter, options }];
        self.send(&Packet::Subscribe(Subscribe { id: id(1), subscription_id: None, user: Vec::new(), filters }));
        match self.next() {
            Some(Packet::SubAck(suback)) => suback.codes[0],
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    pub fn publish(&mut self, topic: &str, qos: PublishQoS, payload: &str, user: &[(&str, &str)]) {
        let user = user.iter().map(|(name, value)| (text(name), text(value))).collect();
        let forward = ForwardProperties { user, ..ForwardProperties::default() }.encode().unwrap();
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic: Some(TopicName::try_from(topic).unwrap()),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties { forward, ..PublishProperties::default() },
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        }));
    }

    pub fn publish_qos1(&mut self, topic: &str, payload: &str) {
        self.publish(topic, PublishQoS::AtLeastOnce(id(7)), payload, &[]);
        assert!(matches!(self.next(), Some(Packet::PubAck(_))));
    }

    pub fn expect_publish(&mut self) -> Publish {
        match self.next() {
            Some(Packet::Publish(publish)) => publish,
            other => panic!("no PUBLISH but {other:?}"),
        }
    }
}

pub fn ack(id: PacketId) -> Ack {
    Ack::success(id)
}

/// A broker whose admin listener takes any free port.
pub fn start(extra_toml: &str) -> Broker {
    Broker::start(&format!("{extra_toml}\n[admin]\naddress = \"127.0.0.1:0\"\n"))
}

pub fn admin_address(broker: &Broker) -> String {
    eventually("the admin address", || {
        let told = std::fs::read_to_string(broker.data_dir().join("admin.address")).ok()?;
        told.ends_with('\n').then(|| told.trim().to_owned())
    })
}

pub fn own_token(broker: &Broker) -> String {
    admin_address(broker);
    std::fs::read_to_string(broker.data_dir().join("admin.token")).unwrap().trim().to_owned()
}

/// One request; the status, the headers in lower case, and the body.
pub fn request(
    broker: &Broker,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    // After a kill the file of the one before is there for a moment.
    let (address, mut stream) = eventually("the admin side", || {
        let address = admin_address(broker);
        Some((address.clone(), TcpStream::connect(address).ok()?))
    });
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_else(|| panic!("no answer but {answer:?}")).parse().unwrap();
    let is_chunked = head.to_lowercase().contains("transfer-encoding: chunked");
    (status, head.to_lowercase(), if is_chunked { unchunked(body) } else { body.to_owned() })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole.push_str(&rest[..length]);
        body = rest[length..].strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}

/// A request with the broker's own token, answered with JSON.
pub fn ask(broker: &Broker, method: &str, path: &str, body: &str) -> (u16, Value) {
    let authorization = format!("Bearer {}", own_token(broker));
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let (status, _, body) = request(broker, method, path, &headers, body);
    (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

pub fn read(broker: &Broker, path: &str) -> Value {
    let (status, answer) = ask(broker, "GET", path, "");
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Asks again until there is an answer: what other threads do has no event to wait for from outside.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what} does not come");
        std::thread::yield_now();
    }
}
