//! A disk that is full, and then is not: on a small ext4 of its own, mounted from a file (which takes root).
#[path = "crash/link.rs"]
mod link;

use bytes::Bytes;
use link::Connection;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter, SubscriptionOptions,
    Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

const PATIENCE: Duration = Duration::from_secs(30);
const DISK_MIB: u64 = 192;
const PAYLOAD_BYTES: usize = 16 << 10;

/// A small disk; unmounted when dropped.
struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Self { directory };
        let image = disk.directory.path().join("image");
        File::create(&image).unwrap().set_len(DISK_MIB << 20).unwrap();
        fs::create_dir(disk.root()).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0"], &[&image]);
        run("mount", &["-o", "loop"], &[&image, &disk.root()]);
        disk
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Takes all the room but for so much.
    fn fill(&self, leave_mib: u64) {
        let free = rustix::fs::statvfs(self.root()).unwrap();
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(leave_mib << 20);
        let length = bytes.to_string();
        run("fallocate", &["-l", &length], &[&self.root().join("filler")]);
    }

    fn make_room(&self) {
        fs::remove_file(self.root().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The directory cannot be removed while it is mounted; a mount that stays is seen by the next who looks.
        let _ = Command::new("umount").arg("-l").arg(self.root()).status();
    }
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) {
    let output = Command::new(program).args(arguments).args(paths).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; this test needs it"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {told}; this test needs root and loop devices");
}

struct Broker {
    process: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Broker {
    fn start(disk: &SmallDisk, free_mib_min: u64) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let directory = disk.directory.path().to_owned();
        let text = format!(
            "data_dir = \"{}\"\n[storage]\nsegment_mib = 4\nlog_mib = 8\nfree_mib_min = {free_mib_min}\n[sys]\ninterval_s = 0\n\
             [[listener]]\naddress = \"{address}\"\nallow_anonymous = true\n",
            disk.root().join("data").display()
        );
        fs::write(directory.join("vowmq.toml"), text).unwrap();
        let process = spawn(&directory);
        let mut broker = Self { process, address, directory };
        broker.wait();
        broker
    }

    fn kill_and_start(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.directory);
        self.wait();
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            assert_eq!(self.process.try_wait().unwrap(), None, "{}", self.log());
            assert!(Instant::now() < deadline, "the broker does not start: {}", self.log());
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

fn spawn(directory: &Path) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vowmq"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.args(["--config", "vowmq.toml"]).current_dir(directory).stdin(Stdio::null());
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn connect(broker: &Broker, version: Version, client_id: &str, is_kept: bool) -> (Connection, bool) {
    let (connection, connack) = Connection::open(
        broker.address,
        Connect {
            version,
            clean_start: !is_kept,
            keep_alive_s: 0,
            client_id: Text::try_from(client_id).unwrap(),
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties {
                session_expiry_s: (is_kept && version.is_v5()).then_some(u32::MAX),
                ..ConnectProperties::default()
            },
        },
    );
    (connection, connack.session_present)
}

fn next(connection: &mut Connection) -> Packet {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(packet) = connection.next() {
            return packet;
        }
        assert!(!connection.is_dead() && Instant::now() < deadline, "nothing comes");
    }
}

fn publish(connection: &mut Connection, number: u64) {
    let mut payload = vec![b'x'; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    connection.send(&Packet::Publish(Publish {
        dup: false,
        qos: PublishQoS::AtLeastOnce(PacketId::of_position(number)),
        retain: false,
        topic: Some(TopicName::try_from("t/a").unwrap()),
        topic_alias: None,
        subscription_ids: Vec::new(),
        properties: PublishProperties::default(),
        payload: Bytes::from(payload),
    }));
}

/// Publishes and says whether the broker took it.
fn is_taken(connection: &mut Connection, number: u64) -> bool {
    publish(connection, number);
    match next(connection) {
        Packet::PubAck(ack) if ack.code == ReasonCode::Success => true,
        Packet::PubAck(ack) if ack.code == ReasonCode::QuotaExceeded => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_that_is_nearly_full_refuses_new_messages_and_loses_none() {
    fill_and_make_room(24, 30);
}

/// Nobody looks ahead here: segments cannot be made, and fjall fails in the middle of what it does.
#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_none() {
    fill_and_make_room(0, 6);
}

fn fill_and_make_room(free_mib_min: u64, leave_mib: u64) {
    let disk = SmallDisk::new();
    let mut broker = Broker::start(&disk, free_mib_min);
    let (mut absent, _) = connect(&broker, Version::V5, "absent", true);
    absent.send(&Packet::Subscribe(Subscribe {
        id: PacketId::of_position(0),
        filters: vec![SubscribeFilter {
            filter: TopicFilter::try_from("t/#").unwrap(),
            options: SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() },
        }],
        subscription_id: None,
        user: Vec::new(),
    }));
    assert!(matches!(next(&mut absent), Packet::SubAck(_)));
    drop(absent);

    let (mut publisher, _) = connect(&broker, Version::V5, "publisher", false);
    let (mut taken, mut number) = (Vec::new(), 0);
    let mut publish_until = |publisher: &mut Connection, wanted: bool, taken: &mut Vec<u64>| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "the broker never said {wanted}");
            number += 1;
            let is_taken = is_taken(publisher, number);
            if is_taken {
                taken.push(number);
            }
            if is_taken == wanted {
                return;
            }
        }
    };
    // Some of it leaves the log, and then the room goes.
    while taken.len() < 2000 {
        publish_until(&mut publisher, true, &mut taken);
    }
    disk.fill(leave_mib);
    publish_until(&mut publisher, false, &mut taken);
    let (mut old, _) = connect(&broker, Version::V311, "old", false);
    publish(&mut old, 1_000_000);

    // Dead and alive again, it is still full, and says so.
    broker.kill_and_start();
    let (mut publisher, _) = connect(&broker, Version::V5, "publisher", false);
    publish_until(&mut publisher, false, &mut taken);
    assert!(broker.log().contains("the disk is full: new messages are refused"), "{}", broker.log());
    let (mut old, _) = connect(&broker, Version::V311, "old", false);
    publish(&mut old, 1_000_001);
    // Whoever publishes nothing that must be kept notices nothing.
    let (mut live, _) = connect(&broker, Version::V311, "live", false);
    live.send(&Packet::PingReq);
    assert_eq!(next(&mut live), Packet::PingResp);
    publish_until(&mut publisher, false, &mut taken);
    assert!(old.next().is_none(), "a 3.1.1 client gets no acknowledgement while there is no room");

    disk.make_room();
    publish_until(&mut publisher, true, &mut taken);
    let Packet::PubAck(ack) = next(&mut old) else { panic!("the 3.1.1 client's message is taken in the end") };
    assert_eq!(ack.id, PacketId::of_position(1_000_001));
    assert!(broker.log().contains("there is room on disk again"), "{}", broker.log());

    let (mut absent, is_present) = connect(&broker, Version::V5, "absent", true);
    assert!(is_present);
    let mut arrived = Vec::new();
    while arrived.len() < taken.len() + 1 {
        let Packet::Publish(publish) = next(&mut absent) else { panic!("something else than a message") };
        arrived.push(u64::from_be_bytes(publish.payload[..8].try_into().unwrap()));
        absent.send(&Packet::PubAck(Ack::success(publish.qos.id().unwrap())));
    }
    arrived.retain(|number| *number < 1_000_000);
    assert_eq!(arrived, taken, "what was acknowledged arrives, once and in order");
}
