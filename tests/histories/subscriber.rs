//! The subscriber's side: receives, acknowledges, and writes down all it was given.
use super::fault::{Fault, Faults};
use super::link::Door;
use super::message::{Message, Source};
use super::peer::Peer;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use vowmq::packet::{Ack, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions};
use vowmq::types::{PacketId, QoS, TopicFilter};

/// One PUBLISH, as a subscriber saw it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub message: Message,
    pub qos: QoS,
    pub dup: bool,
    /// The same QoS 2 identifier again before its PUBREL: no second delivery [MQTT-4.3.3-10].
    pub is_repeat: bool,
    pub at: Instant,
}

/// Everything a subscription came to.
pub struct Reception {
    pub filter: TopicFilter,
    pub qos: QoS,
    /// The next number of each source when SUBACK came: from there on, everything is promised.
    pub promised_from: Option<BTreeMap<Source, u64>>,
    pub arrivals: Vec<Arrival>,
}

pub struct Subscriber {
    pub peer: Peer,
    pub reception: Reception,
    is_subscribed: bool,
    /// QoS 2 identifiers received and not released.
    open: BTreeSet<PacketId>,
}

impl Subscriber {
    pub fn new(peer: Peer, filter: &str, qos: QoS) -> Self {
        let filter = TopicFilter::try_from(filter).expect("a legal filter");
        let reception = Reception { filter, qos, promised_from: None, arrivals: Vec::new() };
        Self { peer, reception, is_subscribed: false, open: BTreeSet::new() }
    }

    pub fn connect(&mut self, door: &Door) {
        self.peer.connect(door);
    }

    /// Whether SUBACK has come in this session.
    pub fn is_subscribed(&self) -> bool {
        self.is_subscribed
    }

    pub fn is_finished(&self) -> bool {
        self.open.is_empty()
    }

    /// `next` tells the next number of each source.
    pub fn handle(&mut self, packet: Packet, next: impl FnOnce() -> BTreeMap<Source, u64>, faults: &mut Faults) {
        match packet {
            Packet::ConnAck(connack) => {
                if !self.peer.accept(&connack, faults) {
                    self.open.clear();
                    self.is_subscribed = false;
                }
                if self.peer.is_accepted() && !self.is_subscribed {
                    self.subscribe();
                }
            }
            Packet::SubAck(suback) if suback.codes.iter().all(|code| !code.is_failure()) => {
                self.is_subscribed = true;
                // After a lost session, what had been promised before still is.
                self.reception.promised_from.get_or_insert_with(next);
            }
            Packet::Publish(publish) => self.receive(&publish, faults),
            Packet::PubRel(ack) => {
                self.open.remove(&ack.id);
                self.peer.send(&Packet::PubComp(Ack::success(ack.id)));
            }
            other => faults.note(Fault::HandshakeBroken, || format!("{} was sent {other:?}", self.peer.name)),
        }
    }

    fn subscribe(&mut self) {
        let options = SubscriptionOptions { qos: self.reception.qos, ..SubscriptionOptions::default() };
        self.peer.send(&Packet::Subscribe(Subscribe {
            id: PacketId::of_position(0),
            subscription_id: None,
            user: Vec::new(),
            filters: vec![SubscribeFilter { filter: self.reception.filter.clone(), options }],
        }));
    }

    fn receive(&mut self, publish: &Publish, faults: &mut Faults) {
        let is_repeat = match publish.qos {
            PublishQoS::ExactlyOnce(id) => {
                // If it is another message that bears the identifier, it is lost here, as it would be at any client.
                self.peer.send(&Packet::PubRec(Ack::success(id)));
                !self.open.insert(id)
            }
            PublishQoS::AtLeastOnce(id) => {
                self.peer.send(&Packet::PubAck(Ack::success(id)));
                false
            }
            PublishQoS::AtMostOnce => false,
        };
        let qos = publish.qos.level();
        let message = Message::named_by(&publish.payload).filter(|message| {
            let topic = message.topic();
            message.payload() == publish.payload
                && publish.topic.as_ref() == Some(&topic)
                && self.reception.filter.matches(&topic)
                && qos == self.reception.qos.min(message.qos())
                && !publish.retain
        });
        match message {
            Some(message) => {
                let arrival = Arrival { message, qos, dup: publish.dup, is_repeat, at: Instant::now() };
                self.reception.arrivals.push(arrival);
            }
            None => faults.note(Fault::MessageAltered, || format!("{} was sent {publish:?}", self.peer.name)),
        }
    }
}
