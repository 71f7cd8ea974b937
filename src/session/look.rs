//! A session as an operator sees it: what it has in hand, and what each of it waits for.
use super::outbound::awaited;
use super::state::State;
use super::{Delivery, Parked, Session, Shelved, Subscribed};
use crate::types::{Now, PacketId, Position, TopicFilter};

/// Which part of a queue is looked at: positions from `from` on, `at_most` deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: u64,
    pub at_most: usize,
}

/// What a delivery waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its turn: it was never sent.
    Queued,
    /// PUBACK for its PUBLISH.
    AwaitingPubAck,
    /// PUBREC for its PUBLISH.
    AwaitingPubRec,
    /// PUBCOMP: the receiver has it.
    AwaitingPubComp,
}

/// One unfinished delivery.
#[derive(Debug, Clone)]
pub struct InHand {
    pub position: u64,
    pub stage: Stage,
    /// The Packet Identifier it was sent with.
    pub packet_id: Option<PacketId>,
    /// `None` once the receiver has it: the message is not kept any longer then.
    pub delivery: Option<Delivery>,
    /// When it was sent last, or PUBREC came; `None` if that was before the broker's start, or never.
    pub since: Option<Now>,
    /// How often it was sent again, as far as this process knows.
    pub resent: u16,
}

impl InHand {
    pub(super) fn new(position: u64, stage: Stage) -> Self {
        Self { position, stage, packet_id: None, delivery: None, since: None, resent: 0 }
    }

    pub(super) fn with(self, delivery: Delivery) -> Self {
        Self { delivery: Some(delivery), ..self }
    }
}

/// A session at one moment.
#[derive(Debug, Clone)]
pub struct Look {
    pub subscriptions: Vec<(TopicFilter, Subscribed)>,
    /// Session Expiry Interval in force, seconds.
    pub expiry_s: u32,
    pub has_will: bool,
    /// Deliveries not finished, and their bytes.
    pub queued_messages: u64,
    pub queued_bytes: u64,
    /// Those sent on this connection and not finished.
    pub in_flight: u64,
    /// The part of the queue that was asked for, as far as it is in memory.
    pub deliveries: Vec<InHand>,
    /// The position to go on from: what is there may be on the store's shelf.
    pub next: Option<u64>,
    /// The position after the last, and the one after the last that was ever sent.
    pub end: u64,
    pub sent_below: u64,
    /// When those of the part asked for that are on the shelf were sent last, and how often again.
    sendings: Vec<(u64, Now, u16)>,
    /// QoS 2 identifiers of the client whose PUBREL is due.
    pub inbound: Vec<PacketId>,
    /// Responses that wait for a commit.
    pub held_responses: usize,
}

impl Look {
    /// Adds what the store read back from its shelf, up to the position `next`.
    pub fn add_shelved(&mut self, shelved: impl IntoIterator<Item = Shelved>, next: u64) {
        for shelved in shelved {
            let mut in_hand = match shelved {
                Shelved::Received { position } => InHand::new(position, Stage::AwaitingPubComp),
                Shelved::Delivery(delivery) => {
                    let position = delivery.position.map_or(0, Position::value);
                    let was_sent = position < self.sent_below;
                    let stage = if was_sent { awaited(delivery.qos) } else { Stage::Queued };
                    InHand::new(position, stage).with(delivery)
                }
            };
            let sending = self.sendings.binary_search_by_key(&in_hand.position, |sending| sending.0);
            if let Some((_, since, resent)) = sending.ok().and_then(|place| self.sendings.get(place)) {
                (in_hand.since, in_hand.resent) = (Some(*since), *resent);
            }
            in_hand.packet_id = (in_hand.stage != Stage::Queued).then(|| PacketId::of_position(in_hand.position));
            self.deliveries.push(in_hand);
        }
        self.next = (next < self.end).then_some(next);
    }
}

impl State {
    fn look(&self, span: Span) -> Look {
        let (deliveries, next) = self.outbound.look(span);
        let occupied = self.outbound.occupied();
        Look {
            subscriptions: self.subscriptions.iter().map(|(filter, found)| (filter.clone(), found.clone())).collect(),
            expiry_s: self.expiry_s,
            has_will: self.will.is_some(),
            queued_messages: occupied.messages,
            queued_bytes: occupied.bytes,
            in_flight: self.outbound.in_flight(),
            deliveries,
            next,
            end: self.outbound.end(),
            sent_below: self.outbound.sent_below(),
            sendings: next.map(|next| self.outbound.sendings_from(next, span.at_most)).unwrap_or_default(),
            inbound: self.inbound.open_ids().take(span.at_most).collect(),
            held_responses: 0,
        }
    }
}

/// Exchanges of QoS 1 and 2 under way, by the packet of the client that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UnderWay {
    pub puback: u64,
    pub pubrec: u64,
    pub pubcomp: u64,
    /// Of messages that came from the client.
    pub pubrel: u64,
}

impl UnderWay {
    pub fn total(&self) -> u64 {
        self.puback + self.pubrec + self.pubcomp + self.pubrel
    }

    pub fn add(&mut self, other: Self) {
        self.puback += other.puback;
        self.pubrec += other.pubrec;
        self.pubcomp += other.pubcomp;
        self.pubrel += other.pubrel;
    }
}

impl Session {
    pub fn look(&self, span: Span) -> Look {
        Look { held_responses: self.gate.len(), ..self.state.look(span) }
    }

    /// The limit on deliveries in flight that the client and the broker agreed on.
    pub fn window(&self) -> u16 {
        self.window
    }

    /// Begins no further delivery, so that those under way come to their end.
    pub fn wind_down(&mut self) {
        self.window = 0;
    }

    /// Exchanges of QoS 1 and 2 under way, in both directions.
    pub fn under_way(&self) -> UnderWay {
        let [puback, pubrec, pubcomp] = self.state.outbound.awaited_counts();
        UnderWay { puback, pubrec, pubcomp, pubrel: self.state.inbound.open_count() }
    }

    /// Whether no exchange is under way in either direction.
    pub fn is_quiet(&self) -> bool {
        self.gate.len() == 0 && self.state.outbound.in_flight() == 0 && !self.state.inbound.is_under_way()
    }
}

impl Parked {
    pub fn look(&self, span: Span) -> Look {
        self.state.look(span)
    }
}
