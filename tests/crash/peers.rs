//! Both ends of the promise, as the standard asks of clients.
use super::Dice;
use super::link::Connection;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions,
    Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, Text, TopicFilter, TopicName};

fn connect(version: Version, name: &str, receive_maximum: Option<u16>) -> Connect {
    let session_expiry_s = version.is_v5().then_some(3600);
    Connect {
        version,
        clean_start: false,
        keep_alive_s: 0,
        client_id: Text::try_from(name).expect("a legal name"),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties { session_expiry_s, receive_maximum, ..ConnectProperties::default() },
    }
}

/// Sends numbered messages, alternating between QoS 1 and 2, and keeps each until its handshake is over.
pub struct Publisher {
    version: Version,
    window: u64,
    unfinished: VecDeque<Unfinished>,
    next: u64,
    connections: u64,
    /// Messages whose PUBACK or PUBREC came.
    pub acknowledged: u64,
}

struct Unfinished {
    number: u64,
    id: PacketId,
    is_released: bool,
}

fn is_qos2(number: u64) -> bool {
    number % 2 == 1
}

impl Publisher {
    pub fn new(version: Version, window: u64) -> Self {
        Self { version, window, unfinished: VecDeque::new(), next: 0, connections: 0, acknowledged: 0 }
    }

    pub fn connect(&mut self, address: SocketAddr) -> Connection {
        let (mut connection, connack) = Connection::open(address, connect(self.version, "publisher", None));
        assert_eq!(connack.session_present, self.connections > 0, "the publisher's session is lost");
        self.connections += 1;
        // [MQTT-4.4.0-1]
        for unfinished in &self.unfinished {
            let packet = if unfinished.is_released {
                Packet::PubRel(Ack::success(unfinished.id))
            } else {
                message(unfinished, true)
            };
            connection.send(&packet);
        }
        connection
    }

    /// Publishes the next message if the window allows.
    pub fn publish(&mut self, connection: &mut Connection, dice: &mut Dice) {
        for _ in 0..=dice.below(20) {
            if self.unfinished.len() as u64 >= self.window {
                return;
            }
            let id = PacketId::of_position(self.next);
            let unfinished = Unfinished { number: self.next, id, is_released: false };
            connection.send(&message(&unfinished, false));
            self.unfinished.push_back(unfinished);
            self.next += 1;
        }
    }

    pub fn handle(&mut self, connection: &mut Connection) {
        while let Some(packet) = connection.next() {
            match packet {
                Packet::PubAck(ack) => {
                    self.acknowledged += 1;
                    self.finish(ack.id);
                }
                Packet::PubRec(ack) => {
                    let found = self.unfinished.iter_mut().find(|unfinished| unfinished.id == ack.id);
                    let found = found.expect("PUBREC answers a PUBLISH that is not finished");
                    self.acknowledged += u64::from(!found.is_released);
                    found.is_released = true;
                    connection.send(&Packet::PubRel(Ack::success(ack.id)));
                }
                Packet::PubComp(ack) => self.finish(ack.id),
                other => panic!("the publisher was sent {}", other.name()),
            }
        }
    }

    /// Reads what the broker sent before it died.
    pub fn drain(&mut self, connection: &mut Connection) {
        while !connection.is_dead() {
            self.handle(connection);
        }
    }

    pub fn is_finished(&self) -> bool {
        self.unfinished.is_empty()
    }

    pub fn published(&self) -> u64 {
        self.next
    }

    fn finish(&mut self, id: PacketId) {
        let place = self.unfinished.iter().position(|unfinished| unfinished.id == id);
        self.unfinished.remove(place.expect("an acknowledgement answers what is not finished"));
    }
}

fn message(unfinished: &Unfinished, dup: bool) -> Packet {
    let id = unfinished.id;
    Packet::Publish(Publish {
        dup,
        qos: if is_qos2(unfinished.number) { PublishQoS::ExactlyOnce(id) } else { PublishQoS::AtLeastOnce(id) },
        retain: false,
        topic: Some(TopicName::try_from("crash/test").expect("a legal topic")),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::from(unfinished.number.to_string()),
    })
}

