//! The client's side of the standard, as a model.
use super::Dice;
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use vowmq::broker::Attachment;
use vowmq::codec;
use vowmq::packet::{
    Ack, ConnAck, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, Version, Will,
};
use vowmq::types::{PacketId, PublishProperties, QoS, Text, TopicFilter, TopicName};

/// A connection with what is under way on it, in both directions.
pub struct Link {
    pub attachment: Attachment,
    pub up: VecDeque<Bytes>,
    pub down: VecDeque<Bytes>,
    pub will: Option<String>,
}

/// A message on its way from a publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub topic: String,
    pub qos: QoS,
    pub retain: bool,
    pub payload: String,
}

struct Unfinished {
    id: PacketId,
    sent: Sent,
    is_released: bool,
}

pub struct Client {
    pub index: usize,
    pub version: Version,
    pub link: Option<Link>,
    pub filters: Vec<(String, QoS)>,
    pub sent: Vec<Sent>,
    /// First arrivals in order, and how often each payload came on which topic and QoS.
    pub arrivals: Vec<(String, QoS, String)>,
    pub times: BTreeMap<(String, QoS), u64>,
    connections: u64,
    receive_maximum: u16,
    unfinished: VecDeque<Unfinished>,
    next_id: u64,
    /// QoS 2 identifiers received and not released.
    open: BTreeSet<PacketId>,
    /// Identifiers of deliveries not finished on this connection.
    in_flight: BTreeSet<PacketId>,
    aliases: BTreeMap<u16, TopicName>,
    pub is_subscribed: bool,
    /// CONNACK came on this connection.
    is_connected: bool,
}

/// What a client tells the oracle.
pub enum Event {
    /// A message was acknowledged.
    Acknowledged(Sent),
}

const RECEIVE_MAXIMUM: [u16; 4] = [1, 2, 5, 50];
pub const WINDOW: usize = 20;

impl Client {
    pub fn new(index: usize, dice: &mut Dice, filters: Vec<(String, QoS)>) -> Self {
        Self {
            index,
            version: if dice.one_in(2) { Version::V5 } else { Version::V311 },
            link: None,
            filters,
            sent: Vec::new(),
            arrivals: Vec::new(),
            times: BTreeMap::new(),
            connections: 0,
            receive_maximum: RECEIVE_MAXIMUM[usize::try_from(dice.below(4)).expect("below 4")],
            unfinished: VecDeque::new(),
            next_id: 0,
            open: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            aliases: BTreeMap::new(),
            is_subscribed: false,
            is_connected: false,
        }
    }

    /// `attempt` tells the will of this connection from all others.
    pub fn connect_packet(&self, with_will: bool, attempt: u64) -> Connect {
        let v5 = self.version.is_v5();
        let will = with_will.then(|| Will {
            topic: TopicName::try_from(format!("will/{}", self.index).as_str()).expect("a legal topic"),
            payload: Bytes::from(format!("w{}:{attempt}", self.index)),
            qos: QoS::ExactlyOnce,
            retain: false,
            delay_s: 0,
            properties: PublishProperties::default(),
        });
        Connect {
            version: self.version,
            clean_start: false,
            keep_alive_s: 0,
            client_id: Text::try_from(format!("c{}", self.index).as_str()).expect("a legal name"),
            will,
            user_name: None,
            password: None,
            properties: ConnectProperties {
                session_expiry_s: v5.then_some(u32::MAX),
                receive_maximum: v5.then_some(self.receive_maximum),
                topic_alias_maximum: v5.then_some(3),
                ..ConnectProperties::default()
            },
        }
    }

    /// CONNACK came on this connection.
    pub fn is_connected(&self) -> bool {
        self.is_connected
    }

    /// The connection is there; CONNACK is yet to come.
    pub fn connected(&mut self, attachment: Attachment, will: Option<String>) {
        self.link = Some(Link { attachment, up: VecDeque::new(), down: VecDeque::new(), will });
        self.is_connected = false;
        self.in_flight.clear();
        self.aliases.clear();
    }

    pub fn is_finished(&self) -> bool {
        self.unfinished.is_empty() && self.open.is_empty()
    }

    pub fn publish(&mut self, sent: Sent) {
        if self.unfinished.len() >= WINDOW || !self.is_connected {
            return;
        }
        let id = loop {
            let id = PacketId::of_position(self.next_id % 30);
            self.next_id += 1;
            if self.unfinished.iter().all(|unfinished| unfinished.id != id) {
                break id;
            }
        };
        self.sent.push(sent.clone());
        let unfinished = Unfinished { id, sent, is_released: false };
        let packet = unfinished.publish(false);
        self.unfinished.push_back(unfinished);
        self.send(&packet);
    }

    pub fn send(&mut self, packet: &Packet) {
        let version = self.version;
        if let Some(link) = &mut self.link {
            link.up.push_back(encoded(packet, version));
        }
    }

