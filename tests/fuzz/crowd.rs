//! Conversations that begin well: a few Client Identifiers that all use, and packets that hang together, bent or not.
use crate::mutation::{Mutator, mend};
use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use vowmq::codec;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, Publish, PublishQoS, RetainHandling, Subscribe,
    SubscribeFilter, SubscriptionOptions, Unsubscribe, Version, Will,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

/// Whoever stops listening to us need not be waited for longer.
const PATIENCE: Duration = Duration::from_secs(3);
const PACKETS_MAX: usize = 30;
const TOPICS: [&str; 6] = ["t/a", "t/b", "t", "u/a/b", "//", "$x/y"];
const FILTERS: [&str; 8] = ["t/#", "t/+", "+/a", "#", "$share/g/t/#", "$share/g/#", "$share/h/t/a", "u/a/b"];
const CLIENT_IDS: [&str; 5] = ["", "c1", "c2", "c3", "c4"];
const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Where packets come from, and what bends them.
pub struct Bent<'a> {
    pub mutator: Mutator,
    /// What clients send in the wire cases.
    pub seeds: &'a [Vec<u8>],
}

/// One connection, from its first byte to an end of some kind. Answers how many bytes were sent.
pub fn attack(address: SocketAddr, bent: &mut Bent<'_>) -> u64 {
    let Ok(mut stream) = TcpStream::connect(address) else { return 0 };
    let wait = Duration::from_millis(1 + bent.mutator.below(20) as u64);
    let set = stream.set_read_timeout(Some(wait)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
    set.and_then(|()| stream.set_nodelay(true)).expect("a socket takes its options");
    let input = if bent.mutator.below(3) == 0 { bent.mutator.mutate(bent.seeds) } else { bent.conversation() };
    let (mutator, mut sent) = (&mut bent.mutator, 0);
    // Some read what comes, some never do, some send a byte at a time.
    let reads = mutator.below(3);
    let piece = [input.len().max(1), 1 + mutator.below(input.len().max(1)), 1][mutator.below(10).saturating_sub(7)];
    let mut answers = [0; 4096];
    for piece in input.chunks(piece) {
        if stream.write_all(piece).is_err() {
            return sent;
        }
        sent += piece.len() as u64;
        if mutator.below(2) < reads && piece.len() > 1 {
            let _ = stream.read(&mut answers);
        }
    }
    match mutator.below(5) {
        // Half closed: it may still be answered.
        0 => {
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read(&mut answers);
        }
        // Reset, whatever is under way.
        1 => {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        2 => drop(stream.read(&mut answers)),
        _ => {}
    }
    sent
}

impl Bent<'_> {
    /// A CONNECT and packets behind it, of which some are bent.
    fn conversation(&mut self) -> Vec<u8> {
        let version = *self.mutator.pick(&[Version::V31, Version::V311, Version::V5, Version::V5]);
        let connect = self.connect(version);
        let mut all = self.bytes(&connect, version);
        for _ in 0..self.mutator.below(PACKETS_MAX) {
            let packet = self.packet(version);
            all.extend(self.bytes(&packet, version));
        }
        all
    }

    /// The packet's bytes, damaged now and then.
    fn bytes(&mut self, packet: &Packet, version: Version) -> Vec<u8> {
        let mut out = BytesMut::new();
        // What one of the versions has no form for is left out.
        let _ = codec::encode(packet, version, &mut out);
        let mut bytes = out.to_vec();
        if self.mutator.below(12) == 0 {
            self.mutator.damage(&mut bytes, self.seeds);
            if self.mutator.below(2) == 0 {
                mend(&mut bytes);
            }
        }
        bytes
    }
}

impl Bent<'_> {
    fn connect(&mut self, version: Version) -> Packet {
        let is_v5 = version.is_v5();
        let one_in = |mutator: &mut Mutator, count| mutator.below(count) == 0;
        let will = one_in(&mut self.mutator, 3).then(|| Will {
            topic: self.topic(),
            payload: self.payload(),
            qos: *self.mutator.pick(&QOS),
            retain: one_in(&mut self.mutator, 2),
            delay_s: if is_v5 { self.mutator.pick(&[0, 1, 5]).to_owned() } else { 0 },
            properties: PublishProperties::default(),
        });
        let clean_start = one_in(&mut self.mutator, 3);
        // To be given an identifier one has to begin afresh [MQTT-3.1.3-8].
        let client_ids = if clean_start { &CLIENT_IDS[..] } else { &CLIENT_IDS[1..] };
        let client_id = Text::from_static(self.mutator.pick::<&'static str>(client_ids));
        let properties = ConnectProperties {
            session_expiry_s: Some(*self.mutator.pick(&[0, 5, u32::MAX])),
            receive_maximum: Some(*self.mutator.pick(&[1, 2, 65_535])),
            maximum_packet_bytes: one_in(&mut self.mutator, 3).then_some(100),
            topic_alias_maximum: Some(*self.mutator.pick(&[0, 2, 65_535])),
            ..ConnectProperties::default()
        };
        Packet::Connect(Box::new(Connect {
            version,
            clean_start,
            keep_alive_s: *self.mutator.pick(&[0, 1, 60]),
            client_id,
            will,
            user_name: None,
            password: None,
            properties: if is_v5 { properties } else { ConnectProperties::default() },
        }))
    }

    fn packet(&mut self, version: Version) -> Packet {
        let ack = Ack::success(self.id());
        match self.mutator.below(16) {
            0..=5 => self.publish(version),
            6..=8 => self.subscribe(version),
            9 => Packet::Unsubscribe(Unsubscribe { id: self.id(), user: Vec::new(), filters: vec![self.filter()] }),
            10 => Packet::PubAck(ack),
            11 => Packet::PubRec(ack),
            12 => Packet::PubRel(ack),
            13 => Packet::PubComp(ack),
            14 => Packet::PingReq,
            _ if self.mutator.below(4) == 0 => Packet::Disconnect(Disconnect::new(ReasonCode::Success)),
            _ => self.publish(version),
        }
    }

    fn publish(&mut self, version: Version) -> Packet {
        let qos = match self.mutator.below(4) {
            0 => PublishQoS::AtMostOnce,
            1 => PublishQoS::AtLeastOnce(self.id()),
            _ => PublishQoS::ExactlyOnce(self.id()),
        };
        let alias = (version.is_v5() && self.mutator.below(4) == 0).then(|| *self.mutator.pick(&[1, 2, 64, 65]));
        let has_topic = alias.is_none() || self.mutator.below(2) == 0;
        Packet::Publish(Publish {
            dup: false,
            qos,
            retain: self.mutator.below(4) == 0,
            topic: has_topic.then(|| self.topic()),
            topic_alias: alias,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: self.payload(),
        })
    }

    fn subscribe(&mut self, version: Version) -> Packet {
        let handling = [RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never];
        let filters = (0..=self.mutator.below(3)).map(|_| {
            let (filter, qos) = (self.filter(), *self.mutator.pick(&QOS));
            let mut options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            if version.is_v5() {
                // [MQTT-3.8.3-4]
                options.no_local = !filter.is_shared() && self.mutator.below(4) == 0;
                options.retain_as_published = self.mutator.below(2) == 0;
                options.retain_handling = *self.mutator.pick(&handling);
            }
            SubscribeFilter { filter, options }
        });
        let filters = filters.collect();
        let subscription_id = (version.is_v5() && self.mutator.below(3) == 0).then_some(7);
        Packet::Subscribe(Subscribe { id: self.id(), subscription_id, user: Vec::new(), filters })
    }

    fn id(&mut self) -> PacketId {
        PacketId::new(*self.mutator.pick(&[1, 2, 3, 4, 5, 65_535])).expect("not 0")
    }

    fn topic(&mut self) -> TopicName {
        TopicName::try_from(*self.mutator.pick(&TOPICS)).expect("a legal topic")
    }

    fn filter(&mut self) -> TopicFilter {
        TopicFilter::try_from(*self.mutator.pick(&FILTERS)).expect("a legal filter")
    }

    /// Nothing, a little, or much.
    fn payload(&mut self) -> Bytes {
        let length = *self.mutator.pick(&[0, 1, 10, 10, 10, 100, 1000, 20_000]);
        Bytes::from(vec![b'x'; length])
    }
}
