//! Two good clients of the real program: what one sings with QoS 2 the other hears, in time, whatever others do.
use bytes::{Bytes, BytesMut};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use vowmq::codec::{self, Limits};
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions,
    Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, Text, TopicFilter, TopicName};

const TOPIC: &str = "singers/song";
/// How long a good client may have to wait for anything.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Singers {
    hearer: Good,
    singer: Good,
    sung: u16,
}

impl Singers {
    pub fn connect(address: SocketAddr) -> Self {
        let mut hearer = Good::connect(address, "singers-a");
        let singer = Good::connect(address, "singers-b");
        let filter = TopicFilter::try_from(TOPIC).expect("a legal filter");
        let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
        let filters = vec![SubscribeFilter { filter, options }];
        let id = PacketId::new(1).expect("not 0");
        hearer.send(&Packet::Subscribe(Subscribe { id, subscription_id: None, user: Vec::new(), filters }));
        let Packet::SubAck(suback) = hearer.read() else { panic!("SUBACK comes next") };
        assert!(suback.codes.iter().all(|code| !code.is_failure()), "{suback:?}");
        Self { hearer, singer, sung: 0 }
    }

    /// One song, from PUBLISH to the last PUBCOMP; answers how long it took.
    pub fn sing(&mut self) -> Duration {
        let begun = Instant::now();
        self.sung = self.sung % 60_000 + 1;
        let id = PacketId::new(self.sung).expect("not 0");
        let payload = Bytes::copy_from_slice(&self.sung.to_be_bytes());
        self.singer.send(&Packet::Publish(Publish {
            dup: false,
            qos: PublishQoS::ExactlyOnce(id),
            retain: false,
            topic: Some(TopicName::try_from(TOPIC).expect("a legal topic")),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: payload.clone(),
        }));
        let Packet::PubRec(ack) = self.singer.read() else { panic!("PUBREC comes next") };
        assert!(ack.id == id && !ack.code.is_failure(), "{ack:?}");
        self.singer.send(&Packet::PubRel(Ack::success(id)));
        let Packet::PubComp(ack) = self.singer.read() else { panic!("PUBCOMP comes next") };
        assert!(ack.id == id && !ack.code.is_failure(), "{ack:?}");
        let Packet::Publish(heard) = self.hearer.read() else { panic!("PUBLISH comes next") };
        assert_eq!(heard.payload, payload, "each song is heard once");
        let id = heard.qos.id().expect("it comes with QoS 2");
        self.hearer.send(&Packet::PubRec(Ack::success(id)));
        let Packet::PubRel(ack) = self.hearer.read() else { panic!("PUBREL comes next") };
        assert_eq!(ack.id, id);
        self.hearer.send(&Packet::PubComp(Ack::success(id)));
        let took = begun.elapsed();
        assert!(took < PATIENCE, "a song took {took:?}");
        took
    }
}

struct Good {
    stream: TcpStream,
    input: BytesMut,
}

impl Good {
    /// Connects and begins afresh; its session is kept for a while, so that what is for it is kept on disk.
    fn connect(address: SocketAddr, client_id: &'static str) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the broker takes connections");
        let set = stream.set_read_timeout(Some(PATIENCE)).and_then(|()| stream.set_write_timeout(Some(PATIENCE)));
        set.expect("a socket takes its options");
        let mut good = Self { stream, input: BytesMut::new() };
        good.send(&Packet::Connect(Box::new(Connect {
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 0,
            client_id: Text::from_static(client_id),
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties { session_expiry_s: Some(5), ..ConnectProperties::default() },
        })));
        let Packet::ConnAck(connack) = good.read() else { panic!("CONNACK comes first") };
        assert!(!connack.code.is_failure(), "a good client is let in: {connack:?}");
        good
    }

    fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        codec::encode(packet, Version::V5, &mut bytes).expect("good clients send legal packets");
        self.stream.write_all(&bytes).expect("a good client is listened to in time, whatever others do");
    }

    fn read(&mut self) -> Packet {
        let (version, limits) = (Some(Version::V5), Limits::default());
        loop {
            match codec::frame_len(&self.input, version, &limits).expect("the broker sends legal packets") {
                Some(length) if length <= self.input.len() => {
                    let frame = self.input.split_to(length).freeze();
                    return codec::decode(frame, version, &limits).expect("the broker sends legal packets");
                }
                Some(_) | None => {}
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).expect("a good client is served in time, whatever others do");
            assert!(count > 0, "a good client stays connected");
            self.input.extend_from_slice(&bytes[..count]);
        }
    }
}