/// Receives, acknowledges, and remembers what it was given.
pub struct Subscriber {
    version: Version,
    connections: u64,
    /// QoS 2 identifiers received and not released [MQTT-4.3.3-10].
    open: BTreeSet<PacketId>,
    arrivals: Vec<u64>,
    seen: BTreeMap<u64, u64>,
}

impl Subscriber {
    pub fn new(version: Version) -> Self {
        Self { version, connections: 0, open: BTreeSet::new(), arrivals: Vec::new(), seen: BTreeMap::new() }
    }

    pub fn connect(&mut self, address: SocketAddr, dice: &mut Dice) -> Connection {
        let receive_maximum = self.version.is_v5().then(|| 1 + u16::try_from(dice.below(200)).expect("below 200"));
        let (connection, connack) = Connection::open(address, connect(self.version, "subscriber", receive_maximum));
        assert_eq!(connack.session_present, self.connections > 0, "the subscriber's session is lost");
        self.connections += 1;
        connection
    }

    pub fn subscribe(&mut self, connection: &mut Connection) {
        let filter = TopicFilter::try_from("crash/#").expect("a legal filter");
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        connection.send(&Packet::Subscribe(Subscribe {
            id: PacketId::of_position(0),
            subscription_id: None,
            user: Vec::new(),
            filters: vec![SubscribeFilter { filter, options }],
        }));
        loop {
            match connection.next() {
                Some(Packet::SubAck(_)) => return,
                Some(other) => panic!("{} instead of SUBACK", other.name()),
                None => assert!(!connection.is_dead(), "the broker is gone"),
            }
        }
    }

    pub fn handle(&mut self, connection: &mut Connection) {
        while let Some(packet) = connection.next() {
            match packet {
                Packet::Publish(publish) => self.receive(&publish, connection),
                Packet::PubRel(ack) => {
                    self.open.remove(&ack.id);
                    connection.send(&Packet::PubComp(Ack::success(ack.id)));
                }
                other => panic!("the subscriber was sent {}", other.name()),
            }
        }
    }

    pub fn drain(&mut self, connection: &mut Connection) {
        while !connection.is_dead() {
            self.handle(connection);
        }
    }

    pub fn has_all(&self, publisher: &Publisher) -> bool {
        self.seen.len() as u64 == publisher.published() && self.open.is_empty()
    }

    pub fn missing(&self, publisher: &Publisher) -> String {
        let missing: Vec<_> = (0..publisher.published()).filter(|number| !self.seen.contains_key(number)).collect();
        let (open, unfinished) = (self.open.len(), publisher.unfinished.len());
        format!("lost {missing:?}; {open} QoS 2 deliveries and {unfinished} publishes do not finish")
    }

    /// QoS 2 exactly once, and first arrivals in the order of publication, for each QoS.
    pub fn check(&self, seed: u64) {
        for (number, times) in self.seen.iter().filter(|(number, _)| is_qos2(**number)) {
            assert_eq!(*times, 1, "seed {seed}: QoS 2 message {number} came {times} times");
        }
        for wants_qos2 in [false, true] {
            let firsts: Vec<_> = self.arrivals.iter().filter(|number| is_qos2(**number) == wants_qos2).collect();
            assert!(firsts.is_sorted(), "seed {seed}: reordered: {firsts:?}");
        }
    }

    pub fn doubled_qos1(&self) -> u64 {
        self.seen.values().map(|times| times - 1).sum()
    }

    fn receive(&mut self, publish: &Publish, connection: &mut Connection) {
        let number = std::str::from_utf8(&publish.payload).expect("a number").parse().expect("a number");
        match publish.qos {
            PublishQoS::ExactlyOnce(id) => {
                if self.open.insert(id) {
                    self.note(number);
                }
                connection.send(&Packet::PubRec(Ack::success(id)));
            }
            PublishQoS::AtLeastOnce(id) => {
                self.note(number);
                connection.send(&Packet::PubAck(Ack::success(id)));
            }
            PublishQoS::AtMostOnce => panic!("nothing is published with QoS 0"),
        }
    }

    fn note(&mut self, number: u64) {
        let times = self.seen.entry(number).or_insert(0);
        *times += 1;
        if *times == 1 {
            self.arrivals.push(number);
        }
    }
}
