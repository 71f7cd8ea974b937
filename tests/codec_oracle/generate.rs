//! Packets of every kind, legal in the version asked for and in the form the decoder gives them.
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use vowmq::codec::ForwardProperties;
use vowmq::packet::*;
use vowmq::types::*;

pub const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

pub fn version() -> impl Strategy<Value = Version> {
    select(VERSIONS.as_slice())
}

pub fn packet_in_any_version() -> impl Strategy<Value = (Version, Packet)> {
    version().prop_flat_map(|version| (Just(version), packet(version)))
}

pub fn packet(version: Version) -> BoxedStrategy<Packet> {
    let both = prop_oneof![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))),
        connack(version).prop_map(|connack| Packet::ConnAck(Box::new(connack))),
        publish(version).prop_map(Packet::Publish),
        ack(version, PUBACK).prop_map(Packet::PubAck),
        ack(version, PUBACK).prop_map(Packet::PubRec),
        ack(version, PUBREL).prop_map(Packet::PubRel),
        ack(version, PUBREL).prop_map(Packet::PubComp),
        subscribe(version).prop_map(Packet::Subscribe),
        suback(version).prop_map(Packet::SubAck),
        unsubscribe(version).prop_map(Packet::Unsubscribe),
        unsuback(version).prop_map(Packet::UnsubAck),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        disconnect(version).prop_map(Packet::Disconnect),
    ];
    if version.is_v5() { prop_oneof![14 => both, 1 => auth().prop_map(Packet::Auth)].boxed() } else { both.boxed() }
}

const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
    0x9c, 0x9d, 0x9f,
];
/// Those that have a return code of their own in 3.1.1.
const CONNACK_311: &[u8] = &[0x00, 0x84, 0x85, 0x86, 0x87, 0x88];
const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const PUBREL: &[u8] = &[0x00, 0x92];
const SUBACK: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
const SUBACK_311: &[u8] = &[0x00, 0x01, 0x02, 0x80];
const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];
const DISCONNECT: &[u8] = &[
    0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97,
    0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
];
const AUTH: &[u8] = &[0x00, 0x18, 0x19];

fn code(listed: &'static [u8]) -> impl Strategy<Value = ReasonCode> {
    select(listed).prop_map(|byte| ReasonCode::from_byte(byte).unwrap())
}

fn id() -> impl Strategy<Value = PacketId> {
    (1..=u16::MAX).prop_map(|value| PacketId::new(value).unwrap())
}

fn qos() -> impl Strategy<Value = QoS> {
    select([QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].as_slice())
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![9 => "[^\\x00]{0,12}", 1 => "[^\\x00]{100,200}"].prop_map(|text| Text::try_from(text.as_str()).unwrap())
}

fn topic() -> impl Strategy<Value = TopicName> {
    "[^\\x00+#]{1,16}".prop_map(|topic| TopicName::try_from(topic.as_str()).unwrap())
}

fn filter() -> impl Strategy<Value = TopicFilter> {
    let level = prop_oneof!["[^\\x00+#/]{0,5}", Just("+".to_owned())];
    let plain = (vec(level, 1..4), any::<bool>()).prop_map(|(levels, deep)| {
        let filter = levels.join("/");
        if deep || filter.is_empty() { filter + "/#" } else { filter }
    });
    (of("[^\\x00+#/]{1,5}"), plain).prop_map(|(share, plain)| {
        let filter = share.map_or(plain.clone(), |share| format!("$share/{share}/{plain}"));
        TopicFilter::try_from(filter.as_str()).unwrap()
    })
}

fn binary() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}

fn user() -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), 0..3)
}

fn subscription_id() -> impl Strategy<Value = u32> {
    prop_oneof![1_u32..300, Just(268_435_455)]
}

fn diagnostics() -> impl Strategy<Value = Diagnostics> {
    (of(text()), user()).prop_map(|(reason_string, user)| Diagnostics { reason_string, user })
}

/// `None` for what is as good as absent, and before 5.0.
fn boxed<T: PartialEq + Default>(value: T, version: Version) -> Option<Box<T>> {
    (version.is_v5() && value != T::default()).then(|| Box::new(value))
}

fn authentication() -> impl Strategy<Value = (Option<Text>, Option<Bytes>)> {
    of((text(), of(binary()))).prop_map(|both| both.map_or((None, None), |(method, data)| (Some(method), data)))
}

