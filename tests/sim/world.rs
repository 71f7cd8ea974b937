//! Broker, store, links and clients, and the dice that move them.
use super::Dice;
use super::client::{Client, Event, Sent, encoded};
use super::disk::{Disk, Kept};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;
use std::sync::Arc;
use vowmq::broker::{Broker, Committer, MailboxLimits, QueueRule, QueueSettings, Settings, Step};
use vowmq::codec;
use vowmq::packet::{Disconnect, Packet};
use vowmq::routing::Strategy;
use vowmq::session::{Close, Features, Limits, OnFull, Outgoing};
use vowmq::store::{Checkpointer, DurableStore, Restored, Store};
use vowmq::types::{Now, QoS, ReasonCode, TopicFilter, TopicName};

/// One life of the broker's store.
struct Life {
    store: DurableStore,
    checkpointer: Checkpointer,
}

pub struct World {
    dice: Dice,
    now: Now,
    broker: Arc<Broker>,
    committer: Arc<Committer>,
    settings: Settings,
    /// `None` with the memory engine, which has no life after the first.
    life: Option<Life>,
    disk: Disk,
    clients: Vec<Client>,
    /// Wills that must have been published, and those that may have been.
    wills_due: BTreeSet<String>,
    wills_possible: BTreeSet<String>,
    next: u64,
}

const MAILBOX: MailboxLimits = MailboxLimits { messages_max: 1000, bytes_max: 1 << 20 };
const TOPICS: [&str; 3] = ["t/a", "t/b", "u/a"];
/// What happens before everything heals.
const STEPS: u64 = 500;

