//! A session with its network connection.
use super::alias::{InboundAliases, Naming, OutboundAliases};
use super::authentication::Authentication;
use super::gate::{Gate, Response};
use super::outbound::Step;
use super::state::{State, Subscribed, changed};
use super::timing::KeepAlive;
use super::{
    Cause, Change, Clearance, Close, Delivery, DropReason, Dropped, Ended, Outcome, Outgoing, OutgoingPublish, Parked,
    Released, Shelved, Turn,
};
use crate::packet::{Ack, AckType, Disconnect, Packet, PublishQoS, Version};
use crate::types::{ClientId, CommitSeq, Now, PacketId, QoS, ReasonCode, TopicFilter, TopicName, Violation};

#[derive(Debug)]
pub struct Session {
    pub(super) version: Version,
    pub(super) state: State,
    pub(super) features: std::sync::Arc<super::Features>,
    pub(super) aliases: InboundAliases,
    pub(super) outbound_aliases: OutboundAliases,
    /// Deliveries the client lets us have in flight [MQTT-3.3.4-9].
    pub(super) window: u16,
    /// The client's Maximum Packet Size, bytes [MQTT-3.1.2-24].
    pub(super) packet_bytes_max: u32,
    /// Session Expiry Interval that CONNECT asked for; a DISCONNECT may not raise it from 0.
    pub(super) connect_expiry_s: u32,
    pub(super) authentication: Authentication,
    pub(super) keep_alive: KeepAlive,
    pub(super) gate: Gate,
    pub(super) is_over: bool,
    /// Whether there is room in memory for deliveries that could as well stay on the shelf.
    pub(super) may_hold: bool,
    /// Which messages the client may have, if not all that come for it.
    pub(super) clearance: Option<Clearance>,
}

