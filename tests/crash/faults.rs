//! What is lost when a broker is killed, counted instead of asserted, so that any broker can be put to it.
//!
//! Per round: a subscriber with a kept session goes away; a publisher sends numbered messages, QoS 1 and 2 by turns; the
//! broker is killed the moment enough of them are acknowledged, and started again; both come back and finish.
use super::Dice;
use super::link::Connection;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vowmq::packet::{
    Ack, Connect, ConnectProperties, Disconnect, Packet, Publish, PublishQoS, Subscribe, SubscribeFilter,
    SubscriptionOptions, Version,
};
use vowmq::types::{PacketId, PublishProperties, QoS, ReasonCode, Text, TopicFilter, TopicName};

const PATIENCE: Duration = Duration::from_secs(20);
/// Nothing more is awaited from a broker that has been silent for so long.
const SILENCE: Duration = Duration::from_secs(3);
const WINDOW: usize = 20;

/// How a broker is started: a command line, and a conf file; `{config}`, `{port}` and `{data}` are put in.
pub struct Recipe {
    pub name: String,
    pub command: String,
    pub config: &'static str,
}

impl Recipe {
    pub fn vowmq() -> Self {
        Self {
            name: "VowMQ".to_owned(),
            command: format!("{} --config {{config}}", env!("CARGO_BIN_EXE_vowmq")),
            config: "data_dir = \"{data}\"\n[sys]\ninterval_s = 0\n[[listener]]\naddress = \"127.0.0.1:{port}\"\n\
                     allow_anonymous = true\n",
        }
    }

    /// Mosquitto with persistence as Debian's package switches it on: saved every half an hour, and at an orderly end.
    pub fn mosquitto(program: &str) -> Self {
        Self {
            name: "Mosquitto, persistence on".to_owned(),
            command: format!("{program} -c {{config}}"),
            config: "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n\
                     persistence_location {data}/\nmax_queued_messages 1000000\nmax_inflight_messages 1000\n",
        }
    }

    /// Mosquitto, as durable as it can be made: the whole database is saved after each change.
    pub fn mosquitto_saving(program: &str) -> Self {
        Self {
            name: "Mosquitto, saving on each change".to_owned(),
            command: format!("{program} -c {{config}}"),
            config: "user root\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {data}/\n\
                     autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 1000000\nmax_inflight_messages 1000\n",
        }
    }
}

/// What happened to one broker.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub rounds: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub doubled_qos2: u64,
    pub reordered: u64,
    pub sessions_lost: u64,
}

struct Running {
    recipe: Recipe,
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Running {
    fn start(recipe: Recipe) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("127.0.0.1 has a free port");
        let address = probe.local_addr().expect("a bound socket has an address");
        drop(probe);
        let data = directory.path().join("data");
        std::fs::create_dir(&data).expect("a new directory");
        let config = recipe.config.replace("{port}", &address.port().to_string());
        let config = config.replace("{data}", &data.display().to_string());
        std::fs::write(directory.path().join("config"), config).expect("a new file");
        let process = spawn(&recipe, directory.path());
        let mut running = Self { recipe, process, address, directory };
        running.wait();
        running
    }

    fn kill_and_start(&mut self) {
        self.process.kill().expect("our own child can be killed");
        self.process.wait().expect("our own child can be waited for");
        self.process = spawn(&self.recipe, self.directory.path());
        self.wait();
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            let status = self.process.try_wait().expect("our own child can be asked");
            assert!(status.is_none() && Instant::now() < deadline, "{} does not start: {status:?}", self.recipe.name);
            std::thread::yield_now();
        }
    }

    fn connect(&self, client_id: &str) -> (Connection, bool) {
        let connect = Connect {
            version: Version::V311,
            clean_start: false,
            keep_alive_s: 0,
            client_id: Text::try_from(client_id).expect("a legal name"),
            will: None,
            user_name: None,
            password: None,
            properties: ConnectProperties::default(),
        };
        let (connection, connack) = Connection::open(self.address, connect);
        (connection, connack.session_present)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(recipe: &Recipe, directory: &Path) -> Child {
    let command = recipe.command.replace("{config}", &directory.join("config").display().to_string());
    let mut words = command.split_whitespace();
    let mut command = Command::new(words.next().expect("a command has a program"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("VOWMQ_")) {
        command.env_remove(name);
    }
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", recipe.command))
}

/// Puts a broker to it.
pub fn count(recipe: Recipe, rounds: u64, seed: u64) -> Faults {
    let mut dice = Dice(seed);
    let mut broker = Running::start(recipe);
    let mut faults = Faults::default();
    for round in 0..rounds {
        play(&mut broker, round, 50 + dice.below(500), &mut faults);
    }
    faults
}

fn play(broker: &mut Running, round: u64, wanted: u64, faults: &mut Faults) {
    let (topic, subscriber, publisher) = (format!("fault/{round}"), format!("s{round}"), format!("p{round}"));
    let (mut reader, _) = broker.connect(&subscriber);
    subscribe(&mut reader, &topic);
    reader.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));

    let (mut writer, _) = broker.connect(&publisher);
    let mut sending = Sending { topic, next: 0, unfinished: BTreeMap::new(), acknowledged: BTreeSet::new() };
    let deadline = Instant::now() + PATIENCE;
    while (sending.acknowledged.len() as u64) < wanted {
        assert!(Instant::now() < deadline, "no acknowledgement comes any more");
        sending.fill(&mut writer);
        sending.handle(&mut writer);
    }
    broker.kill_and_start();
    while !writer.is_dead() {
        sending.handle(&mut writer);
    }
    let promised = sending.acknowledged.clone();
    faults.rounds += 1;
    faults.acknowledged += promised.len() as u64;
    let (mut writer, is_present) = broker.connect(&publisher);
    faults.sessions_lost += u64::from(!is_present);
    sending.again(&mut writer);
    let mut heard = Instant::now();
    while !sending.unfinished.is_empty() && heard.elapsed() < SILENCE {
        if sending.handle(&mut writer) {
            heard = Instant::now();
        }
    }
    let (reader, is_present) = broker.connect(&subscriber);
    faults.sessions_lost += u64::from(!is_present);
    let arrivals = if is_present { receive_all(reader, sending.next) } else { Vec::new() };
    let mut times = BTreeMap::<u64, u64>::new();
    arrivals.iter().for_each(|number| *times.entry(*number).or_default() += 1);
    faults.lost += promised.iter().filter(|number| !times.contains_key(number)).count() as u64;
    faults.doubled_qos2 += times.iter().filter(|(number, times)| is_qos2(**number) && **times > 1).count() as u64;
    let mut seen = BTreeSet::new();
    let firsts: Vec<_> = arrivals.into_iter().filter(|number| seen.insert(*number)).collect();
    for wants_qos2 in [false, true] {
        let of_qos: Vec<_> = firsts.iter().filter(|number| is_qos2(**number) == wants_qos2).collect();
        faults.reordered += of_qos.windows(2).filter(|pair| pair[0] > pair[1]).count() as u64;
    }
}