fn plenty(filter: &str) -> QueueRule {
    let filter = TopicFilter::try_from(filter).expect("a legal filter");
    QueueRule { filter, messages_max: 1 << 40, bytes_max: 1 << 40, age_s_max: 0, on_full: OnFull::Refuse }
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let strategies = [Strategy::RoundRobin, Strategy::LeastInFlight, Strategy::Sticky, Strategy::Random];
        let settings = Settings {
            limits: Limits { in_flight_max: 50, ..Limits::default() },
            features: Features::default(),
            mailbox_limits: MAILBOX,
            // Never reached, but counted.
            queue: QueueSettings { rules: vec![plenty("t/a"), plenty("u/#")], ..QueueSettings::default() },
            retained_messages_max: 100,
            retained_bytes_max: 1 << 20,
            retained_memory_bytes_max: usize::MAX,
            abuse: vowmq::broker::AbuseSettings::default(),
            memory_marks: vowmq::broker::Marks::default(),
            shared_strategy: strategies[usize::try_from(dice.below(4)).expect("below 4")],
            seed,
        };
        let is_durable = !dice.one_in(4);
        let filters: [&[(&str, QoS)]; 5] = [
            &[],
            &[("t/#", QoS::ExactlyOnce), ("t/+", QoS::AtLeastOnce), ("will/#", QoS::ExactlyOnce)],
            &[("+/a", QoS::AtLeastOnce)],
            &[("$share/g/t/#", QoS::ExactlyOnce)],
            &[("$share/g/t/#", QoS::ExactlyOnce), ("u/a", QoS::ExactlyOnce)],
        ];
        let clients = filters.iter().enumerate().map(|(index, filters)| {
            let filters = filters.iter().map(|(filter, qos)| ((*filter).to_owned(), *qos)).collect();
            Client::new(index, &mut dice, filters)
        });
        let clients: Vec<_> = clients.collect();
        let committer = Arc::new(Committer::memory());
        let broker = Broker::new(settings.clone(), committer.clone());
        let (disk, life) = (Disk::new(&mut dice), None);
        let (wills_due, wills_possible) = (BTreeSet::new(), BTreeSet::new());
        let now = Now::from_millis(1_000_000);
        let mut world =
            Self { dice, now, broker, committer, settings, life, disk, clients, wills_due, wills_possible, next: 0 };
        if is_durable {
            world.start();
        }
        world
    }

    /// Begins a life of the broker, with what the disk holds.
    fn start(&mut self) {
        let (store, checkpointer, restored) = self.disk.open(&mut self.dice);
        let Restored { sessions, last_session, .. } = restored;
        let memory_bytes_max = [0, 2000, u64::MAX][usize::try_from(self.dice.below(3)).expect("below 3")];
        self.committer = Arc::new(Committer::durable(memory_bytes_max));
        self.broker = Broker::new(self.settings.clone(), self.committer.clone());
        let shelf = store.shelf();
        self.broker.set_shelf(shelf.clone());
        self.broker.restore(sessions, last_session, &*shelf, self.now).expect("what is on disk can be read");
        store.each_retained(|message| self.broker.restore_retained(&message)).expect("what is on disk can be read");
        self.life = Some(Life { store, checkpointer });
    }

    /// The broker dies, with every connection and all that was not synced.
    fn crash(&mut self) {
        if self.life.is_none() {
            return;
        }
        for index in 0..self.clients.len() {
            if let Some(link) = self.clients[index].link.take() {
                self.note_will(index, link.will.as_ref());
            }
        }
        self.disk.crash(&mut self.dice);
        self.life = None;
        self.start();
    }

    /// The connection is gone, and was not ended in order.
    fn note_will(&mut self, index: usize, will: Option<&String>) {
        let Some(will) = will.cloned() else { return };
        if self.clients[index].is_connected() {
            self.wills_due.insert(will);
        } else {
            self.wills_possible.insert(will);
        }
    }

    pub fn run(mut self) {
        // Every subscription is acknowledged before the first message.
        (0..self.clients.len()).for_each(|index| self.connect(index));
        self.settle(|world| world.clients.iter().all(|client| client.is_subscribed || client.filters.is_empty()));
        for _ in 0..STEPS {
            let index = usize::try_from(self.dice.below(self.clients.len() as u64)).expect("a few clients");
            self.step(index);
        }
        self.disk.make_room();
        (0..self.clients.len()).for_each(|index| self.connect_if_away(index));
        self.settle(World::is_quiet);
        self.check();
    }

    fn step(&mut self, index: usize) {
        match self.dice.below(100) {
            0..=1 => self.connect(index),
            2..=4 => self.cut(index, None),
            5 => self.leave(index),
            6..=14 => self.connect_if_away(index),
            15..=34 => self.publish(index),
            35..=59 => self.up(index),
            60..=79 => self.down(index),
            80..=92 => self.poll(index),
            93..=96 => self.commit(),
            97 => match self.dice.below(8) {
                0..=1 => self.crash(),
                2 => self.disk.spoil(&mut self.dice),
                3..=5 => self.checkpoint(),
                _ => self.serve_loads(),
            },
            _ => {
                self.now = self.now.plus_millis(self.dice.below(60_000));
                self.broker.handle_timeouts(self.now);
            }
        }
    }

    fn publish(&mut self, index: usize) {
        if self.clients[index].link.is_none() {
            return;
        }
        let topic = TOPICS[usize::try_from(self.dice.below(3)).expect("below 3")].to_owned();
        let qos = if self.dice.one_in(2) { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        self.next += 1;
        let payload = format!("{index}:{:06}", self.next);
        self.clients[index].publish(Sent { topic, qos, retain: false, payload });
    }

    /// Opens a connection; one that is still open under the name is taken over.
    fn connect(&mut self, index: usize) {
        let with_will = index != 1 && self.dice.one_in(3);
        self.next += 1;
        let packet = self.clients[index].connect_packet(with_will, self.next);
        let will = packet.will.as_ref().map(|will| String::from_utf8_lossy(&will.payload).into_owned());
        let mut request = self.broker.admit(packet, Arc::default()).expect("a legal CONNECT");
        loop {
            match self.broker.connect(request, self.now).expect("nobody else has the session") {
                Step::Attached(attachment) => break self.clients[index].connected(*attachment, will),
                Step::Wait(waiting, _) => {
                    request = *waiting;
                    let link = self.clients[index].link.as_mut().expect("the client has the connection");
                    link.attachment.handle_mailbox(self.dice.one_in(2), self.now);
                    let close = link.attachment.closing().expect("the connection was asked to leave");
                    assert!(matches!(close, Close::TakenOver { clean_start: false }));
                    self.cut(index, Some(close));
                }
            }
        }
        self.poll(index);
    }

    fn connect_if_away(&mut self, index: usize) {
        if self.clients[index].link.is_none() {
            self.connect(index);
        }
    }

    /// The connection breaks, with all that was under way on it.
    fn cut(&mut self, index: usize, close: Option<Close>) {
        let Some(link) = self.clients[index].link.take() else { return };
        self.note_will(index, link.will.as_ref());
        link.attachment.end(close, self.now);
    }

    /// The client leaves in order: its will is forgotten.
    fn leave(&mut self, index: usize) {
        let Some(link) = self.clients[index].link.as_mut() else { return };
        if !link.attachment.wants_packets() {
            return;
        }
        let packet = Packet::Disconnect(Disconnect::new(ReasonCode::Success));
        link.attachment.handle_packets(std::iter::once(Ok(packet)), self.now).expect("DISCONNECT is legal");
        let close = link.attachment.closing();
        assert_eq!(close, Some(Close::ByClient(ReasonCode::Success)));
        let link = self.clients[index].link.take().expect("it was there a moment ago");
        if self.life.is_some() {
            // Nobody acknowledges a DISCONNECT: a crash may come before it is durable.
            self.wills_possible.extend(link.will);
        }
        link.attachment.end(close, self.now);
    }

    /// Some of what the client sent arrives, in one read.
    fn up(&mut self, index: usize) {
        let count = usize::try_from(self.dice.below(6)).expect("below 6");
        let client = &mut self.clients[index];
        let version = client.version;
        let Some(link) = client.link.as_mut().filter(|link| link.attachment.wants_packets()) else { return };
        let count = count.min(link.up.len());
        let frames: Vec<Bytes> = link.up.drain(..count).collect();
        let limits = codec::Limits::default();
        let packets = frames.into_iter().map(|frame| {
            assert_eq!(codec::frame_len(&frame, Some(version), &limits), Ok(Some(frame.len())));
            codec::decode(frame, Some(version), &limits)
        });
        link.attachment.handle_packets(packets, self.now).expect("clients keep the rules");
        self.collect(index);
    }

    /// The connection looks into its mailbox.
    fn poll(&mut self, index: usize) {
        let takes_deliveries = !self.dice.one_in(5);
        if let Some(link) = self.clients[index].link.as_mut() {
            link.attachment.handle_mailbox(takes_deliveries, self.now);
            self.collect(index);
        }
    }

    fn collect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let version = client.version;
        let Some(link) = client.link.as_mut() else { return };
        for outgoing in link.attachment.output().drain(..) {
            link.down.push_back(match outgoing {
                Outgoing::Ack(ack_type, ack) => {
                    let mut bytes = BytesMut::new();
                    codec::encode_ack(ack_type, &ack, version, &mut bytes).expect("a legal packet");
                    bytes.freeze()
                }
                Outgoing::Packet(packet) => encoded(&packet, version),
                Outgoing::Publish(publish) => {
                    let mut bytes = BytesMut::new();
                    codec::encode_publish(&publish.frame(), version, &mut bytes).expect("a legal packet");
                    bytes.freeze()
                }
            });
        }
    }

    /// Some of what the broker sent arrives.
    fn down(&mut self, index: usize) {
        for _ in 0..=self.dice.below(5) {
            let client = &mut self.clients[index];
            let Some(frame) = client.link.as_mut().and_then(|link| link.down.pop_front()) else { return };
            if let Some(Event::Acknowledged(sent)) = client.handle(frame) {
                // The vow: every topic here has a receiver whose session is kept.
                let is_durable = !self.committer.is_durable() || self.disk.published.contains(&sent.payload);
                assert!(is_durable, "{sent:?} was acknowledged before it was durable");
            }
        }
    }

    fn commit(&mut self) {
        let Some(life) = &mut self.life else { return };
        let mut kept = Kept { store: &mut life.store, published: &mut self.disk.published };
        let committed = self.committer.commit_group(&mut kept, MAILBOX, &self.broker.counters);
        let rested = if self.dice.one_in(3) { life.store.rest() } else { Ok(()) };
        match committed.and(rested.map(|()| true)) {
            Ok(_) => {}
            // It is tried again with the next group.
            Err(error) if error.is_full() => {}
            // The process ends, as it should: nothing of the group is promised.
            Err(_) => self.crash(),
        }
        if self.dice.one_in(2) {
            self.serve_loads();
        }
    }

    fn serve_loads(&mut self) {
        if let Some(life) = &self.life {
            // The power may have gone in between.
            if self.broker.serve_loads(&*life.store.shelf()).is_err() {
                self.crash();
            }
        }
    }

    fn checkpoint(&mut self) {
        let Some(life) = &mut self.life else { return };
        let all = self.dice.one_in(4);
        let done = if all { life.checkpointer.finish().map(|()| true) } else { life.checkpointer.step() };
        // The next one tries again.
        drop(done);
    }

    /// Lets everything go on until `is_done`.
    fn settle(&mut self, is_done: impl Fn(&World) -> bool) {
        for _ in 0..5000 {
            if is_done(self) {
                return;
            }
            self.commit();
            self.serve_loads();
            self.broker.handle_timeouts(self.now);
            (0..self.clients.len()).for_each(|index| self.connect_if_away(index));
            for index in 0..self.clients.len() {
                self.poll(index);
                self.up(index);
                self.down(index);
            }
        }
        let open: Vec<_> = self.clients.iter().map(Client::is_finished).collect();
        panic!("it does not come to rest; clients finished: {open:?}, all arrived: {}", self.has_everything());
    }

    fn is_quiet(&self) -> bool {
        let is_idle = |client: &Client| {
            let link = client.link.as_ref().expect("everybody is connected");
            link.up.is_empty() && link.down.is_empty() && client.is_finished()
        };
        self.clients.iter().all(is_idle) && self.has_everything()
    }

    /// Every message reached every plain subscriber, and one member of the group.
    fn has_everything(&self) -> bool {
        let mut all = self.clients.iter().flat_map(|client| &client.sent);
        all.all(|sent| {
            let mut group = 0;
            for client in &self.clients {
                for (filter, qos) in &client.filters {
                    let has = client.times.contains_key(&(sent.payload.clone(), sent.qos.min(*qos)));
                    if !matches(filter, &sent.topic) || client.index == 1 && filter == "t/+" {
                        continue;
                    }
                    if filter.starts_with("$share") {
                        group += u64::from(has);
                    } else if !has {
                        return false;
                    }
                }
            }
            group > 0 || !sent.topic.starts_with("t/")
        })
    }

    fn check(&self) {
        for client in &self.clients {
            for ((payload, qos), times) in &client.times {
                let is_once = *times == 1 || *qos == QoS::AtLeastOnce;
                assert!(is_once, "c{}: QoS 2 message {payload} came {times} times", client.index);
            }
            self.check_order(client);
        }
        self.check_group();
        self.check_wills();
    }

    /// First arrivals keep the order of publication, per publisher, topic and QoS [MQTT-4.6.0-5]. Shared ones need not.
    fn check_order(&self, client: &Client) {
        if client.filters.iter().any(|(filter, _)| filter.starts_with("$share")) {
            return;
        }
        for publisher in 0..self.clients.len() {
            for topic in TOPICS {
                for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                    let prefix = format!("{publisher}:");
                    let firsts = client.arrivals.iter().filter(|(found, level, payload)| {
                        found == topic && *level == qos && payload.starts_with(&prefix)
                    });
                    let firsts: Vec<_> = firsts.map(|(_, _, payload)| payload).collect();
                    assert!(firsts.is_sorted(), "c{}: reordered {firsts:?}", client.index);
                }
            }
        }
    }

    /// A QoS 2 message reaches one member of its group, whoever leaves.
    fn check_group(&self) {
        for sent in self.clients.iter().flat_map(|client| &client.sent) {
            if sent.qos != QoS::ExactlyOnce || !sent.topic.starts_with("t/") {
                continue;
            }
            let key = (sent.payload.clone(), QoS::ExactlyOnce);
            let got: u64 = [3, 4].iter().filter_map(|index| self.clients[*index].times.get(&key)).sum();
            assert_eq!(got, 1, "{sent:?} reached {got} members of the group");
        }
    }

    /// One will for each connection that had one and did not leave in order [MQTT-3.1.2-8], [MQTT-3.1.2-10].
    fn check_wills(&self) {
        let watcher = &self.clients[1];
        let wills = watcher.arrivals.iter().filter(|(topic, _, _)| topic.starts_with("will/"));
        let found: BTreeSet<_> = wills.map(|(_, _, payload)| payload.clone()).collect();
        let missing: Vec<_> = self.wills_due.difference(&found).collect();
        assert!(missing.is_empty(), "wills that were never published: {missing:?}");
        let strange =
            found.iter().filter(|will| !self.wills_due.contains(*will) && !self.wills_possible.contains(*will));
        assert_eq!(strange.collect::<Vec<_>>(), Vec::<&String>::new(), "wills that nobody left");
    }
}

fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic) = (TopicFilter::try_from(filter), TopicName::try_from(topic));
    filter.expect("a legal filter").matches(&topic.expect("a legal topic"))
}
