//! What a connection shows of itself: counts, answers to operators, steps of messages that somebody follows.
use super::Attachment;
use crate::broker::inspect::{Inspect, Inspection, Live};
use crate::broker::{ByQoS, Waypoint};
use crate::packet::{Ack, Packet};
use crate::session::{Close, Outgoing, Publication};
use crate::types::{Message, Now, Stamp};
use std::sync::Arc;

impl Attachment {
    /// Counts deliveries that were written, by QoS, and the bytes of their payloads.
    pub fn count_sent(&mut self, sent: ByQoS, payload_bytes: u64) {
        let deliveries = sent.iter().sum();
        if deliveries == 0 {
            return;
        }
        let counters = &self.broker.counters;
        counters.deliveries_sent.add(deliveries);
        counters.traffic.sent.add(self.session.version(), sent);
        counters.traffic.payload_bytes_sent.add(payload_bytes);
        for (sum, count) in self.sent.edit().iter_mut().zip(sent) {
            *sum += count;
        }
    }

    /// Since when the client is there.
    pub fn opened(&self) -> Stamp {
        self.opened
    }

    /// Counts the PUBLISHes of a turn.
    pub(super) fn count_received(&mut self) {
        let counts = self.publishing.as_mut().and_then(|publishing| publishing.take_counts());
        let Some((fresh, payload_bytes)) = counts else { return };
        let counters = &self.broker.counters;
        counters.publishes_received.add(fresh.iter().sum());
        counters.traffic.received.add(self.session.version(), fresh);
        counters.traffic.payload_bytes_received.add(payload_bytes);
    }

    pub(super) fn answer(&self, inspections: Vec<Inspect>) {
        for Inspect { span, answer } in inspections {
            let received = self.publishing.as_ref().map(|publishing| publishing.received()).unwrap_or_default();
            let sent = self.sent.get().copied().unwrap_or_default();
            let stalled = self.pending.get().map_or(0, |pending| pending.stalled.len());
            let live = Live { window: self.session.window(), received, sent, stalled };
            let look = self.session.look(span);
            // Who asked may not want to know any more.
            let _ = answer.send(Box::new(Inspection { look, connection: Some(live), expires_at: None, will_at: None }));
        }
    }

    pub(super) fn leave_if_quiet(&mut self, now: Now) {
        if let Some(leave) = self.pending.get().and_then(|pending| pending.leaving)
            && (leave.at <= now || (self.session.is_quiet() && !self.has_stalled()))
        {
            self.desk.tools().turn.close(Close::Administrative(leave.code));
        }
    }

    /// The message, if somebody follows messages.
    pub(super) fn trace_received(&self, publication: &Publication) -> Option<Arc<Message>> {
        let tracer = &self.broker.tracer;
        if !tracer.is_on() {
            return None;
        }
        let Publication { message, qos } = publication;
        let step = Waypoint::Received { packet_id: qos.id(), qos: qos.level(), retain: message.retain };
        tracer.note_exchange(self.slot.key, &self.slot.client_id, message, step);
        Some(message.clone())
    }

    pub(super) fn trace_packet(&self, packet: &Packet) {
        if let Some((packet, ack)) = acknowledgement(packet) {
            let step = Waypoint::Acknowledged { packet, packet_id: ack.id, code: ack.code };
            self.broker.tracer.note_packet(self.slot.key, &self.slot.client_id, step);
        }
    }

    pub(super) fn trace_output(&self) {
        let (tracer, session, client_id) = (&self.broker.tracer, self.slot.key, &self.slot.client_id);
        for outgoing in self.desk.in_hand().into_iter().flat_map(|tools| &tools.turn.send) {
            match outgoing {
                Outgoing::Publish(publish) => {
                    let (packet_id, qos) = (publish.qos.id(), publish.qos.level());
                    let step = Waypoint::Sent { packet_id, qos, dup: publish.dup };
                    tracer.note_exchange(session, client_id, &publish.message, step);
                }
                Outgoing::Ack(ack_type, ack) => {
                    let step = Waypoint::Answered { packet: ack_type.name(), packet_id: ack.id, code: ack.code };
                    tracer.note_packet(session, client_id, step);
                }
                Outgoing::Packet(_) => {}
            }
        }
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
fn acknowledgement(packet: &Packet) -> Option<(&'static str, &Ack)> {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            Some((packet.name(), ack))
        }
        _ => None,
    }
}
