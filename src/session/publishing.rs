//! PUBLISH and PUBREL of the client, and what becomes of its messages (section 4.3).
use super::gate::Response;
use super::inbound::{Arrival, Inbound};
use super::{Ask, Change, Denied311, Limits, Outcome, Publication, Refused311, Session, Turn};
use crate::packet::{Publish, PublishQoS, Version};
use crate::types::{Message, Now, PacketId, QoS, ReasonCode, Stamp, Violation};
use std::sync::Arc;

impl Session {
    pub(super) fn handle_publish(&mut self, publish: Publish, now: Now, turn: &mut Turn) -> Result<(), Violation> {
        self.check_publish(&publish)?;
        let topic = self.aliases.resolve(publish.topic, publish.topic_alias, self.state.limits.topic_aliases_max)?;
        let receive_max = self.version.is_v5().then_some(self.state.limits.receive_max);
        match publish.qos {
            PublishQoS::AtMostOnce => {}
            PublishQoS::AtLeastOnce(id) => {
                // [MQTT-2.2.1-3] (5.0): the identifier belongs to an unfinished QoS 2 exchange.
                if self.version.is_v5() && self.state.inbound.is_open(id) {
                    self.gate.follow(Response::PubAck(id, ReasonCode::PacketIdentifierInUse), turn);
                    return Ok(());
                }
                self.state.inbound.begin_qos1(receive_max)?;
                self.gate.hold_for(turn.asks.len(), Response::PubAck(id, ReasonCode::Success));
            }
            PublishQoS::ExactlyOnce(id) => match self.state.inbound.begin_qos2(id, receive_max)? {
                // [MQTT-4.3.3-10]: answered again, delivered once.
                Arrival::Again => {
                    self.gate.follow(Response::PubRec(id, ReasonCode::Success), turn);
                    return Ok(());
                }
                Arrival::New => self.gate.hold_for(turn.asks.len(), Response::PubRec(id, ReasonCode::Success)),
            },
        }
        let message = Arc::new(Message {
            topic,
            payload: publish.payload,
            qos: publish.qos.level(),
            retain: publish.retain,
            expires_at: publish.properties.expiry_s.map(|expiry_s| now.plus_seconds(expiry_s)),
            received: Stamp::default(),
            forward: publish.properties.forward,
        });
        turn.asks.push(Ask::Publish(Publication { message, qos: publish.qos }));
        Ok(())
    }

    // [MQTT-4.3.3-11]
    pub(super) fn handle_pubrel(&mut self, id: PacketId, turn: &mut Turn) {
        if self.state.inbound.release(id) {
            self.state.change(turn, Change::InboundReleased { id });
            self.gate.hold(Response::PubComp(id, ReasonCode::Success));
        } else {
            let code = if self.version.is_v5() { ReasonCode::PacketIdentifierNotFound } else { ReasonCode::Success };
            self.gate.follow(Response::PubComp(id, code), turn);
        }
    }

    fn check_publish(&self, publish: &Publish) -> Result<(), Violation> {
        // [MQTT-3.3.4-6]
        if !publish.subscription_ids.is_empty() {
            return Err(Violation::protocol("MQTT-3.3.4-6", "a client's PUBLISH holds a Subscription Identifier"));
        }
        // [MQTT-3.2.2-11]
        if publish.qos.level() > self.features.maximum_qos {
            let why = "a PUBLISH is above the announced Maximum QoS";
            return Err(Violation::new(ReasonCode::QoSNotSupported, "MQTT-3.2.2-11", why));
        }
        // [MQTT-3.2.2-14]
        if publish.retain && !self.features.retain {
            let why = "a PUBLISH has RETAIN set, which is switched off here";
            return Err(Violation::new(ReasonCode::RetainNotSupported, "MQTT-3.2.2-14", why));
        }
        Ok(())
    }
}

/// Fills the outcome of an ask into the response that waits for it. `refused` tells that a 3.1.1 client must go.
pub(super) fn complete(
    response: &mut Response,
    outcome: &Outcome,
    inbound: &mut Inbound,
    version: Version,
    limits: &Limits,
    refused: &mut Option<ReasonCode>,
) {
    match (&mut *response, outcome) {
        (Response::PubAck(_, code), Outcome::Published(result)) => {
            *code = *result;
            inbound.finish_qos1();
        }
        (Response::PubRec(id, code), Outcome::Published(result)) => {
            *code = *result;
            if result.is_failure() {
                // [MQTT-4.3.3-9]: the identifier is free again.
                inbound.release(*id);
            }
        }
        (Response::SubAck(_, codes), Outcome::Subscribed(results)) => codes.clone_from(results),
        _ => {}
    }
    let Outcome::Published(result) = outcome else { return };
    if version.is_v5() || !result.is_failure() {
        return;
    }
    // 3.1.1 acknowledgements say yes or nothing. A message that may not be published is acknowledged and dropped, or
    // its publisher is cut off [MQTT-3.3.5-2] (3.1.1); one that there was no room for is not acknowledged.
    let is_end = match (result, limits.denied_311, limits.refused_311) {
        (ReasonCode::NotAuthorized, Denied311::Acknowledge, _) => {
            if let Response::PubAck(_, code) | Response::PubRec(_, code) = response {
                *code = ReasonCode::Success;
            }
            return;
        }
        (ReasonCode::NotAuthorized, Denied311::Disconnect, _) => true,
        (_, _, Refused311::Withhold) => false,
        (_, _, Refused311::Disconnect) => true,
    };
    *response = Response::Withheld;
    if is_end {
        *refused = Some(*result);
    }
}

/// A QoS level as SUBACK grants it.
pub const fn granted(qos: QoS) -> ReasonCode {
    match qos {
        QoS::AtMostOnce => ReasonCode::Success,
        QoS::AtLeastOnce => ReasonCode::GrantedQoS1,
        QoS::ExactlyOnce => ReasonCode::GrantedQoS2,
    }
}
