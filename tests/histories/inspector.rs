//! Looks at the retained messages, as a client that comes for the first time.
use super::fault::{Fault, Faults};
use super::link::Who;
use super::message::{Message, TOPICS};
use super::peer::Peer;
use super::publisher::Publisher;
use std::collections::BTreeMap;
use vowmq::packet::{Ack, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions, Version};
use vowmq::types::{PacketId, QoS, TopicFilter};

pub struct Inspector {
    pub peer: Peer,
    /// By topic, what the retained message may be now.
    allowed: BTreeMap<String, Vec<Allowed>>,
    found: BTreeMap<String, Message>,
    is_subscribed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowed {
    Nothing,
    Message(Message),
}

impl Inspector {
    pub fn new(version: Version, keepers: &[&Publisher]) -> Self {
        let mut peer = Peer::new(Who::Inspector, "inspector".to_owned(), version);
        peer.session_expiry_s = None;
        let mut allowed = BTreeMap::new();
        for keeper in keepers {
            allowed.extend(allowed_now(keeper));
        }
        Self { peer, allowed, found: BTreeMap::new(), is_subscribed: false }
    }

    pub fn handle(&mut self, packet: &Packet, faults: &mut Faults) {
        match packet {
            Packet::ConnAck(connack) => {
                self.peer.accept(connack, faults);
                let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
                let filter = TopicFilter::try_from("kept/#").expect("a legal filter");
                self.peer.send(&Packet::Subscribe(Subscribe {
                    id: PacketId::of_position(0),
                    subscription_id: None,
                    user: Vec::new(),
                    filters: vec![SubscribeFilter { filter, options }],
                }));
            }
            Packet::SubAck(_) => self.is_subscribed = true,
            Packet::Publish(publish) => {
                if let PublishQoS::AtLeastOnce(id) = publish.qos {
                    self.peer.send(&Packet::PubAck(Ack::success(id)));
                }
                self.find(publish, faults);
            }
            other => faults.note(Fault::HandshakeBroken, || format!("the inspector was sent {other:?}")),
        }
    }

    /// Whether all that must be there has come.
    pub fn is_finished(&self) -> bool {
        let wanted = self.allowed.iter().filter(|(_, allowed)| !allowed.contains(&Allowed::Nothing));
        self.is_subscribed && wanted.into_iter().all(|(topic, _)| self.found.contains_key(topic))
    }

    /// Topics looked at.
    pub fn topics(&self) -> u64 {
        self.allowed.len() as u64
    }

    /// Says what is wrong; to be asked when nothing more comes.
    pub fn judge(&self, faults: &mut Faults) {
        for (topic, allowed) in &self.allowed {
            let found = self.found.get(topic).map_or(Allowed::Nothing, |message| Allowed::Message(*message));
            if !allowed.contains(&found) {
                faults.note(Fault::RetainedLost, || {
                    let (first, last) = (allowed.first(), allowed.last());
                    format!("{topic} has {found:?}, not one of {} from {first:?} to {last:?}", allowed.len())
                });
            }
        }
    }

    fn find(&mut self, publish: &Publish, faults: &mut Faults) {
        let message = Message::named_by(&publish.payload);
        match message.filter(|message| publish.retain && message.payload() == publish.payload) {
            Some(message) => {
                self.found.insert(message.topic().as_str().to_owned(), message);
            }
            None => faults.note(Fault::MessageAltered, || format!("the inspector was sent {publish:?}")),
        }
    }
}

/// For each topic of a keeper: the last acknowledged message, or any that was sent after it.
fn allowed_now(keeper: &Publisher) -> BTreeMap<String, Vec<Allowed>> {
    let mut allowed = BTreeMap::new();
    for (number, sent) in (0..).zip(&keeper.sent) {
        let message = Message { source: keeper.source, number };
        let entry = allowed.entry(message.topic().as_str().to_owned()).or_insert_with(|| vec![Allowed::Nothing]);
        if sent.is_acknowledged {
            entry.clear();
        }
        entry.push(if message.is_clearing() { Allowed::Nothing } else { Allowed::Message(message) });
    }
    assert!(allowed.len() as u64 <= TOPICS, "a keeper has its topics for itself");
    allowed
}