    /// Handles one packet from the broker.
    pub fn handle(&mut self, frame: Bytes) -> Option<Event> {
        let packet = codec::decode(frame, Some(self.version), &codec::Limits::default()).expect("a legal packet");
        match packet {
            Packet::ConnAck(connack) => self.handle_connack(&connack),
            Packet::Publish(publish) => self.receive(publish),
            Packet::PubRel(ack) => {
                self.open.remove(&ack.id);
                self.in_flight.remove(&ack.id);
                self.send(&Packet::PubComp(Ack::success(ack.id)));
            }
            Packet::PubAck(ack) => return self.finish(ack.id).map(|found| Event::Acknowledged(found.sent)),
            Packet::PubRec(ack) => {
                let found = self.unfinished.iter_mut().find(|unfinished| unfinished.id == ack.id)?;
                let is_news = !std::mem::replace(&mut found.is_released, true);
                let sent = found.sent.clone();
                self.send(&Packet::PubRel(Ack::success(ack.id)));
                return is_news.then_some(Event::Acknowledged(sent));
            }
            Packet::PubComp(ack) => {
                self.finish(ack.id);
            }
            Packet::SubAck(_) => self.is_subscribed = true,
            Packet::Disconnect(_) => {}
            other => panic!("a client was sent {}", other.name()),
        }
        None
    }

    fn handle_connack(&mut self, connack: &ConnAck) {
        assert_eq!(connack.session_present, self.connections > 0, "c{}: the session is lost", self.index);
        self.connections += 1;
        self.is_connected = true;
        if !self.is_subscribed && !self.filters.is_empty() {
            let packet = self.subscribe();
            self.send(&packet);
        }
        // [MQTT-4.4.0-1]: in the original order.
        let again: Vec<_> = self.unfinished.iter().map(Unfinished::again).collect();
        again.iter().for_each(|packet| self.send(packet));
    }

    fn subscribe(&self) -> Packet {
        let filters = self.filters.iter().map(|(filter, qos)| SubscribeFilter {
            filter: TopicFilter::try_from(filter.as_str()).expect("a legal filter"),
            options: SubscriptionOptions { qos: *qos, ..SubscriptionOptions::default() },
        });
        let subscription_id = self.version.is_v5().then_some(7);
        let id = PacketId::of_position(100);
        Packet::Subscribe(Subscribe { id, subscription_id, user: Vec::new(), filters: filters.collect() })
    }

    fn receive(&mut self, publish: Publish) {
        let topic = match (publish.topic, publish.topic_alias) {
            (Some(topic), Some(alias)) => {
                assert!((1..=3).contains(&alias), "[MQTT-3.1.2-26]");
                self.aliases.insert(alias, topic.clone());
                topic
            }
            (Some(topic), None) => topic,
            (None, Some(alias)) => self.aliases.get(&alias).expect("the alias was set on this connection").clone(),
            (None, None) => panic!("a PUBLISH without a topic"),
        };
        let qos = publish.qos.level();
        let payload = String::from_utf8(publish.payload.to_vec()).expect("a text");
        let Some(id) = publish.qos.id() else { return };
        // [MQTT-2.2.1-4]
        assert!(self.in_flight.insert(id), "c{}: identifier {} is in use", self.index, id.value());
        if self.version.is_v5() {
            // [MQTT-3.3.4-9]
            assert!(self.in_flight.len() <= usize::from(self.receive_maximum), "c{}: window exceeded", self.index);
        }
        match publish.qos {
            PublishQoS::ExactlyOnce(id) => {
                if self.open.insert(id) {
                    self.note(&topic, qos, payload);
                }
                self.send(&Packet::PubRec(Ack::success(id)));
            }
            PublishQoS::AtLeastOnce(id) => {
                self.note(&topic, qos, payload);
                self.in_flight.remove(&id);
                self.send(&Packet::PubAck(Ack::success(id)));
            }
            PublishQoS::AtMostOnce => {}
        }
    }

    fn note(&mut self, topic: &TopicName, qos: QoS, payload: String) {
        let times = self.times.entry((payload.clone(), qos)).or_insert(0);
        *times += 1;
        if *times == 1 {
            self.arrivals.push((topic.as_str().to_owned(), qos, payload));
        }
    }

    fn finish(&mut self, id: PacketId) -> Option<Unfinished> {
        let place = self.unfinished.iter().position(|unfinished| unfinished.id == id)?;
        self.unfinished.remove(place)
    }
}

impl Unfinished {
    fn publish(&self, dup: bool) -> Packet {
        Packet::Publish(Publish {
            dup,
            qos: match self.sent.qos {
                QoS::ExactlyOnce => PublishQoS::ExactlyOnce(self.id),
                QoS::AtMostOnce | QoS::AtLeastOnce => PublishQoS::AtLeastOnce(self.id),
            },
            retain: self.sent.retain,
            topic: Some(TopicName::try_from(self.sent.topic.as_str()).expect("a legal topic")),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: Bytes::from(self.sent.payload.clone()),
        })
    }

    fn again(&self) -> Packet {
        if self.is_released { Packet::PubRel(Ack::success(self.id)) } else { self.publish(true) }
    }
}

pub fn encoded(packet: &Packet, version: Version) -> Bytes {
    let mut bytes = BytesMut::new();
    codec::encode(packet, version, &mut bytes).expect("a legal packet");
    bytes.freeze()
}