impl Session {
    /// Handles one packet of the client. After an error the connection is to be closed with it.
    pub fn handle_packet(&mut self, packet: Packet, now: Now, turn: &mut Turn) -> Result<(), Violation> {
        // [MQTT-3.14.4-1]: what follows a DISCONNECT is discarded.
        if self.is_over {
            return Ok(());
        }
        self.keep_alive.restart(now);
        match packet {
            Packet::Publish(publish) => self.handle_publish(publish, now, turn)?,
            Packet::PubAck(ack) => {
                let acknowledged = self.state.outbound.puback(ack.id);
                self.handle_acknowledged(acknowledged, turn)?;
            }
            Packet::PubRec(ack) => {
                let acknowledged = self.state.outbound.pubrec(ack.id, ack.code, now);
                self.handle_acknowledged(acknowledged, turn)?;
                self.answer_pubrec(acknowledged, ack.id, ack.code, turn);
            }
            Packet::PubComp(ack) => {
                let acknowledged = self.state.outbound.pubcomp(ack.id);
                self.handle_acknowledged(acknowledged, turn)?;
            }
            Packet::PubRel(ack) => self.handle_pubrel(ack.id, turn),
            Packet::Subscribe(subscribe) => self.handle_subscribe(subscribe, turn)?,
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(unsubscribe, turn)?,
            // [MQTT-3.12.4-1]
            Packet::PingReq => turn.packet(Packet::PingResp),
            Packet::Disconnect(disconnect) => self.handle_disconnect(&disconnect, turn)?,
            Packet::Auth(auth) => turn.authentication = Some(self.authentication.handle(auth)?),
            // [MQTT-3.1.0-2]
            Packet::Connect(_) => return Err(Violation::protocol("MQTT-3.1.0-2", "a second CONNECT")),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                return Err(Violation::protocol("sec:2.1.2", "a packet that only a server sends"));
            }
        }
        self.advance(now, turn);
        Ok(())
    }

    /// Handles a message for the client.
    pub fn handle_delivery(&mut self, delivery: Delivery, now: Now, turn: &mut Turn) {
        match delivery.qos {
            QoS::AtMostOnce => self.send_qos0(delivery, now, turn),
            QoS::AtLeastOnce | QoS::ExactlyOnce => {
                self.state.enqueue(delivery, self.may_hold, turn);
                self.advance(now, turn);
            }
        }
    }

    /// Says whether there is room in memory for deliveries that a store keeps.
    pub fn set_may_hold(&mut self, may_hold: bool) {
        self.may_hold = may_hold;
    }

    /// Says which messages the client may have; `None` is all. Those it may not have are given up when their turn
    /// comes, or go to other members of the shared subscription that they came by.
    pub fn set_clearance(&mut self, clearance: Option<Clearance>) {
        self.clearance = clearance;
    }

    pub fn has_clearance(&self) -> bool {
        self.clearance.is_some()
    }

    /// Counts deliveries that stayed on the shelf, the last at position `end` - 1.
    pub fn handle_shelved(&mut self, end: u64, added: &Released, turn: &mut Turn) {
        self.state.shelve(end, added, turn);
        self.state.report(turn);
    }

    /// From which position the next page of the shelf should be read, if one is wanted.
    pub fn ask_for_page(&mut self) -> Option<u64> {
        self.state.outbound.ask_for_page()
    }

    /// Handles the page that was asked for: every unfinished delivery from `from` to `next`.
    pub fn handle_page(
        &mut self,
        from: u64,
        next: u64,
        deliveries: impl IntoIterator<Item = Shelved>,
        now: Now,
        turn: &mut Turn,
    ) {
        self.state.outbound.load(from, next, deliveries);
        self.advance(now, turn);
    }

    /// Subscriptions to which retained messages are on their way, and the topic up to which they are in the queue.
    pub fn scans(&self) -> impl Iterator<Item = (&TopicFilter, &Option<TopicName>)> {
        self.state.scans.get().into_iter().flatten()
    }

    /// Remembers how far the retained messages for a subscription have come.
    pub fn scan_at(&mut self, filter: TopicFilter, after: Option<TopicName>) {
        self.state.scan_at(filter, after);
    }

    pub fn scan_over(&mut self, filter: &TopicFilter) {
        self.state.scan_over(filter);
    }

    /// Bytes of QoS 1 and 2 deliveries held in memory.
    pub fn loaded_bytes(&self) -> u64 {
        self.state.outbound.loaded_bytes()
    }

    /// Handles what became of this turn's asks, and the commit that will hold its changes, if there is one.
    pub fn handle_outcomes(&mut self, outcomes: &[Outcome], commit: Option<CommitSeq>, turn: &mut Turn) {
        self.state.submitted = self.state.submitted.max(commit.unwrap_or_default());
        let Self { gate, state, version, .. } = self;
        let State { inbound, limits, .. } = state;
        let mut refused = None;
        gate.submitted(outcomes, commit, turn, |response, outcome| {
            super::publishing::complete(response, outcome, inbound, *version, limits, &mut refused);
        });
        if let Some(code) = refused {
            turn.close(Close::Refused(code));
        }
    }

    /// Up to where everything is durable, as it was told last.
    pub fn committed(&self) -> CommitSeq {
        self.gate.committed()
    }

    /// Everything up to `upto` is durable: the gate opens for it.
    pub fn handle_commit(&mut self, upto: CommitSeq, turn: &mut Turn) {
        self.gate.commit(upto, turn);
    }

    pub fn handle_timeout(&mut self, now: Now, turn: &mut Turn) {
        // [MQTT-3.1.2-22] (5.0), [MQTT-3.1.2-24] (3.1.1)
        if self.keep_alive.is_over(now) {
            turn.close(Close::KeepAlive);
        }
    }

    /// The broker has not read what the client may have sent: its keep-alive begins again.
    pub fn excuse_silence(&mut self, now: Now) {
        self.keep_alive.restart(now);
    }

    pub fn next_timeout(&self) -> Option<Now> {
        self.keep_alive.deadline()
    }

    /// The packet that tells the client why its connection is closed; only 5.0 has one [MQTT-3.14.0-1].
    pub fn farewell(&self, close: &Close) -> Option<Packet> {
        let code = close.code().filter(|_| self.version.is_v5() && !self.is_over)?;
        Some(super::timing::farewell(code, close.why(), self.packet_bytes_max()))
    }

    /// The connection has ended; what remains of the session is parked or discarded.
    pub fn end(self, cause: Cause, now: Now, turn: &mut Turn) -> Ended {
        Parked::park(self.state, cause, now, turn)
    }

    /// The client's Maximum Packet Size.
    pub fn packet_bytes_max(&self) -> usize {
        usize::try_from(self.packet_bytes_max).unwrap_or(usize::MAX)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn client_id(&self) -> &ClientId {
        &self.state.client_id
    }

    pub fn is_durable(&self) -> bool {
        self.state.is_durable
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = (&TopicFilter, &Subscribed)> {
        self.state.subscriptions.iter()
    }

    /// Deliveries not finished.
    pub fn queued_messages(&self) -> u64 {
        self.state.outbound.occupied().messages
    }

    /// Whether CONNACK has left, so that deliveries may follow it [MQTT-3.2.0-1].
    pub fn has_sent_connack(&self) -> bool {
        self.gate.has_sent_connack()
    }

    /// Whether deliveries are unacknowledged, so that the client has something to say that is wanted.
    pub fn awaits_acknowledgements(&self) -> bool {
        self.state.outbound.in_flight() > 0
    }

    /// Responses that wait for a commit.
    pub fn held_responses(&self) -> usize {
        self.gate.len()
    }

    /// Session Expiry Interval in force, seconds.
    pub fn expiry_s(&self) -> u32 {
        self.state.expiry_s
    }

    /// Sends as much of the queue as the window takes.
    pub(super) fn advance(&mut self, now: Now, turn: &mut Turn) {
        let window = self.window;
        let is_durable = self.state.is_durable;
        let clearance = self.clearance.as_ref();
        while let Some(step) =
            self.state.outbound.next_step(window, clearance, now, |change| changed(is_durable, turn, change))
        {
            match step {
                Step::Publish { delivery, id, dup } => {
                    let qos = match delivery.qos {
                        QoS::ExactlyOnce => PublishQoS::ExactlyOnce(id),
                        QoS::AtMostOnce | QoS::AtLeastOnce => PublishQoS::AtLeastOnce(id),
                    };
                    let mut publish = OutgoingPublish { dup, ..delivery.publish(qos) };
                    let naming = address(&mut publish, self.version, &self.outbound_aliases, now);
                    // [MQTT-3.1.2-24], [MQTT-3.1.2-25]
                    if publish.frame().packet_len(self.version) > self.packet_bytes_max() {
                        let position = self.state.outbound.too_large();
                        changed(is_durable, turn, Change::Done { position });
                        continue;
                    }
                    self.outbound_aliases.sent(&publish.message.topic, naming);
                    turn.send.push(Outgoing::Publish(publish));
                }
                Step::Release { id } => turn.ack(AckType::PubRel, Ack::success(id)),
            }
            self.state.outbound.sent(now);
        }
        self.state.report(turn);
    }

    fn send_qos0(&mut self, delivery: Delivery, now: Now, turn: &mut Turn) {
        let is_forbidden = self.clearance.as_ref().is_some_and(|clearance| !clearance.has(&delivery.message.topic));
        let forbidden = is_forbidden.then_some(DropReason::Forbidden);
        if let Some(reason) = forbidden.or_else(|| delivery.is_over(now)) {
            turn.dropped.push(Dropped::new(reason, &delivery));
            return;
        }
        let mut publish = delivery.into_publish(PublishQoS::AtMostOnce);
        let naming = address(&mut publish, self.version, &self.outbound_aliases, now);
        if publish.frame().packet_len(self.version) > self.packet_bytes_max() {
            let (reason, qos) = (DropReason::TooLarge, QoS::AtMostOnce);
            turn.dropped.push(Dropped { reason, qos, message: publish.message });
            return;
        }
        self.outbound_aliases.sent(&publish.message.topic, naming);
        turn.send.push(Outgoing::Publish(publish));
    }

    // [MQTT-3.14.4-3] (5.0); DISCONNECT may shorten or lengthen the expiry, but not bring a session to life.
    fn handle_disconnect(&mut self, disconnect: &Disconnect, turn: &mut Turn) -> Result<(), Violation> {
        if let Some(expiry_s) = disconnect.properties.as_ref().and_then(|properties| properties.session_expiry_s) {
            if self.connect_expiry_s == 0 && expiry_s > 0 {
                return Err(Violation::protocol("sec:3.14.2.2.2", "DISCONNECT raises the session expiry from 0"));
            }
            self.state.expiry_s = expiry_s.min(self.state.limits.session_expiry_s_max);
        }
        self.is_over = true;
        turn.close(Close::ByClient(disconnect.code));
        Ok(())
    }

    /// PUBREL for a PUBREC, as soon as it is durable that the receiver has the message.
    fn answer_pubrec(
        &mut self,
        acknowledged: super::outbound::Acknowledged,
        id: PacketId,
        code: ReasonCode,
        turn: &mut Turn,
    ) {
        use super::outbound::Acknowledged as A;
        match acknowledged {
            // [MQTT-4.3.3-4]
            A::Received(position) => {
                self.state.change(turn, Change::Received { position });
                self.gate.hold(Response::PubRel(id, ReasonCode::Success));
            }
            A::ReceivedAgain => self.gate.follow(Response::PubRel(id, ReasonCode::Success), turn),
            // [MQTT-2.2.1-5] (5.0); 3.1.1 has no code, and its client can then finish too.
            A::Unknown if !code.is_failure() => {
                self.gate.follow(Response::PubRel(id, ReasonCode::PacketIdentifierNotFound), turn);
            }
            A::Unknown | A::Finished(_) | A::Mismatched => {}
        }
    }

    fn handle_acknowledged(
        &mut self,
        acknowledged: super::outbound::Acknowledged,
        turn: &mut Turn,
    ) -> Result<(), Violation> {
        use super::outbound::Acknowledged as A;
        match acknowledged {
            A::Finished(position) => self.state.change(turn, Change::Done { position }),
            A::Mismatched => {
                return Err(Violation::protocol("sec:4.3", "an acknowledgement of the wrong kind for its PUBLISH"));
            }
            A::Received(_) | A::ReceivedAgain | A::Unknown => {}
        }
        Ok(())
    }
}

/// Fills in what depends on the receiver's connection and the time: how the topic is named, and how long it is valid.
fn address(publish: &mut OutgoingPublish, version: Version, aliases: &OutboundAliases, now: Now) -> Naming {
    let naming = aliases.propose(&publish.message.topic);
    if let Naming::Set(alias) | Naming::Alias(alias) = naming {
        publish.topic_alias = Some(alias);
        publish.alias_only = matches!(naming, Naming::Alias(_));
    }
    if version.is_v5() {
        publish.expiry_s = publish.message.expiry_left_s(now);
    }
    naming
}
