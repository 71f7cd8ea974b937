//! The publisher's side, as the standard asks of clients: each message is kept until its handshake is over.
use super::dice::Dice;
use super::fault::{Fault, Faults};
use super::link::Door;
use super::message::{Message, Source};
use super::peer::Peer;
use std::collections::VecDeque;
use vowmq::packet::{Ack, Packet, Publish, PublishQoS};
use vowmq::types::{PacketId, PublishProperties, QoS};

/// What became of a message on its way to the broker.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// PUBLISH packets, the first one and those with DUP.
    pub times: u64,
    /// PUBACK or PUBREC came: the broker owns it.
    pub is_acknowledged: bool,
}

pub struct Publisher {
    pub peer: Peer,
    pub source: Source,
    window: u64,
    unfinished: VecDeque<Unfinished>,
    /// By the message's number.
    pub sent: Vec<Sent>,
}

struct Unfinished {
    number: u64,
    id: PacketId,
    is_released: bool,
}

impl Publisher {
    pub fn new(peer: Peer, source: Source, window: u64) -> Self {
        Self { peer, source, window, unfinished: VecDeque::new(), sent: Vec::new() }
    }

    pub fn connect(&mut self, door: &Door) {
        self.peer.connect(door);
    }

    /// Publishes up to `burst` messages, as far as the window allows.
    pub fn publish(&mut self, dice: &mut Dice, burst: u64) {
        let window = self.window.min(self.peer.send_maximum);
        for _ in 0..=dice.below(burst) {
            if !self.peer.is_accepted() || self.unfinished.len() as u64 >= window {
                return;
            }
            let number = self.sent.len() as u64;
            self.sent.push(Sent::default());
            self.unfinished.push_back(Unfinished { number, id: PacketId::of_position(number), is_released: false });
            self.send_publish(self.unfinished.len() - 1, false);
        }
    }

    /// Returns how many messages the packet acknowledges.
    pub fn handle(&mut self, packet: Packet, faults: &mut Faults) -> u64 {
        match packet {
            Packet::ConnAck(connack) => {
                if self.peer.accept(&connack, faults) {
                    self.resume();
                } else {
                    // Nothing that was not acknowledged is promised, and the rest is the broker's.
                    self.unfinished.clear();
                }
                0
            }
            Packet::PubAck(ack) => self.acknowledge(&ack, QoS::AtLeastOnce, faults),
            Packet::PubRec(ack) => {
                let count = self.acknowledge(&ack, QoS::ExactlyOnce, faults);
                self.peer.send(&Packet::PubRel(Ack::success(ack.id)));
                count
            }
            Packet::PubComp(ack) => {
                match self.position(&ack) {
                    Some(position) if self.unfinished.get(position).is_some_and(|it| it.is_released) => {
                        self.unfinished.remove(position);
                    }
                    _ => faults.note(Fault::HandshakeBroken, || format!("{}: {ack:?} PUBCOMP", self.peer.name)),
                }
                0
            }
            other => {
                faults.note(Fault::HandshakeBroken, || format!("{} was sent {other:?}", self.peer.name));
                0
            }
        }
    }

    pub fn is_finished(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// Messages published so far; the next one has this number.
    pub fn next(&self) -> u64 {
        self.sent.len() as u64
    }

    // [MQTT-4.4.0-1]
    fn resume(&mut self) {
        for place in 0..self.unfinished.len() {
            let Some(unfinished) = self.unfinished.get(place) else { return };
            if unfinished.is_released {
                let packet = Packet::PubRel(Ack::success(unfinished.id));
                self.peer.send(&packet);
            } else {
                self.send_publish(place, true);
            }
        }
    }

    fn send_publish(&mut self, place: usize, dup: bool) {
        let Some(Unfinished { number, id, .. }) = self.unfinished.get(place) else { return };
        let message = Message { source: self.source, number: *number };
        let qos = match message.qos() {
            QoS::ExactlyOnce => PublishQoS::ExactlyOnce(*id),
            QoS::AtLeastOnce | QoS::AtMostOnce => PublishQoS::AtLeastOnce(*id),
        };
        let place = usize::try_from(*number).expect("messages fit in memory");
        self.sent.get_mut(place).expect("a message is entered before it is sent").times += 1;
        self.peer.send(&Packet::Publish(Publish {
            dup,
            qos,
            retain: matches!(self.source, Source::Kept(_)),
            topic: Some(message.topic()),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: message.payload(),
        }));
    }

    fn acknowledge(&mut self, ack: &Ack, level: QoS, faults: &mut Faults) -> u64 {
        let Some(unfinished) = self.position(ack).and_then(|position| self.unfinished.get_mut(position)) else {
            faults.note(Fault::HandshakeBroken, || format!("{}: {ack:?} answers nothing", self.peer.name));
            return 0;
        };
        let message = Message { source: self.source, number: unfinished.number };
        if message.qos() != level || ack.code.is_failure() {
            faults.note(Fault::HandshakeBroken, || format!("{}: {ack:?} answers {message:?}", self.peer.name));
            return 0;
        }
        let is_first = !unfinished.is_released;
        unfinished.is_released = true;
        if level == QoS::AtLeastOnce {
            self.unfinished.retain(|it| it.id != ack.id);
        }
        let place = usize::try_from(message.number).expect("messages fit in memory");
        self.sent.get_mut(place).expect("what is acknowledged was sent").is_acknowledged = true;
        u64::from(is_first)
    }

    fn position(&self, ack: &Ack) -> Option<usize> {
        self.unfinished.iter().position(|unfinished| unfinished.id == ack.id)
    }
}
