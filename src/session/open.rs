//! CONNECT: from the client's wishes and what is left of its session to a session in force (sections 3.1 and 3.2).
use super::alias::{InboundAliases, OutboundAliases};
use super::authentication::Authentication;
use super::gate::{Gate, Response};
use super::state::State;
use super::timing::KeepAlive;
use super::{Features, Limits, Parked, Session, Turn};
use crate::packet::{ConnAck, ConnAckProperties, Connect, Version};
use crate::types::{ClientId, CommitSeq, Now, QoS, ReasonCode, Text, Violation};
use std::sync::Arc;

/// The Client Identifier that a CONNECT asks for; `None` asks the broker to assign one.
///
/// Fails, before anything is looked up, for a CONNECT that can never be accepted.
pub fn requested_client_id(
    connect: &Connect,
    limits: &Limits,
    features: &Features,
) -> Result<Option<ClientId>, Violation> {
    check_authentication(connect)?;
    check_will(connect, limits, features)?;
    if connect.client_id.len() > limits.client_id_bytes_max {
        let why = "the client identifier is longer than limits.client_id_bytes_max";
        return Err(Violation::new(ReasonCode::ClientIdentifierNotValid, "limits.client_id_bytes_max", why));
    }
    let requested = ClientId::new(&connect.client_id);
    match (connect.version, requested.is_some(), connect.clean_start) {
        (_, true, _) | (Version::V5, false, _) | (Version::V311, false, true) => Ok(requested),
        // [MQTT-3.1.3-8] (3.1.1)
        (Version::V311, false, false) => {
            let why = "an empty client identifier needs Clean Session";
            Err(Violation::new(ReasonCode::ClientIdentifierNotValid, "MQTT-3.1.3-8", why))
        }
        (Version::V31, false, _) => {
            let why = "MQTT 3.1 needs a client identifier";
            Err(Violation::new(ReasonCode::ClientIdentifierNotValid, "sec:3.1.3.1", why))
        }
    }
}

/// A session as CONNECT opened it.
#[derive(Debug)]
pub struct Opened {
    pub session: Session,
    /// Whether state of an earlier connection was resumed.
    pub is_resumed: bool,
}

impl Session {
    /// Opens the session. CONNACK goes through the gate: it leaves after everything the session did before is durable.
    ///
    /// `saved` must be `None` when CONNECT has Clean Start set [MQTT-3.1.2-4]. `assigned` tells that the broker chose
    /// `client_id`.
    pub fn open(
        connect: Connect,
        client_id: ClientId,
        assigned: bool,
        saved: Option<Box<Parked>>,
        limits: &Arc<Limits>,
        features: &Arc<Features>,
        now: Now,
    ) -> Opened {
        let expiry_s = requested_expiry_s(&connect, limits);
        let keep_alive_s = keep_alive_s(&connect, limits);
        let is_resumed = saved.is_some();
        let mut state = match saved {
            // [MQTT-3.1.2-5]
            Some(parked) => State { limits: limits.clone(), ..parked.into_state() },
            // [MQTT-3.1.2-6]
            None => State::new(client_id, limits.clone(), expiry_s, features.has_shelf),
        };
        state.expiry_s = expiry_s;
        // [MQTT-3.2.2-2], [MQTT-3.2.2-3]
        let connack =
            ConnAck { session_present: is_resumed, ..welcome(&connect, &state.client_id, assigned, limits, features) };
        // [MQTT-3.1.2-7]
        state.will = connect.will.map(Box::new);
        let properties = &connect.properties;
        // [MQTT-4.9.0-1]
        let window = properties.receive_maximum.unwrap_or(u16::MAX).min(limits.in_flight_max).max(1);
        let aliases_max = properties.topic_alias_maximum.unwrap_or(0).min(limits.topic_aliases_outbound_max);
        let packet_bytes_max = properties.maximum_packet_bytes.unwrap_or(u32::MAX);
        let mut gate = Gate::default();
        gate.hold_until(state.submitted, Response::ConnAck(Box::new(connack)));
        let session = Session {
            version: connect.version,
            state,
            features: features.clone(),
            aliases: InboundAliases::default(),
            outbound_aliases: OutboundAliases::new(aliases_max),
            window,
            packet_bytes_max,
            connect_expiry_s: expiry_s,
            authentication: Authentication::default(),
            keep_alive: KeepAlive::new(keep_alive_s, now),
            gate,
            is_over: false,
            may_hold: true,
            clearance: None,
        };
        Opened { session, is_resumed }
    }

    /// CONNACK, and all that follows it, waits for this commit too.
    pub fn hold_connack_until(&mut self, commit: Option<CommitSeq>) {
        self.state.submitted = self.state.submitted.max(commit.unwrap_or_default());
        self.gate.postpone(self.state.submitted);
    }

