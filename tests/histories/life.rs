//! One data directory from its first start to its last: a broker that is killed again and again, and its clients.
use super::check::{self, History};
use super::dice::Dice;
use super::fault::{Fault, Faults};
use super::inspector::Inspector;
use super::link::{Door, Event, What, Who};
use super::message::{Message, Source};
use super::owner::Owner;
use super::peer::Peer;
use super::publisher::Publisher;
use super::subject::Subject;
use super::subscriber::Subscriber;
use super::tally::Tally;
use super::target::Broker;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use vowmq::packet::Version;
use vowmq::types::QoS;

/// Which leg the kill is to hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leg {
    /// After some number of acknowledgements, in the middle of publishing.
    Ingest,
    /// After some number of deliveries, with long queues being drained.
    Drain,
    /// After some microseconds, connections still being made.
    Moment,
    /// The moment a new subscription is acknowledged.
    Newcomer,
}

const LEGS: [Leg; 7] = [Leg::Ingest, Leg::Newcomer, Leg::Ingest, Leg::Drain, Leg::Drain, Leg::Moment, Leg::Drain];
const SUBSCRIBERS_MAX: usize = 8;
/// This one stays away from the second leg on, for whole lives of the process, until a drain.
const ABSENT: usize = 0;
const WATCHER: usize = 1;
/// A client comes back to a broker that closes its connection, but not for ever.
const CUTS_MAX: u64 = 10;
/// Messages published in one go.
const BURST: u64 = 20;
const EVENTS_PER_TURN: usize = 64;
const TURN: Duration = Duration::from_millis(20);

pub struct Life<'a> {
    name: String,
    dice: Dice,
    broker: Broker,
    door: Door,
    inbox: Receiver<Event>,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    owners: Vec<Owner>,
    inspector: Option<Inspector>,
    /// Links whose end has not been told.
    open_links: usize,
    is_publishing: bool,
    is_up: bool,
    acknowledged: u64,
    arrived: u64,
    /// How long nothing may happen before what misses is called missing.
    quiet_max: Duration,
    /// The same while other things happen.
    busy_max: Duration,
    tally: &'a mut Tally,
    faults: &'a mut Faults,
}

pub fn run(subject: &Subject, seed: u64, kills: u64, tally: &mut Tally, faults: &mut Faults) {
    let broker = Broker::prepare(&subject.target);
    let (sender, inbox) = channel();
    let door = Door { address: broker.address, inbox: sender };
    let mut life = Life {
        name: format!("seed {seed}"),
        dice: Dice::new(seed),
        broker,
        door,
        inbox,
        publishers: Vec::new(),
        subscribers: Vec::new(),
        owners: Vec::new(),
        inspector: None,
        open_links: 0,
        is_publishing: true,
        is_up: false,
        acknowledged: 0,
        arrived: 0,
        quiet_max: Duration::from_secs(if subject.is_ours { 10 } else { 4 }),
        busy_max: Duration::from_secs(if subject.is_ours { 60 } else { 10 }),
        tally,
        faults,
    };
    life.populate();
    if life.live(seed, kills) {
        life.settle();
    }
    life.judge();
    if subject.is_ours && !life.faults.is_empty() {
        panic!("seed {seed}: {}", life.faults.describe());
    }
}