fn connect_properties() -> impl Strategy<Value = ConnectProperties> {
    let numbers = (of(any::<u32>()), of(1..=u16::MAX), of(1..=u32::MAX), of(any::<u16>()));
    (numbers, of(any::<bool>()), of(any::<bool>()), user(), authentication()).prop_map(
        |(numbers, request_response_information, request_problem_information, user, authentication)| {
            ConnectProperties {
                session_expiry_s: numbers.0,
                receive_maximum: numbers.1,
                maximum_packet_bytes: numbers.2,
                topic_alias_maximum: numbers.3,
                request_response_information,
                request_problem_information,
                user,
                authentication_method: authentication.0,
                authentication_data: authentication.1,
            }
        },
    )
}

pub fn forward() -> impl Strategy<Value = ForwardProperties> {
    (of(any::<bool>()), of(text()), of(topic()), of(binary()), user()).prop_map(
        |(payload_is_utf8, content_type, response_topic, correlation_data, user)| ForwardProperties {
            payload_is_utf8,
            content_type,
            response_topic,
            correlation_data,
            user,
        },
    )
}

fn publish_properties(version: Version) -> impl Strategy<Value = PublishProperties> {
    (of(any::<u32>()), forward()).prop_map(move |(expiry_s, forward)| {
        let properties = PublishProperties { expiry_s, forward: forward.encode().unwrap() };
        if version.is_v5() { properties } else { PublishProperties::default() }
    })
}

fn will(version: Version) -> impl Strategy<Value = Will> {
    let delay_s = if version.is_v5() { any::<u32>().boxed() } else { Just(0).boxed() };
    (topic(), binary(), qos(), any::<bool>(), delay_s, publish_properties(version)).prop_map(
        |(topic, payload, qos, retain, delay_s, properties)| Will { topic, payload, qos, retain, delay_s, properties },
    )
}

fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let login = (of(text()), of(binary()));
    (any::<bool>(), any::<u16>(), text(), of(will(version)), login, connect_properties()).prop_map(
        move |(clean_start, keep_alive_s, client_id, will, (user_name, password), properties)| Connect {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            password: password.filter(|_| user_name.is_some() || version.is_v5()),
            user_name,
            properties: if version.is_v5() { properties } else { ConnectProperties::default() },
        },
    )
}

fn connack_properties() -> impl Strategy<Value = ConnAckProperties> {
    let maximum_qos = of(select([QoS::AtMostOnce, QoS::AtLeastOnce].as_slice()));
    let numbers =
        (of(any::<u32>()), of(1..=u16::MAX), maximum_qos, of(1..=u32::MAX), of(any::<u16>()), of(any::<u16>()));
    let flags = (of(any::<bool>()), of(any::<bool>()), of(any::<bool>()), of(any::<bool>()));
    let texts = (of(text()), of(text()), of(text()));
    (numbers, flags, texts, authentication(), diagnostics()).prop_map(
        |(numbers, flags, texts, authentication, diagnostics)| ConnAckProperties {
            session_expiry_s: numbers.0,
            receive_maximum: numbers.1,
            maximum_qos: numbers.2,
            retain_available: flags.0,
            maximum_packet_bytes: numbers.3,
            assigned_client_id: texts.0,
            topic_alias_maximum: numbers.4,
            wildcard_subscriptions: flags.1,
            subscription_identifiers: flags.2,
            shared_subscriptions: flags.3,
            server_keep_alive_s: numbers.5,
            response_information: texts.1,
            server_reference: texts.2,
            authentication_method: authentication.0,
            authentication_data: authentication.1,
            diagnostics,
        },
    )
}

fn connack(version: Version) -> impl Strategy<Value = ConnAck> {
    let code = code(if version.is_v5() { CONNACK } else { CONNACK_311 });
    (any::<bool>(), code, connack_properties()).prop_map(move |(session_present, code, properties)| ConnAck {
        session_present: session_present && !code.is_failure() && version != Version::V31,
        code,
        properties: if version.is_v5() { properties } else { ConnAckProperties::default() },
    })
}

fn publish_qos() -> impl Strategy<Value = PublishQoS> {
    prop_oneof![
        Just(PublishQoS::AtMostOnce),
        id().prop_map(PublishQoS::AtLeastOnce),
        id().prop_map(PublishQoS::ExactlyOnce)
    ]
}