    /// CONNACK is on its way: what is left from earlier connections may follow it [MQTT-3.2.0-1], [MQTT-4.4.0-1].
    pub fn resume(&mut self, now: Now, turn: &mut Turn) {
        self.advance(now, turn);
    }
}

/// Whoever checked a method has taken it out of CONNECT: what is still there, nobody knows [MQTT-4.12.0-1].
fn check_authentication(connect: &Connect) -> Result<(), Violation> {
    match connect.properties.authentication_method {
        None => Ok(()),
        Some(_) => {
            let why = "no such authentication method";
            Err(Violation::new(ReasonCode::BadAuthenticationMethod, "MQTT-4.12.0-1", why))
        }
    }
}

fn check_will(connect: &Connect, limits: &Limits, features: &Features) -> Result<(), Violation> {
    let Some(will) = &connect.will else { return Ok(()) };
    // [MQTT-3.2.2-12]
    if will.qos > features.maximum_qos {
        let why = "the will is above the Maximum QoS";
        return Err(Violation::new(ReasonCode::QoSNotSupported, "MQTT-3.2.2-12", why));
    }
    // [MQTT-3.2.2-13]
    if will.retain && !features.retain {
        let why = "the will has RETAIN set, which is switched off here";
        return Err(Violation::new(ReasonCode::RetainNotSupported, "MQTT-3.2.2-13", why));
    }
    let levels = will.topic.as_bytes().split(|byte| *byte == b'/').count();
    if will.topic.as_bytes().len() > limits.topic_bytes_max || levels > limits.topic_levels_max {
        let why = "the will topic is longer or deeper than the limits allow";
        return Err(Violation::new(ReasonCode::TopicNameInvalid, "limits.topic_levels_max", why));
    }
    Ok(())
}

/// Session Expiry Interval in force: 5.0's own, or what stands for Clean Session.
pub fn requested_expiry_s(connect: &Connect, limits: &Limits) -> u32 {
    let wanted = match connect.version {
        Version::V5 => connect.properties.session_expiry_s.unwrap_or(0),
        Version::V31 | Version::V311 if connect.clean_start => 0,
        Version::V31 | Version::V311 => limits.session_expiry_311_s,
    };
    wanted.min(limits.session_expiry_s_max)
}

/// The keep-alive in force [MQTT-3.2.2-21], [MQTT-3.2.2-22].
fn keep_alive_s(connect: &Connect, limits: &Limits) -> u16 {
    match (connect.keep_alive_s, limits.keep_alive_s_max) {
        (wanted, u16::MAX) => wanted,
        (0, max) => max,
        (wanted, max) => wanted.min(max),
    }
}

/// CONNACK for a CONNECT that is accepted, as it is without a session or an authentication method.
pub fn welcome(
    connect: &Connect,
    client_id: &ClientId,
    assigned: bool,
    limits: &Limits,
    features: &Features,
) -> ConnAck {
    let mut connack =
        ConnAck { session_present: false, code: ReasonCode::Success, properties: ConnAckProperties::default() };
    if !connect.version.is_v5() {
        return connack;
    }
    let off = |available: bool| (!available).then_some(false);
    let expiry_s = requested_expiry_s(connect, limits);
    let keep_alive_s = keep_alive_s(connect, limits);
    connack.properties = ConnAckProperties {
        session_expiry_s: (connect.properties.session_expiry_s.unwrap_or(0) != expiry_s).then_some(expiry_s),
        receive_maximum: (limits.receive_max != u16::MAX).then_some(limits.receive_max),
        // [MQTT-3.2.2-9]
        maximum_qos: (features.maximum_qos != QoS::ExactlyOnce).then_some(features.maximum_qos),
        retain_available: off(features.retain),
        maximum_packet_bytes: u32::try_from(limits.packet_bytes_max).ok(),
        // [MQTT-3.1.3-7]
        assigned_client_id: assigned.then(|| client_id.to_text()),
        topic_alias_maximum: (limits.topic_aliases_max > 0).then_some(limits.topic_aliases_max),
        wildcard_subscriptions: off(features.wildcard_subscriptions),
        subscription_identifiers: off(features.subscription_identifiers),
        shared_subscriptions: off(features.shared_subscriptions),
        server_keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
        ..ConnAckProperties::default()
    };
    // [MQTT-3.2.2-20]: left out where the client's Maximum Packet Size may have no room for it.
    const ROOMY: u32 = 256;
    if connect.properties.maximum_packet_bytes.is_none_or(|max| max >= ROOMY) {
        connack.properties.diagnostics.user = features
            .durability
            .map(|durability| (Text::from_static("durability"), Text::from_static(durability)))
            .into_iter()
            .collect();
    }
    connack
}