fn is_qos2(number: u64) -> bool {
    number % 2 == 1
}

struct Sending {
    topic: String,
    next: u64,
    /// By identifier; true once PUBREC came.
    unfinished: BTreeMap<PacketId, (u64, bool)>,
    acknowledged: BTreeSet<u64>,
}

impl Sending {
    fn fill(&mut self, writer: &mut Connection) {
        while self.unfinished.len() < WINDOW {
            let id = PacketId::of_position(self.next);
            writer.send(&self.message(self.next, id, false));
            self.unfinished.insert(id, (self.next, false));
            self.next += 1;
        }
    }

    fn again(&self, writer: &mut Connection) {
        let mut all: Vec<_> = self.unfinished.iter().collect();
        all.sort_by_key(|(_, (number, _))| *number);
        for (id, (number, is_released)) in all {
            let released = Packet::PubRel(Ack::success(*id));
            writer.send(&if *is_released { released } else { self.message(*number, *id, true) });
        }
    }

    /// Handles what has come; true if something has.
    fn handle(&mut self, writer: &mut Connection) -> bool {
        let mut any = false;
        while let Some(packet) = writer.next() {
            any = true;
            match packet {
                Packet::PubAck(ack) => {
                    self.acknowledged.extend(self.unfinished.remove(&ack.id).map(|(number, _)| number));
                }
                Packet::PubRec(ack) => {
                    if let Some((number, is_released)) = self.unfinished.get_mut(&ack.id) {
                        *is_released = true;
                        self.acknowledged.insert(*number);
                    }
                    writer.send(&Packet::PubRel(Ack::success(ack.id)));
                }
                Packet::PubComp(ack) => drop(self.unfinished.remove(&ack.id)),
                other => panic!("the publisher was sent {}", other.name()),
            }
        }
        any
    }

    fn message(&self, number: u64, id: PacketId, dup: bool) -> Packet {
        Packet::Publish(Publish {
            dup,
            qos: if is_qos2(number) { PublishQoS::ExactlyOnce(id) } else { PublishQoS::AtLeastOnce(id) },
            retain: false,
            topic: Some(TopicName::try_from(self.topic.as_str()).expect("a legal topic")),
            topic_alias: None,
            subscription_ids: Vec::new(),
            properties: PublishProperties::default(),
            payload: Bytes::from(number.to_string()),
        })
    }
}

fn subscribe(reader: &mut Connection, topic: &str) {
    let filter = TopicFilter::try_from(topic).expect("a legal filter");
    let options = SubscriptionOptions { qos: QoS::ExactlyOnce, ..SubscriptionOptions::default() };
    reader.send(&Packet::Subscribe(Subscribe {
        id: PacketId::of_position(0),
        subscription_id: None,
        user: Vec::new(),
        filters: vec![SubscribeFilter { filter, options }],
    }));
    let deadline = Instant::now() + PATIENCE;
    while !matches!(reader.next(), Some(Packet::SubAck(_))) {
        assert!(!reader.is_dead() && Instant::now() < deadline, "no SUBACK comes");
    }
}

/// Everything that comes, until all has or nothing more does.
fn receive_all(mut reader: Connection, expected: u64) -> Vec<u64> {
    let (mut arrivals, mut open) = (Vec::new(), BTreeSet::new());
    let mut distinct = BTreeSet::new();
    let mut heard = Instant::now();
    while heard.elapsed() < SILENCE && ((distinct.len() as u64) < expected || !open.is_empty()) {
        let Some(packet) = reader.next() else {
            assert!(!reader.is_dead(), "the subscriber was cut off");
            continue;
        };
        heard = Instant::now();
        match packet {
            Packet::Publish(publish) => {
                let number = std::str::from_utf8(&publish.payload).ok().and_then(|text| text.parse().ok());
                let (number, id) = (number.expect("a number"), publish.qos.id().expect("QoS 1 or 2"));
                distinct.insert(number);
                if publish.qos.level() == QoS::AtLeastOnce {
                    arrivals.push(number);
                    reader.send(&Packet::PubAck(Ack::success(id)));
                    continue;
                }
                if open.insert(id) {
                    arrivals.push(number);
                }
                reader.send(&Packet::PubRec(Ack::success(id)));
            }
            Packet::PubRel(ack) => {
                open.remove(&ack.id);
                reader.send(&Packet::PubComp(Ack::success(ack.id)));
            }
            other => panic!("the subscriber was sent {}", other.name()),
        }
    }
    arrivals
}
