//! A client that publishes numbered messages within a window and waits for every acknowledgement.
use super::link::{Life, Link};
use super::payload::Number;
use bytes::Bytes;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;
use vowmq::packet::{Ack, Packet, PublishFrame, PublishQoS};
use vowmq::types::{PacketId, QoS, ReasonCode};

/// One message to publish.
pub struct Item {
    pub topic: Bytes,
    pub number: Number,
    pub qos: QoS,
}

pub struct Publisher {
    link: Link,
    window: usize,
    payload: Vec<u8>,
    /// Messages sent on this connection; the next Packet Identifier follows from it.
    sent: u64,
    /// QoS 1 acknowledgements due, in the order in which they must come [MQTT-4.6.0-2].
    due: VecDeque<PacketId>,
    /// QoS 2 handshakes not finished.
    open: usize,
    /// Messages acknowledged, by all publishers that share it.
    acknowledged: Arc<AtomicU64>,
    pace: Option<Pace>,
}

/// Keeps publishers from running too far ahead of the subscriber.
#[derive(Clone)]
pub struct Pace {
    pub published: Arc<AtomicU64>,
    pub received: watch::Receiver<u64>,
    pub ahead_max: u64,
}

impl Publisher {
    pub async fn open(
        address: SocketAddr,
        name: &str,
        life: Life,
        window: usize,
        payload_bytes: usize,
        acknowledged: Arc<AtomicU64>,
    ) -> Self {
        let (link, connack) = Link::open(address, name, life).await;
        let allowed = usize::from(connack.properties.receive_maximum.unwrap_or(u16::MAX));
        assert!(window <= allowed, "the broker's Receive Maximum is {allowed}, the window {window}");
        let payload = vec![0; payload_bytes];
        Self { link, window, payload, sent: 0, due: VecDeque::new(), open: 0, acknowledged, pace: None }
    }

    /// The same, but never too far ahead of the subscriber.
    pub fn paced(self, pace: Pace) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// Publishes everything, and returns when everything is acknowledged.
    pub async fn publish(&mut self, items: impl IntoIterator<Item = Item>) {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() || self.in_flight() > 0 {
            while self.in_flight() < self.window && self.may_go_on() {
                let Some(item) = items.next() else { break };
                self.put(&item);
            }
            self.link.flush().await;
            if self.in_flight() > 0 {
                self.acknowledgements().await;
            } else if items.peek().is_some() {
                self.wait_for_subscriber().await;
            }
        }
    }

    pub async fn close(self) {
        self.link.close().await;
    }

    fn in_flight(&self) -> usize {
        self.due.len() + self.open
    }

    fn may_go_on(&self) -> bool {
        self.pace.as_ref().is_none_or(|pace| pace.may_go_on(*pace.received.borrow()))
    }

    async fn wait_for_subscriber(&mut self) {
        if let Some(pace) = &mut self.pace {
            let Pace { published, received, ahead_max } = pace;
            let may_go_on = |received: &u64| published.load(Ordering::Relaxed) < received + *ahead_max;
            received.wait_for(may_go_on).await.expect("the subscriber outlives the publishers");
        }
    }

    fn put(&mut self, item: &Item) {
        item.number.write(&mut self.payload);
        let id = PacketId::of_position(self.sent);
        self.sent += 1;
        let qos = match item.qos {
            QoS::AtMostOnce => panic!("only what is acknowledged is measured"),
            QoS::AtLeastOnce => {
                self.due.push_back(id);
                PublishQoS::AtLeastOnce(id)
            }
            QoS::ExactlyOnce => {
                self.open += 1;
                PublishQoS::ExactlyOnce(id)
            }
        };
        self.link.put_publish(&PublishFrame {
            dup: false,
            qos,
            retain: false,
            topic: &item.topic,
            topic_alias: None,
            expiry_s: None,
            subscription_ids: &[],
            forward: &[],
            payload: &self.payload,
        });
        if let Some(pace) = &self.pace {
            pace.published.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for acknowledgements and takes all that have come.
    async fn acknowledgements(&mut self) {
        self.link.fill().await;
        let mut finished = 0;
        while let Some(packet) = self.link.take() {
            match packet {
                Packet::PubAck(ack) => {
                    check(&ack);
                    assert_eq!(self.due.pop_front(), Some(ack.id), "PUBACKs come in the order of their PUBLISHes");
                    finished += 1;
                }
                Packet::PubRec(ack) => {
                    check(&ack);
                    self.link.put(&Packet::PubRel(Ack::success(ack.id)));
                }
                Packet::PubComp(ack) => {
                    check(&ack);
                    self.open -= 1;
                    finished += 1;
                }
                other => panic!("a publisher was sent {other:?}"),
            }
        }
        self.acknowledged.fetch_add(finished, Ordering::Relaxed);
    }
}

impl Pace {
    fn may_go_on(&self, received: u64) -> bool {
        self.published.load(Ordering::Relaxed) < received + self.ahead_max
    }
}

/// A message that nobody took makes the run worthless.
fn check(ack: &Ack) {
    assert_eq!(ack.code, ReasonCode::Success, "a message was not taken; raise the queues' limits");
}
