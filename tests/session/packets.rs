//! Packets in one line each.
use bytes::Bytes;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, Publish, PublishQoS, RetainHandling, SubAck, Subscribe,
    SubscribeFilter, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

pub fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("tests number from 1")
}

pub fn text(text: &str) -> Text {
    Text::try_from(text).expect("tests write legal text")
}

pub fn topic(name: &str) -> TopicName {
    TopicName::parse(text(name)).expect("tests write legal topics")
}

pub fn filter(name: &str) -> TopicFilter {
    TopicFilter::try_from(name).expect("tests write legal filters")
}

/// A CONNECT of 5.0 that begins afresh and whose session is kept.
pub fn connect(client_id: &str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: text(client_id),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties { session_expiry_s: Some(100), ..ConnectProperties::default() },
    }
}

/// The same, of a client that comes back to its session.
pub fn resume(client_id: &str) -> Connect {
    Connect { clean_start: false, ..connect(client_id) }
}

/// A CONNECT of 3.1.1.
pub fn connect_311(client_id: &str, clean_start: bool) -> Connect {
    Connect { version: Version::V311, clean_start, properties: ConnectProperties::default(), ..connect(client_id) }
}

pub fn will(name: &str, delay_s: u32) -> Will {
    Will {
        topic: topic(name),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtMostOnce,
        retain: false,
        delay_s,
        properties: PublishProperties::default(),
    }
}

/// A PUBLISH in the making, of QoS 0 until told otherwise.
#[derive(Debug, Clone)]
pub struct PublishMaker(pub Publish);

pub fn publish(name: &str) -> PublishMaker {
    PublishMaker(Publish {
        dup: false,
        qos: PublishQoS::AtMostOnce,
        retain: false,
        topic: Some(topic(name)),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::new(),
    })
}

impl PublishMaker {
    pub fn qos1(mut self, value: u16) -> Self {
        self.0.qos = PublishQoS::AtLeastOnce(id(value));
        self
    }

    pub fn qos2(mut self, value: u16) -> Self {
        self.0.qos = PublishQoS::ExactlyOnce(id(value));
        self
    }

    pub fn dup(mut self) -> Self {
        self.0.dup = true;
        self
    }

    pub fn retain(mut self) -> Self {
        self.0.retain = true;
        self
    }

    pub fn payload(mut self, payload: &str) -> Self {
        self.0.payload = Bytes::copy_from_slice(payload.as_bytes());
        self
    }

    pub fn expiry(mut self, expiry_s: u32) -> Self {
        self.0.properties.expiry_s = Some(expiry_s);
        self
    }

    pub fn alias(mut self, alias: u16) -> Self {
        self.0.topic_alias = Some(alias);
        self
    }

    pub fn without_topic(mut self) -> Self {
        self.0.topic = None;
        self
    }

    pub fn ids(mut self, ids: &[u32]) -> Self {
        self.0.subscription_ids = ids.to_vec();
        self
    }
}

impl From<PublishMaker> for Packet {
    fn from(maker: PublishMaker) -> Self {
        Self::Publish(maker.0)
    }
}

pub fn puback(value: u16) -> Packet {
    Packet::PubAck(Ack::success(id(value)))
}

pub fn puback_code(value: u16, code: ReasonCode) -> Packet {
    Packet::PubAck(Ack::new(id(value), code))
}

pub fn pubrec(value: u16) -> Packet {
    pubrec_code(value, ReasonCode::Success)
}

pub fn pubrec_code(value: u16, code: ReasonCode) -> Packet {
    Packet::PubRec(Ack::new(id(value), code))
}

pub fn pubrel(value: u16) -> Packet {
    pubrel_code(value, ReasonCode::Success)
}

pub fn pubrel_code(value: u16, code: ReasonCode) -> Packet {
    Packet::PubRel(Ack::new(id(value), code))
}

pub fn pubcomp(value: u16) -> Packet {
    pubcomp_code(value, ReasonCode::Success)
}

pub fn pubcomp_code(value: u16, code: ReasonCode) -> Packet {
    Packet::PubComp(Ack::new(id(value), code))
}

/// A SUBSCRIBE in the making, to one filter.
#[derive(Debug, Clone)]
pub struct SubscribeMaker(pub Subscribe);

pub fn subscribe(value: u16, name: &str, qos: QoS) -> SubscribeMaker {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let filters = vec![SubscribeFilter { filter: filter(name), options }];
    SubscribeMaker(Subscribe { id: id(value), subscription_id: None, user: Vec::new(), filters })
}

impl SubscribeMaker {
    pub fn id(mut self, subscription_id: u32) -> Self {
        self.0.subscription_id = Some(subscription_id);
        self
    }

    pub fn no_local(self) -> Self {
        self.with(|options| options.no_local = true)
    }

    pub fn retain_as_published(self) -> Self {
        self.with(|options| options.retain_as_published = true)
    }

    pub fn retain_handling(self, handling: RetainHandling) -> Self {
        self.with(|options| options.retain_handling = handling)
    }

    fn with(mut self, change: impl Fn(&mut SubscriptionOptions)) -> Self {
        self.0.filters.iter_mut().for_each(|filter| change(&mut filter.options));
        self
    }
}

impl From<SubscribeMaker> for Packet {
    fn from(maker: SubscribeMaker) -> Self {
        Self::Subscribe(maker.0)
    }
}

pub fn suback(value: u16, code: ReasonCode) -> Packet {
    Packet::SubAck(SubAck { id: id(value), codes: vec![code], diagnostics: None })
}

pub fn unsubscribe(value: u16, name: &str) -> Packet {
    Packet::Unsubscribe(Unsubscribe { id: id(value), user: Vec::new(), filters: vec![filter(name)] })
}

pub fn unsuback(value: u16, code: ReasonCode) -> Packet {
    Packet::UnsubAck(UnsubAck { id: id(value), codes: vec![code], diagnostics: None })
}

pub fn disconnect(code: ReasonCode) -> Packet {
    Packet::Disconnect(Disconnect::new(code))
}
