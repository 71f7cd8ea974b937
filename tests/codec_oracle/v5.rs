//! Our packets in mqttbytes' words for 5.0.
use mqttbytes::v5 as theirs;
use mqttbytes::{Error, Protocol};
use vowmq::codec::ForwardProperties;
use vowmq::packet::*;
use vowmq::types::*;

use super::{login, their_qos};

/// mqttbytes has a type for each of the four acknowledgements of a PUBLISH.
macro_rules! express_ack {
    ($name:ident, $properties:ident, $first:literal, $ack:expr) => {
        theirs::Packet::$name(theirs::$name {
            pkid: $ack.id.value(),
            reason: match read(&[$first, 3, 0, 1, $ack.code as u8]) {
                theirs::Packet::$name(ack) => ack.reason,
                other => panic!("{other:?}"),
            },
            properties: diagnostics($ack.diagnostics.as_deref(), |reason_string, user_properties| {
                theirs::$properties { reason_string, user_properties }
            }),
        })
    };
}

/// `None` for what mqttbytes cannot say; see the head of `main.rs`.
pub fn express(packet: &Packet) -> Option<theirs::Packet> {
    Some(match packet {
        Packet::Connect(connect) => theirs::Packet::Connect(express_connect(connect)?),
        Packet::ConnAck(connack) => theirs::Packet::ConnAck(express_connack(connack)),
        Packet::Publish(publish) => theirs::Packet::Publish(express_publish(publish)),
        Packet::PubAck(ack) => express_ack!(PubAck, PubAckProperties, 0x40, ack),
        Packet::PubRec(ack) => express_ack!(PubRec, PubRecProperties, 0x50, ack),
        Packet::PubRel(ack) => express_ack!(PubRel, PubRelProperties, 0x62, ack),
        Packet::PubComp(ack) => express_ack!(PubComp, PubCompProperties, 0x70, ack),
        Packet::Subscribe(subscribe) => theirs::Packet::Subscribe(express_subscribe(subscribe)),
        Packet::SubAck(suback) => theirs::Packet::SubAck(theirs::SubAck {
            pkid: suback.id.value(),
            return_codes: suback.codes.iter().map(|code| (*code as u8).try_into().unwrap()).collect(),
            properties: diagnostics(suback.diagnostics.as_deref(), |reason_string, user_properties| {
                theirs::SubAckProperties { reason_string, user_properties }
            }),
        }),
        Packet::Unsubscribe(unsubscribe) => theirs::Packet::Unsubscribe(theirs::Unsubscribe {
            pkid: unsubscribe.id.value(),
            filters: unsubscribe.filters.iter().map(|filter| filter.as_str().to_owned()).collect(),
            properties: (!unsubscribe.user.is_empty())
                .then(|| theirs::UnsubscribeProperties { user_properties: user(&unsubscribe.user) }),
        }),
        Packet::UnsubAck(unsuback) => theirs::Packet::UnsubAck(theirs::UnsubAck {
            pkid: unsuback.id.value(),
            reasons: unsuback.codes.iter().map(|code| unsuback_reason(*code)).collect(),
            properties: diagnostics(unsuback.diagnostics.as_deref(), |reason_string, user_properties| {
                theirs::UnsubAckProperties { reason_string, user_properties }
            }),
        }),
        Packet::PingReq => theirs::Packet::PingReq,
        Packet::PingResp => theirs::Packet::PingResp,
        Packet::Disconnect(disconnect) => theirs::Packet::Disconnect(express_disconnect(disconnect)?),
        Packet::Auth(_) => return None,
    })
}

/// mqttbytes' own name for a Reason Code, which it tells only by reading it.
fn unsuback_reason(code: ReasonCode) -> theirs::UnsubAckReason {
    match read(&[0xb0, 4, 0, 1, 0, code as u8]) {
        theirs::Packet::UnsubAck(unsuback) => unsuback.reasons[0],
        other => panic!("{other:?}"),
    }
}

