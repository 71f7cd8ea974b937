//! The owner of a will: it connects, and is never heard of again.
use super::fault::{Fault, Faults};
use super::link::Who;
use super::message::{Message, Source};
use super::peer::Peer;
use std::time::{Duration, Instant};
use vowmq::packet::{Packet, Version, Will};
use vowmq::types::PublishProperties;

pub struct Owner {
    pub peer: Peer,
    delay: Duration,
    /// When its connection broke, if the will had been acknowledged by then.
    pub broke_at: Option<Instant>,
    is_acknowledged: bool,
}

impl Owner {
    pub fn new(number: usize, version: Version, delay_s: u32) -> Self {
        let mut peer = Peer::new(Who::Owner(number), format!("owner-{number}"), version);
        let message = Message { source: Source::Will, number: number as u64 };
        peer.will = Some(Will {
            topic: message.topic(),
            payload: message.payload(),
            qos: message.qos(),
            retain: false,
            delay_s,
            properties: PublishProperties::default(),
        });
        Self { peer, delay: Duration::from_secs(u64::from(delay_s)), broke_at: None, is_acknowledged: false }
    }

    pub fn handle(&mut self, packet: &Packet, faults: &mut Faults) {
        match packet {
            Packet::ConnAck(connack) => {
                self.peer.accept(connack, faults);
                self.is_acknowledged = self.peer.is_accepted();
            }
            other => faults.note(Fault::HandshakeBroken, || format!("{} was sent {other:?}", self.peer.name)),
        }
    }

    pub fn handle_kill(&mut self, now: Instant) {
        if self.is_acknowledged && self.broke_at.is_none() {
            self.broke_at = Some(now);
        }
    }

    /// Before this its will must not come.
    pub fn due_at(&self) -> Option<Instant> {
        self.broke_at.map(|broke_at| broke_at + self.delay)
    }
}
