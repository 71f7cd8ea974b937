//! Two good clients, who must be served whatever others did: a QoS 2 round trip.
use crate::house::House;
use crate::link::Link;
use bytes::Bytes;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions,
    Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, Text, TopicFilter, TopicName};

const TOPIC: &str = "canary/song";
/// Looks into the mailbox until an answer must be there.
const PATIENCE: usize = 200;

fn connect(client_id: &'static str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: Text::from_static(client_id),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties { session_expiry_s: Some(100), ..ConnectProperties::default() },
    }
}

/// Sings, and hears it.
pub fn sing(house: &mut House, others: &mut [Option<Link>]) {
    let mut hearer = Some(Link::connect(connect("canary-a"), house, others).expect("a good client is let in"));
    let mut singer = Some(Link::connect(connect("canary-b"), house, others).expect("a good client is let in"));
    let id = PacketId::new(7).expect("not 0");
    let filter = TopicFilter::try_from(TOPIC).expect("a legal filter");
    let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
    let filters = vec![SubscribeFilter { filter, options }];
    send(&mut hearer, house, &Packet::Subscribe(Subscribe { id, subscription_id: None, user: Vec::new(), filters }));
    expect(&mut hearer, house, "SUBACK");
    let publish = Publish {
        dup: false,
        qos: PublishQoS::ExactlyOnce(id),
        retain: false,
        topic: Some(TopicName::try_from(TOPIC).expect("a legal topic")),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::from_static(b"song"),
    };
    send(&mut singer, house, &Packet::Publish(publish));
    let Packet::PubRec(ack) = expect(&mut singer, house, "PUBREC") else { unreachable!("it has that name") };
    assert!(!ack.code.is_failure(), "the song was refused: {:?}", ack.code);
    send(&mut singer, house, &Packet::PubRel(Ack::success(id)));
    expect(&mut singer, house, "PUBCOMP");
    let Packet::Publish(heard) = expect(&mut hearer, house, "PUBLISH") else { unreachable!("it has that name") };
    let id = heard.qos.id().expect("it comes with QoS 2");
    send(&mut hearer, house, &Packet::PubRec(Ack::success(id)));
    expect(&mut hearer, house, "PUBREL");
    send(&mut hearer, house, &Packet::PubComp(Ack::success(id)));
    for link in [hearer, singer] {
        link.expect("a good client stays connected").cut(house);
    }
}

fn send(link: &mut Option<Link>, house: &mut House, packet: &Packet) {
    *link = link.take().and_then(|link| link.send_packet(packet, house));
}

/// The next packet with this name.
fn expect(link: &mut Option<Link>, house: &mut House, name: &str) -> Packet {
    for _ in 0..PATIENCE {
        let seen = &mut link.as_mut().expect("a good client stays connected").seen;
        if let Some(at) = seen.iter().position(|packet| packet.name() == name) {
            return seen.remove(at);
        }
        house.commit();
        *link = link.take().and_then(|link| link.take(true, house));
    }
    panic!("a good client waits for {name}");
}
