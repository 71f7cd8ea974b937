//! A client with a durable session: subscribes, goes away, comes back for its messages.
use super::ledger::Ledger;
use super::link::{Life, Link};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use vowmq::packet::{Ack, Packet, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions};
use vowmq::types::{PacketId, QoS, TopicFilter};

pub struct Subscriber {
    link: Link,
}

impl Subscriber {
    /// Begins a durable session with one subscription.
    pub async fn begin(address: SocketAddr, name: &str, filter: &str, qos: QoS) -> Self {
        let (mut link, connack) = Link::open(address, name, Life::Durable).await;
        assert!(!connack.session_present, "the session is new");
        link.put(&Packet::Subscribe(subscribe(filter, qos)));
        match link.next().await {
            Packet::SubAck(suback) if suback.codes.iter().all(|code| !code.is_failure()) => Self { link },
            other => panic!("instead of a SUBACK comes {other:?}"),
        }
    }

    /// Comes back to the session, which must still be there.
    pub async fn resume(address: SocketAddr, name: &str) -> Self {
        let (link, connack) = Link::open(address, name, Life::Durable).await;
        assert!(connack.session_present, "the session of {name} is lost");
        Self { link }
    }

    /// Goes away; the session stays.
    pub async fn leave(self) {
        self.link.close().await;
    }

    /// Waits for packets, notes the messages among them, and acknowledges.
    pub async fn receive(&mut self, ledger: &mut Ledger) {
        // The first may have come with CONNACK.
        let mut packet = Some(self.link.next().await);
        while let Some(next) = packet {
            self.handle(next, ledger);
            packet = self.link.take();
        }
        self.link.flush().await;
    }

    /// Receives until the ledger has `count` messages, then takes what more is on its way.
    pub async fn drain(&mut self, ledger: &mut Ledger, count: u64) -> Duration {
        let begun = Instant::now();
        while ledger.received() < count {
            self.receive(ledger).await;
        }
        let elapsed = begun.elapsed();
        // What the broker had ready comes before its answer.
        self.link.put(&Packet::PingReq);
        loop {
            match self.link.next().await {
                Packet::PingResp => return elapsed,
                packet => self.handle(packet, ledger),
            }
        }
    }

    fn handle(&mut self, packet: Packet, ledger: &mut Ledger) {
        match packet {
            Packet::Publish(publish) => {
                ledger.note(&publish.payload);
                match publish.qos {
                    PublishQoS::AtMostOnce => panic!("a message came with QoS 0"),
                    PublishQoS::AtLeastOnce(id) => self.link.put(&Packet::PubAck(Ack::success(id))),
                    PublishQoS::ExactlyOnce(id) => self.link.put(&Packet::PubRec(Ack::success(id))),
                }
            }
            Packet::PubRel(ack) => self.link.put(&Packet::PubComp(Ack::success(ack.id))),
            other => panic!("a subscriber was sent {other:?}"),
        }
    }
}

pub fn subscribe(filter: &str, qos: QoS) -> Subscribe {
    let filter = TopicFilter::try_from(filter).expect("a legal filter");
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    Subscribe {
        id: PacketId::of_position(0),
        subscription_id: None,
        user: Vec::new(),
        filters: vec![SubscribeFilter { filter, options }],
    }
}
