//! A broker with a small plant around it: machines that listen, some that have stopped answering, and one that is away.
use crate::common::broker::Broker;
use crate::peer::{Peer, ack, admin_address, ask, eventually, id, own_token, read};
use std::net::TcpListener;
use tempfile::TempDir;
use vowmq::packet::{Packet, PublishQoS};
use vowmq::types::QoS;

const READER: &str = "0123456789abcdef-reader";
const HOSTILE: &str = "<img src=x onerror=globalThis.broken=1>";
const MACHINES: usize = 12;

pub struct Plant {
    broker: Broker,
    websocket_port: u16,
    /// Held so that their connections stay open.
    _peers: Vec<Peer>,
    _directory: TempDir,
}

impl Plant {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let reader = directory.path().join("reader");
        std::fs::write(&reader, READER).unwrap();
        let websocket_port = free_port();
        let broker = Broker::start(&format!(
            "[[listener]]\naddress = \"127.0.0.1:{websocket_port}\"\nwebsocket = true\nallow_anonymous = true\n\
             [limits]\nqueued_messages_max = 40\n[queue]\non_full = \"drop_newest\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n\
             [[admin.token]]\nname = \"reader\"\nrole = \"read\"\nfile = \"{}\"\n",
            reader.display()
        ));
        let mut peers = machines(&broker);
        peers.extend(stuck(&broker));
        leave_with_a_full_queue(&broker);
        retain(&broker);
        eventually("the stuck messages", || {
            let found = read(&broker, "/api/v1/handshakes");
            (found["items"].as_array()?.len() == 3).then_some(())
        });
        Self { broker, websocket_port, _peers: peers, _directory: directory }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", admin_address(&self.broker))
    }

    pub fn token(&self) -> String {
        own_token(&self.broker)
    }

    pub fn reader(&self) -> String {
        READER.to_owned()
    }

    pub fn websocket_url(&self) -> String {
        format!("ws://127.0.0.1:{}/mqtt", self.websocket_port)
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn machines(broker: &Broker) -> Vec<Peer> {
    let mut peers: Vec<_> = (1..=MACHINES)
        .map(|number| {
            let mut peer = Peer::connect(broker, &format!("machine-{number:02}"));
            peer.subscribe(&format!("plant/{number}/orders"), QoS::AtLeastOnce);
            peer
        })
        .collect();
    for name in ["worker-1", "worker-2"] {
        let mut worker = Peer::connect(broker, name);
        worker.subscribe("$share/workers/jobs/#", QoS::AtLeastOnce);
        peers.push(worker);
    }
    let mut hostile = Peer::connect(broker, HOSTILE);
    hostile.subscribe(&format!("hostile/{HOSTILE}"), QoS::AtMostOnce);
    peers.push(hostile);
    peers
}

/// A press that never says it has its message, a saw that never completes, and a feeder that never releases its own.
fn stuck(broker: &Broker) -> [Peer; 4] {
    let mut press = Peer::connect(broker, "press-7");
    press.subscribe("plant/press/7/recipe", QoS::ExactlyOnce);
    let mut saw = Peer::connect(broker, "saw-3");
    saw.subscribe("plant/saw/3/recipe", QoS::ExactlyOnce);
    let mut control = Peer::connect(broker, "control");
    for (number, topic) in [(21, "plant/press/7/recipe"), (22, "plant/saw/3/recipe")] {
        control.publish(topic, PublishQoS::ExactlyOnce(id(number)), "{\"recipe\":\"oak\",\"depth_mm\":12}", &[]);
        assert!(matches!(control.next(), Some(Packet::PubRec(_))));
        control.send(&Packet::PubRel(ack(id(number))));
        assert!(matches!(control.next(), Some(Packet::PubComp(_))));
    }
    let publish = saw.expect_publish();
    saw.send(&Packet::PubRec(ack(publish.qos.id().unwrap())));
    assert!(matches!(saw.next(), Some(Packet::PubRel(_))));
    let mut feeder = Peer::connect(broker, "feeder");
    feeder.publish("plant/feeder/level", PublishQoS::ExactlyOnce(id(5)), "71", &[]);
    assert!(matches!(feeder.next(), Some(Packet::PubRec(_))));
    [press, saw, control, feeder]
}

/// More than its queue takes, so that something is dropped.
fn leave_with_a_full_queue(broker: &Broker) {
    let mut archive = Peer::connect(broker, "archive");
    archive.subscribe("readings/#", QoS::AtLeastOnce);
    drop(archive);
    eventually("archive is away", || (read(broker, "/api/v1/sessions/archive")["connected"] == false).then_some(()));
    let mut sensor = Peer::connect(broker, "sensor");
    for reading in 0..45 {
        sensor.publish_qos1("readings/hall", &format!("{{\"celsius\":{reading}}}"));
    }
}

fn retain(broker: &Broker) {
    for (topic, payload) in [
        ("plant/press/7/state", "{\"running\":true,\"rpm\":1480}"),
        ("plant/saw/3/state", "idle"),
        ("plant/hall/temperature", "21.5"),
        (&format!("hostile/{HOSTILE}"), "<script>globalThis.broken = 1</script>"),
    ] {
        let body = serde_json::json!({"topic": topic, "payload_text": payload, "qos": 1, "retain": true}).to_string();
        assert_eq!(ask(broker, "POST", "/api/v1/publish", &body).0, 200);
    }
    let binary = serde_json::json!({"topic": "plant/saw/3/raw", "payload_base64": "AAEC/w==", "retain": true});
    assert_eq!(ask(broker, "POST", "/api/v1/publish", &binary.to_string()).0, 200);
}
