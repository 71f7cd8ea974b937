//! The six paths that every message takes, each as a closure that goes it once. Shared by `benches/micro.rs`, which
//! times them, and `tests/instructions.rs`, which counts their instructions.
use bytes::{Bytes, BytesMut};
use std::path::Path;
use std::sync::Arc;
use vowmq::codec;
use vowmq::packet::{Ack, Connect, ConnectProperties, Packet, PublishFrame, PublishQoS, SubscriptionOptions, Version};
use vowmq::routing::{Subscriber, Subscription, Tree};
use vowmq::session::{Delivery, Features, Limits, Outcome, Outgoing, Released, Session, Turn};
use vowmq::store::log::{DiskFiles, Group, Lsn, Options, open};
use vowmq::types::{
    ClientId, Message, Now, PacketId, QoS, ReasonCode, SessionKey, Stamp, SubscriptionIds, Text, TopicFilter, TopicName,
};

/// One way through the path.
pub type Go = Box<dyn FnMut()>;

/// Makes ready for a path; the log gets a directory.
pub type Prepare = fn(&Path) -> Go;

/// All paths by their names.
pub const PATHS: [(&str, Prepare); 6] = [
    ("decode_publish_10", decode_publish),
    ("encode_publish", encode_publish),
    ("route", route),
    ("session_publish", session_publish),
    ("session_deliver", session_deliver),
    ("log_append_64", log_append),
];

const TOPIC: &str = "building/7/room/42/temperature";
const PAYLOAD: [u8; 64] = [0x5a; 64];
const NOW: Now = Now::from_millis(1_000_000);

fn id() -> PacketId {
    PacketId::new(1).expect("one is an identifier")
}

fn publish_frame() -> PublishFrame<'static> {
    PublishFrame {
        dup: false,
        qos: PublishQoS::AtLeastOnce(id()),
        retain: false,
        topic: TOPIC.as_bytes(),
        topic_alias: None,
        expiry_s: None,
        subscription_ids: &[],
        forward: &[],
        payload: &PAYLOAD,
    }
}

fn publish_bytes() -> Bytes {
    let mut out = BytesMut::new();
    codec::encode_publish(&publish_frame(), Version::V5, &mut out).expect("a legal packet");
    out.freeze()
}

/// A read of ten messages on one topic.
fn decode_publish(_: &Path) -> Go {
    let (read, limits) = (Bytes::from(publish_bytes().repeat(10)), codec::Limits::default());
    Box::new(move || {
        let mut packets = codec::Packets::of(&read, Version::V5, &limits);
        for packet in packets.by_ref() {
            std::hint::black_box(packet.expect("legal"));
        }
        assert_eq!((packets.given(), packets.bytes()), (10, read.len()));
    })
}

fn encode_publish(_: &Path) -> Go {
    let mut out = BytesMut::with_capacity(1024);
    Box::new(move || {
        out.clear();
        codec::encode_publish(&publish_frame(), Version::V5, &mut out).expect("a legal packet");
        std::hint::black_box(&out);
    })
}

#[derive(Clone)]
struct Key(SessionKey);

impl Subscriber for Key {
    fn key(&self) -> SessionKey {
        self.0
    }
}

/// A thousand exact filters, some wildcards, and a topic that meets three of them.
fn route(_: &Path) -> Go {
    let mut tree = Tree::new();
    let exact = (0..1000).map(|room| format!("building/7/room/{room}/temperature"));
    let wild = ["building/+/room/42/#", "building/7/#", "cellar/#", "+/8/room/+/humidity"].map(str::to_owned);
    for (number, filter) in exact.chain(wild).enumerate() {
        let filter = TopicFilter::try_from(filter.as_str()).expect("a legal filter");
        let subscriber = Key(SessionKey(number as u64));
        tree.subscribe(&filter, Subscription { subscriber, options: SubscriptionOptions::default(), id: None });
    }
    let topic = TopicName::try_from(TOPIC).expect("a legal topic");
    Box::new(move || {
        std::hint::black_box(tree.route(&topic, None));
    })
}

fn session() -> Session {
    let name = Text::from_static("bench");
    let client_id = ClientId::new(&name).expect("a legal identifier");
    let connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 0,
        client_id: name,
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    };
    let (limits, features) = (Arc::new(Limits::default()), Arc::new(Features::default()));
    Session::open(connect, client_id, false, None, &limits, &features, NOW).session
}

fn empty(turn: &mut Turn) {
    turn.send.clear();
    turn.asks.clear();
    turn.changes.clear();
    turn.released = Released::default();
}

/// A publish of QoS 1 comes in, is taken, and is acknowledged.
fn session_publish(_: &Path) -> Go {
    let (mut session, mut turn) = (session(), Turn::default());
    let packet = codec::decode(publish_bytes(), Some(Version::V5), &codec::Limits::default()).expect("legal");
    Box::new(move || {
        session.handle_packet(packet.clone(), NOW, &mut turn).expect("a legal packet");
        session.handle_outcomes(&[Outcome::Published(ReasonCode::Success)], None, &mut turn);
        assert!(!turn.send.is_empty(), "it is acknowledged");
        empty(&mut turn);
    })
}

/// A delivery of QoS 1 goes out, and is acknowledged.
fn session_deliver(_: &Path) -> Go {
    let (mut session, mut turn) = (session(), Turn::default());
    let message = Arc::new(Message {
        topic: TopicName::try_from(TOPIC).expect("a legal topic"),
        payload: Bytes::from_static(&PAYLOAD),
        qos: QoS::AtLeastOnce,
        retain: false,
        forward: Bytes::new(),
        expires_at: None,
        received: Stamp::default(),
    });
    let delivery = Delivery {
        cost_bytes: Delivery::cost_of(&message),
        message,
        qos: QoS::AtLeastOnce,
        retain: false,
        subscription_ids: SubscriptionIds::default(),
        position: None,
        share: None,
        give_up_at: None,
        rule: 0,
    };
    Box::new(move || {
        session.handle_delivery(delivery.clone(), NOW, &mut turn);
        let id = turn.send.iter().find_map(|outgoing| match outgoing {
            Outgoing::Publish(publish) => publish.qos.id(),
            Outgoing::Ack(..) | Outgoing::Packet(_) => None,
        });
        let ack = Ack::success(id.expect("it is sent"));
        session.handle_packet(Packet::PubAck(ack), NOW, &mut turn).expect("a legal packet");
        empty(&mut turn);
    })
}

const RELEASED_EVERY: u32 = 1024;

/// A group of 64 records of 100 bytes, with the sync.
fn log_append(directory: &Path) -> Go {
    let files = Arc::new(DiskFiles::create(directory).expect("the directory can be used"));
    let options = Options { segment_bytes: 8 << 20, frame_bytes_max: 1 << 20, ..Options::new(7) };
    let ignore = |_, _: &[u8]| Ok::<(), std::convert::Infallible>(());
    let (mut log, _) = open(files, options, Lsn::START, ignore).expect("a new log");
    let mut group = Group::new();
    let mut appended = 0_u32;
    Box::new(move || {
        group.clear();
        for _ in 0..64 {
            group.push(&[0x5a; 100]);
        }
        log.append(&mut group).expect("the disk takes it");
        appended += 1;
        if appended.is_multiple_of(RELEASED_EVERY) {
            // What nobody needs any more makes room, so that a long run fills no disk.
            log.release_before(log.end()).expect("the disk takes it");
        }
    })
}