fn read(bytes: &[u8]) -> theirs::Packet {
    theirs::read(&mut bytes.into(), bytes.len()).unwrap()
}

fn string(text: Option<&Text>) -> Option<String> {
    text.map(Text::to_string)
}

fn user(user: &UserProperties) -> Vec<(String, String)> {
    user.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn diagnostics<T>(
    diagnostics: Option<&Diagnostics>,
    build: impl Fn(Option<String>, Vec<(String, String)>) -> T,
) -> Option<T> {
    diagnostics.map(|diagnostics| build(string(diagnostics.reason_string.as_ref()), user(&diagnostics.user)))
}

fn express_connect(connect: &Connect) -> Option<theirs::Connect> {
    let properties = &connect.properties;
    let has_properties = *properties != ConnectProperties::default();
    Some(theirs::Connect {
        protocol: Protocol::V5,
        keep_alive: connect.keep_alive_s,
        client_id: connect.client_id.to_string(),
        clean_session: connect.clean_start,
        last_will: connect.will.as_ref().map(express_will),
        login: login(connect)?.map(|(username, password)| theirs::Login { username, password }),
        properties: has_properties.then(|| theirs::ConnectProperties {
            session_expiry_interval: properties.session_expiry_s,
            receive_maximum: properties.receive_maximum,
            max_packet_size: properties.maximum_packet_bytes,
            topic_alias_max: properties.topic_alias_maximum,
            request_response_info: properties.request_response_information.map(u8::from),
            request_problem_info: properties.request_problem_information.map(u8::from),
            user_properties: user(&properties.user),
            authentication_method: string(properties.authentication_method.as_ref()),
            authentication_data: properties.authentication_data.clone(),
        }),
    })
}

fn express_will(will: &Will) -> theirs::LastWill {
    let forward = ForwardProperties::parse(&will.properties.forward).unwrap();
    let has_properties = will.delay_s > 0 || will.properties != PublishProperties::default();
    theirs::LastWill {
        topic: will.topic.to_string(),
        message: will.payload.clone(),
        qos: their_qos(will.qos),
        retain: will.retain,
        properties: has_properties.then(|| theirs::WillProperties {
            delay_interval: (will.delay_s > 0).then_some(will.delay_s),
            payload_format_indicator: forward.payload_is_utf8.map(u8::from),
            message_expiry_interval: will.properties.expiry_s,
            content_type: string(forward.content_type.as_ref()),
            response_topic: forward.response_topic.map(|topic| topic.to_string()),
            correlation_data: forward.correlation_data,
            user_properties: user(&forward.user),
        }),
    }
}

fn express_connack(connack: &ConnAck) -> theirs::ConnAck {
    let properties = &connack.properties;
    let has_properties = *properties != ConnAckProperties::default();
    let code = match read(&[0x20, 3, 0, connack.code as u8, 0]) {
        theirs::Packet::ConnAck(connack) => connack.code,
        other => panic!("{other:?}"),
    };
    theirs::ConnAck {
        session_present: connack.session_present,
        code,
        properties: has_properties.then(|| theirs::ConnAckProperties {
            session_expiry_interval: properties.session_expiry_s,
            receive_max: properties.receive_maximum,
            max_qos: properties.maximum_qos.map(|qos| qos as u8),
            retain_available: properties.retain_available.map(u8::from),
            max_packet_size: properties.maximum_packet_bytes,
            assigned_client_identifier: string(properties.assigned_client_id.as_ref()),
            topic_alias_max: properties.topic_alias_maximum,
            reason_string: string(properties.diagnostics.reason_string.as_ref()),
            user_properties: user(&properties.diagnostics.user),
            wildcard_subscription_available: properties.wildcard_subscriptions.map(u8::from),
            subscription_identifiers_available: properties.subscription_identifiers.map(u8::from),
            shared_subscription_available: properties.shared_subscriptions.map(u8::from),
            server_keep_alive: properties.server_keep_alive_s,
            response_information: string(properties.response_information.as_ref()),
            server_reference: string(properties.server_reference.as_ref()),
            authentication_method: string(properties.authentication_method.as_ref()),
            authentication_data: properties.authentication_data.clone(),
        }),
    }
}

fn express_publish(publish: &Publish) -> theirs::Publish {
    let forward = ForwardProperties::parse(&publish.properties.forward).unwrap();
    let has_properties = publish.frame().properties_len(Version::V5) > 0;
    theirs::Publish {
        dup: publish.dup,
        qos: their_qos(publish.qos.level()),
        retain: publish.retain,
        topic: publish.topic.as_ref().map(TopicName::to_string).unwrap_or_default(),
        pkid: publish.qos.id().map_or(0, PacketId::value),
        payload: publish.payload.clone(),
        properties: has_properties.then(|| theirs::PublishProperties {
            payload_format_indicator: forward.payload_is_utf8.map(u8::from),
            message_expiry_interval: publish.properties.expiry_s,
            topic_alias: publish.topic_alias,
            response_topic: forward.response_topic.map(|topic| topic.to_string()),
            correlation_data: forward.correlation_data,
            user_properties: user(&forward.user),
            subscription_identifiers: publish.subscription_ids.iter().map(|id| *id as usize).collect(),
            content_type: string(forward.content_type.as_ref()),
        }),
    }
}

fn express_subscribe(subscribe: &Subscribe) -> theirs::Subscribe {
    let has_properties = subscribe.subscription_id.is_some() || !subscribe.user.is_empty();
    let filters = subscribe.filters.iter().map(|filter| theirs::SubscribeFilter {
        path: filter.filter.as_str().to_owned(),
        qos: their_qos(filter.options.qos),
        nolocal: filter.options.no_local,
        preserve_retain: filter.options.retain_as_published,
        retain_forward_rule: match filter.options.retain_handling {
            RetainHandling::Always => theirs::RetainForwardRule::OnEverySubscribe,
            RetainHandling::IfNew => theirs::RetainForwardRule::OnNewSubscribe,
            RetainHandling::Never => theirs::RetainForwardRule::Never,
        },
    });
    theirs::Subscribe {
        pkid: subscribe.id.value(),
        filters: filters.collect(),
        properties: has_properties.then(|| theirs::SubscribeProperties {
            id: subscribe.subscription_id.map(|id| id as usize),
            user_properties: user(&subscribe.user),
        }),
    }
}

fn express_disconnect(disconnect: &Disconnect) -> Option<theirs::Disconnect> {
    Some(theirs::Disconnect {
        reason_code: (disconnect.code as u8).try_into().ok()?,
        properties: disconnect.properties.as_ref().map(|properties| theirs::DisconnectProperties {
            session_expiry_interval: properties.session_expiry_s,
            reason_string: string(properties.diagnostics.reason_string.as_ref()),
            user_properties: user(&properties.diagnostics.user),
            server_reference: string(properties.server_reference.as_ref()),
        }),
    })
}

pub fn write(packet: &theirs::Packet, out: &mut bytes::BytesMut) -> Result<usize, Error> {
    match packet {
        theirs::Packet::Connect(packet) => packet.write(out),
        theirs::Packet::ConnAck(packet) => packet.write(out),
        theirs::Packet::Publish(packet) => packet.write(out),
        theirs::Packet::PubAck(packet) => packet.write(out),
        theirs::Packet::PubRec(packet) => packet.write(out),
        theirs::Packet::PubRel(packet) => packet.write(out),
        theirs::Packet::PubComp(packet) => packet.write(out),
        theirs::Packet::Subscribe(packet) => packet.write(out),
        theirs::Packet::SubAck(packet) => packet.write(out),
        theirs::Packet::Unsubscribe(packet) => packet.write(out),
        theirs::Packet::UnsubAck(packet) => packet.write(out),
        theirs::Packet::PingReq => theirs::PingReq.write(out),
        theirs::Packet::PingResp => theirs::PingResp.write(out),
        theirs::Packet::Disconnect(packet) => packet.write(out),
    }
}