impl Life<'_> {
    fn populate(&mut self) {
        for index in 0..2 + self.dice.below(3) as usize {
            let window = 1 + self.dice.below(100);
            self.add_publisher(Source::Stream(index), window);
        }
        self.add_publisher(Source::Kept(0), 10);
        self.add_subscriber("stream/#", QoS::ExactlyOnce);
        self.add_subscriber("will/#", QoS::ExactlyOnce);
        self.add_subscriber("stream/#", QoS::ExactlyOnce);
        self.add_subscriber("stream/0/+", QoS::AtLeastOnce);
    }

    fn version(&mut self) -> Version {
        if self.dice.once_in(2) { Version::V311 } else { Version::V5 }
    }

    fn add_publisher(&mut self, source: Source, window: u64) {
        let index = self.publishers.len();
        let peer = Peer::new(Who::Publisher(index), format!("publisher-{index}"), self.version());
        self.publishers.push(Publisher::new(peer, source, window));
    }

    fn add_subscriber(&mut self, filter: &str, qos: QoS) {
        let index = self.subscribers.len();
        let mut peer = Peer::new(Who::Subscriber(index), format!("subscriber-{index} to {filter}"), self.version());
        peer.session_expiry_s = Some([90, 3600, u32::MAX][self.dice.below(3) as usize]);
        peer.receive_maximum = Some(1 + self.dice.below(100) as u16);
        self.subscribers.push(Subscriber::new(peer, filter, qos));
    }

    /// From the first start through all kills. False if the broker does not start any more.
    fn live(&mut self, seed: u64, kills: u64) -> bool {
        self.tally.lives += 1;
        if !self.start() {
            return false;
        }
        // Subscriptions are acknowledged before the first message, so that every message has somewhere to go.
        self.connect_subscribers(|_| true);
        self.turn_until("the first subscriptions", |life| life.subscribers.iter().all(Subscriber::is_subscribed));
        self.drop_subscriber(ABSENT);
        let mut done = 0;
        while done < kills {
            let leg = LEGS[((seed + done) % LEGS.len() as u64) as usize];
            self.play(leg);
            self.kill();
            done += 1;
            while done < kills && self.dice.once_in(4) {
                self.kill_a_start();
                done += 1;
            }
            if !self.start() {
                return false;
            }
        }
        true
    }

    /// Brings clients to the broker and returns at the moment of the kill.
    fn play(&mut self, leg: Leg) {
        if leg != Leg::Moment && self.dice.once_in(2) {
            self.inspect();
        }
        let (acknowledged, arrived) = (self.acknowledged, self.arrived);
        match leg {
            Leg::Ingest | Leg::Moment => {
                self.come_together();
                if leg == Leg::Moment {
                    let lasts = Duration::from_micros(self.dice.below(40_000));
                    let began = Instant::now();
                    return self.turn_until("a moment", |_| began.elapsed() >= lasts);
                }
                let until = acknowledged + 200 + self.dice.below(1200);
                self.turn_until("acknowledgements", |life| life.acknowledged >= until);
            }
            Leg::Drain => {
                let backlog = self.backlog(ABSENT);
                self.connect_subscribers(|_| true);
                if self.dice.once_in(2) {
                    self.connect_publishers();
                }
                self.tally.backlog_max = self.tally.backlog_max.max(backlog);
                let until = arrived + self.dice.below(backlog.max(1));
                // What does not come is counted with the messages.
                self.turn_until_quiet(|life| life.arrived >= until);
                self.tally.kills_in_a_drain += u64::from(backlog > 0);
            }
            Leg::Newcomer => {
                self.come_together();
                if self.subscribers.len() < SUBSCRIBERS_MAX {
                    self.add_subscriber("stream/+/1", QoS::ExactlyOnce);
                }
                let newest = self.subscribers.len() - 1;
                self.connect_subscriber(newest);
                let is_subscribed = |life: &Self| life.subscribers[newest].is_subscribed();
                self.turn_until("a new subscription", is_subscribed);
                self.tally.kills_at_suback += 1;
            }
        }
    }

    /// Everyone who is not meant to be away, by chance.
    fn come_together(&mut self) {
        let chances: Vec<bool> = (0..SUBSCRIBERS_MAX).map(|_| !self.dice.once_in(3)).collect();
        self.connect_subscribers(|index| index != ABSENT && chances[index]);
        self.connect_publishers();
        if self.dice.once_in(2) {
            let (number, version) = (self.owners.len(), self.version());
            let delay_s = if version.is_v5() { self.dice.below(2) as u32 } else { 0 };
            self.owners.push(Owner::new(number, version, delay_s));
            self.owners[number].peer.connect(&self.door);
            self.open_links += usize::from(self.owners[number].peer.is_connected());
        }
    }

    fn connect_publishers(&mut self) {
        for publisher in self.publishers.iter_mut().filter(|publisher| !publisher.peer.is_connected()) {
            publisher.connect(&self.door);
            self.open_links += usize::from(publisher.peer.is_connected());
        }
    }

    fn connect_subscribers(&mut self, wants: impl Fn(usize) -> bool) {
        for index in (0..self.subscribers.len()).filter(|index| wants(*index)) {
            self.connect_subscriber(index);
        }
    }

    fn connect_subscriber(&mut self, index: usize) {
        let subscriber = &mut self.subscribers[index];
        if !subscriber.peer.is_connected() {
            subscriber.connect(&self.door);
            self.open_links += usize::from(subscriber.peer.is_connected());
        }
    }

    fn drop_subscriber(&mut self, index: usize) {
        self.subscribers[index].peer.close();
        self.turn_until("a closed connection", |life| !life.subscribers[index].peer.is_connected());
    }

    /// Looks at the retained messages while nobody changes them.
    fn inspect(&mut self) {
        let version = self.version();
        let keepers = self.publishers.iter().filter(|publisher| matches!(publisher.source, Source::Kept(_)));
        let mut inspector = Inspector::new(version, &keepers.collect::<Vec<_>>());
        inspector.peer.connect(&self.door);
        self.open_links += usize::from(inspector.peer.is_connected());
        self.inspector = Some(inspector);
        self.turn_until_quiet(|life| life.inspector.as_ref().is_none_or(Inspector::is_finished));
        if let Some(inspector) = &mut self.inspector {
            inspector.judge(self.faults);
            inspector.peer.close();
            self.tally.retained_checked += inspector.topics();
        }
        self.turn_until("the inspector's end", |life| life.inspector.is_none());
    }

    /// All come back, and nothing new is published, until everything promised has come.
    fn settle(&mut self) {
        self.is_publishing = false;
        self.connect_publishers();
        self.connect_subscribers(|_| true);
        self.turn_until_quiet(Self::is_settled);
        self.inspect();
        for publisher in self.publishers.iter().filter(|publisher| !publisher.is_finished()) {
            self.faults.note(Fault::HandshakeBroken, || format!("{}: stands still", publisher.peer.name));
        }
        for subscriber in self.subscribers.iter().filter(|subscriber| !subscriber.is_finished()) {
            self.faults.note(Fault::HandshakeBroken, || format!("{}: stands still", subscriber.peer.name));
        }
    }

    fn is_settled(&self) -> bool {
        let history = self.history();
        self.publishers.iter().all(Publisher::is_finished)
            && self.subscribers.iter().all(Subscriber::is_finished)
            && self.missing_wills().is_empty()
            && self.subscribers.iter().all(|it| check::missing(&history, &it.reception).is_empty())
    }

    fn judge(&mut self) {
        let history: History<'_> = self.publishers.iter().map(|it| (it.source, it.sent.as_slice())).collect();
        for subscriber in &self.subscribers {
            let name = format!("{}, {}", self.name, subscriber.peer.name);
            check::judge(&name, &history, &subscriber.reception, self.faults);
            let arrivals = &subscriber.reception.arrivals;
            self.tally.deliveries += arrivals.len() as u64;
            self.tally.repeats += arrivals.iter().filter(|arrival| arrival.dup).count() as u64;
        }
        for sent in self.publishers.iter().flat_map(|publisher| &publisher.sent) {
            self.tally.published += 1;
            self.tally.acknowledged += u64::from(sent.is_acknowledged);
        }
        for number in self.missing_wills() {
            self.faults.note(Fault::WillLost, || format!("{}: will {number}", self.name));
        }
        self.tally.wills += self.owners.iter().filter(|owner| owner.broke_at.is_some()).count() as u64;
    }

    fn history(&self) -> History<'_> {
        self.publishers.iter().map(|publisher| (publisher.source, publisher.sent.as_slice())).collect()
    }

    /// Owners whose CONNACK came, whose connection broke, and whose will has not come.
    fn missing_wills(&self) -> Vec<usize> {
        let came = |number: usize| {
            let will = Message { source: Source::Will, number: number as u64 };
            self.subscribers[WATCHER].reception.arrivals.iter().any(|arrival| arrival.message == will)
        };
        let broken = self.owners.iter().enumerate().filter(|(_, owner)| owner.broke_at.is_some());
        broken.map(|(number, _)| number).filter(|number| !came(*number)).collect()
    }

    fn backlog(&self, index: usize) -> u64 {
        check::missing(&self.history(), &self.subscribers[index].reception).len() as u64
    }
}