fn publish(version: Version) -> impl Strategy<Value = Publish> {
    let alias = if version.is_v5() { of(1..=u16::MAX).boxed() } else { Just(None).boxed() };
    let ids = if version.is_v5() { vec(subscription_id(), 0..4).boxed() } else { Just(Vec::new()).boxed() };
    let payload = prop_oneof![9 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 16_000..17_000)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (flags, publish_qos(), topic(), alias, ids, publish_properties(version), payload).prop_map(
        |((dup, retain, by_alias), qos, topic, topic_alias, subscription_ids, properties, payload)| Publish {
            dup: dup && qos != PublishQoS::AtMostOnce,
            qos,
            retain,
            topic: (!by_alias || topic_alias.is_none()).then_some(topic),
            topic_alias,
            subscription_ids,
            properties,
            payload: Bytes::from(payload),
        },
    )
}

fn ack(version: Version, listed: &'static [u8]) -> impl Strategy<Value = Ack> {
    (id(), code(listed), diagnostics()).prop_map(move |(id, code, diagnostics)| Ack {
        id,
        code: if version.is_v5() { code } else { ReasonCode::Success },
        diagnostics: boxed(diagnostics, version),
    })
}

fn subscribe_filter(version: Version) -> impl Strategy<Value = SubscribeFilter> {
    let handling = select([RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never].as_slice());
    (filter(), qos(), any::<bool>(), any::<bool>(), handling).prop_map(
        move |(filter, qos, no_local, retain_as_published, retain_handling)| {
            let no_local = no_local && !filter.is_shared();
            let full = SubscriptionOptions { qos, no_local, retain_as_published, retain_handling };
            let plain = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            SubscribeFilter { filter, options: if version.is_v5() { full } else { plain } }
        },
    )
}

fn subscribe(version: Version) -> impl Strategy<Value = Subscribe> {
    (id(), of(subscription_id()), user(), vec(subscribe_filter(version), 1..4)).prop_map(
        move |(id, subscription_id, user, filters)| Subscribe {
            id,
            subscription_id: subscription_id.filter(|_| version.is_v5()),
            user: if version.is_v5() { user } else { UserProperties::new() },
            filters,
        },
    )
}

fn suback(version: Version) -> impl Strategy<Value = SubAck> {
    let code = code(if version.is_v5() { SUBACK } else { SUBACK_311 });
    (id(), vec(code, 1..4), diagnostics()).prop_map(move |(id, codes, diagnostics)| SubAck {
        id,
        codes,
        diagnostics: boxed(diagnostics, version),
    })
}

fn unsubscribe(version: Version) -> impl Strategy<Value = Unsubscribe> {
    (id(), user(), vec(filter(), 1..4)).prop_map(move |(id, user, filters)| Unsubscribe {
        id,
        user: if version.is_v5() { user } else { UserProperties::new() },
        filters,
    })
}

fn unsuback(version: Version) -> impl Strategy<Value = UnsubAck> {
    let count = if version.is_v5() { 1..4 } else { 0..1 };
    (id(), vec(code(UNSUBACK), count), diagnostics()).prop_map(move |(id, codes, diagnostics)| UnsubAck {
        id,
        codes,
        diagnostics: boxed(diagnostics, version),
    })
}

fn disconnect(version: Version) -> impl Strategy<Value = Disconnect> {
    (code(DISCONNECT), of(any::<u32>()), of(text()), diagnostics()).prop_map(
        move |(code, session_expiry_s, server_reference, diagnostics)| Disconnect {
            code: if version.is_v5() { code } else { ReasonCode::Success },
            properties: boxed(DisconnectProperties { session_expiry_s, server_reference, diagnostics }, version),
        },
    )
}

fn auth() -> impl Strategy<Value = Auth> {
    let full = (code(AUTH), text(), of(binary()), diagnostics()).prop_map(|(code, method, data, diagnostics)| Auth {
        code,
        method: Some(method),
        data,
        diagnostics: boxed(diagnostics, Version::V5),
    });
    let empty = Auth { code: ReasonCode::Success, method: None, data: None, diagnostics: None };
    prop_oneof![4 => full, 1 => Just(empty)]
}