/// The process.
impl Life<'_> {
    fn start(&mut self) -> bool {
        match self.broker.start() {
            Ok(()) => self.is_up = true,
            Err(why) => self.faults.note(Fault::NotStarted, || format!("{}: {why}", self.name)),
        }
        self.is_up
    }

    fn kill(&mut self) {
        self.is_up = false;
        self.broker.kill();
        let now = Instant::now();
        self.tally.kills += 1;
        // What the broker had sent counts, though it is dead.
        self.turn_until("the end of all connections", |life| life.open_links == 0);
        for owner in &mut self.owners {
            owner.handle_kill(now);
        }
    }

    fn kill_a_start(&mut self) {
        self.broker.launch();
        // The kill is to fall anywhere in a start, of which nothing is told from outside.
        std::thread::sleep(Duration::from_micros(self.dice.below(60_000)));
        self.broker.kill();
        self.tally.kills += 1;
        self.tally.kills_at_start += 1;
    }
}

/// The clients' turns.
impl Life<'_> {
    fn turn_until(&mut self, what: &str, is_done: impl Fn(&Self) -> bool) {
        if !self.turn_until_quiet(is_done) {
            self.faults.note(Fault::HandshakeBroken, || format!("{}: {what} did not come", self.name));
        }
    }

    /// Lets clients act until `is_done`, and returns whether it is; false when nothing happens any more.
    fn turn_until_quiet(&mut self, is_done: impl Fn(&Self) -> bool) -> bool {
        let began = Instant::now();
        let mut last_event = began;
        while !is_done(self) {
            if self.turn() > 0 {
                last_event = Instant::now();
            }
            if last_event.elapsed() > self.quiet_max || began.elapsed() > self.busy_max {
                return false;
            }
        }
        true
    }

    /// Handles what has come, lets publishers publish, and returns how many events there were.
    fn turn(&mut self) -> usize {
        let mut count = 0;
        let mut next = self.inbox.recv_timeout(TURN).ok();
        while let Some(event) = next {
            self.handle(event);
            count += 1;
            next = if count < EVENTS_PER_TURN { self.inbox.try_recv().ok() } else { None };
        }
        for publisher in &mut self.publishers {
            if self.is_up && self.is_publishing {
                publisher.publish(&mut self.dice, BURST);
            }
            publisher.peer.flush();
        }
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.peer.flush());
        self.owners.iter_mut().for_each(|owner| owner.peer.flush());
        if let Some(inspector) = &mut self.inspector {
            inspector.peer.flush();
        }
        count
    }

    fn handle(&mut self, event: Event) {
        match event.what {
            What::Packet(packet) => self.handle_packet(event.who, packet),
            What::Illegal(why) => self.faults.note(Fault::HandshakeBroken, || format!("{:?}: {why}", event.who)),
            What::Closed => self.handle_closed(event.who),
        }
    }

    fn handle_packet(&mut self, who: Who, packet: vowmq::packet::Packet) {
        let is_connack = matches!(packet, vowmq::packet::Packet::ConnAck(_));
        match who {
            Who::Publisher(index) => {
                let publisher = &mut self.publishers[index];
                self.tally.sessions_checked += u64::from(is_connack && publisher.peer.has_session());
                self.acknowledged += publisher.handle(packet, self.faults);
            }
            Who::Subscriber(index) => {
                let next = || -> BTreeMap<_, _> { self.publishers.iter().map(|it| (it.source, it.next())).collect() };
                let subscriber = &mut self.subscribers[index];
                self.tally.sessions_checked += u64::from(is_connack && subscriber.peer.has_session());
                self.arrived += u64::from(matches!(packet, vowmq::packet::Packet::Publish(_)));
                subscriber.handle(packet, next, self.faults);
                if let Some(arrival) = subscriber.reception.arrivals.last().filter(|_| index == WATCHER)
                    && let Some(owner) = self.owners.get(arrival.message.number as usize)
                    && owner.due_at().is_some_and(|due| arrival.at < due)
                {
                    self.faults.note(Fault::WillEarly, || format!("{}: {:?}", self.name, arrival.message));
                }
            }
            Who::Owner(index) => self.owners[index].handle(&packet, self.faults),
            Who::Inspector => {
                if let Some(inspector) = &mut self.inspector {
                    inspector.handle(&packet, self.faults);
                }
            }
        }
    }

    fn handle_closed(&mut self, who: Who) {
        self.open_links -= 1;
        let peer = match who {
            Who::Publisher(index) => &mut self.publishers[index].peer,
            Who::Subscriber(index) => &mut self.subscribers[index].peer,
            Who::Owner(index) => &mut self.owners[index].peer,
            Who::Inspector => return self.inspector = None,
        };
        let is_cut = self.is_up && !peer.is_closing();
        peer.handle_closed();
        if is_cut {
            self.faults.note(Fault::ConnectionCut, || format!("{}: {}", self.name, peer.name));
            peer.cuts += 1;
            if peer.cuts < CUTS_MAX {
                peer.connect(&self.door);
                self.open_links += usize::from(peer.is_connected());
            }
        }
    }
}
