//! The broker under the session target: its settings from one byte, its store in memory, its time in our hands.
use crate::session::EXPIRY_S_MAX;
use std::sync::Arc;
use vowmq::access::Rules;
use vowmq::broker::{Broker, Committer, MailboxLimits, QueueRule, QueueSettings, Settings};
use vowmq::routing::Strategy;
use vowmq::session::{Features, Limits, OnFull, Refused311};
use vowmq::store::cold::{Cold, MemoryCold};
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::{Checkpointer, DurableStore, Options, Restored, Store};
use vowmq::types::{Now, Text, TopicFilter, TopicName};

pub const QUEUED_BYTES_MAX: u64 = 64 << 10;
const MAILBOX: MailboxLimits = MailboxLimits { messages_max: 50, bytes_max: 64 << 10 };

pub struct House {
    pub broker: Arc<Broker>,
    pub now: Now,
    /// CONNECTs that were let in.
    pub connects: usize,
    committer: Arc<Committer>,
    kind: u8,
    disk: Option<Disk>,
}

/// What outlives the broker, and the store on it.
struct Disk {
    files: Arc<FaultFiles>,
    cold: Arc<MemoryCold>,
    store: DurableStore,
    checkpointer: Checkpointer,
}

impl House {
    pub fn new(kind: u8) -> Self {
        let committer = Arc::new(Committer::memory());
        let broker = Broker::new(settings(kind), committer.clone());
        broker.set_rules(Rules::open());
        let mut house = Self { broker, now: Now::from_millis(1_000_000), connects: 0, committer, kind, disk: None };
        if kind & 1 != 0 {
            house.start(Arc::new(FaultFiles::new(1, 4096)), Arc::default());
        }
        house
    }

    pub fn is_durable(&self) -> bool {
        self.disk.is_some()
    }

    fn start(&mut self, files: Arc<FaultFiles>, cold: Arc<MemoryCold>) {
        let options =
            Options { segment_bytes: 64 << 10, log_bytes_max: 16 << 10, spares_apart: false, ..Options::new(1) };
        let (store, restored) =
            DurableStore::open_with(files.clone(), cold.clone(), options).expect("what a broker wrote is sound");
        let Restored { sessions, last_session, .. } = restored;
        self.committer = Arc::new(Committer::durable(if self.kind & 2 != 0 { 0 } else { u64::MAX }));
        self.broker = Broker::new(settings(self.kind), self.committer.clone());
        self.broker.set_rules(Rules::open());
        let shelf = store.shelf();
        self.broker.set_shelf(shelf.clone());
        let restored = self.broker.restore(sessions, last_session, &*shelf, self.now);
        restored.expect("what a broker wrote can be read");
        let retained = store.each_retained(|message| self.broker.restore_retained(&message));
        retained.expect("what a broker wrote can be read");
        let checkpointer = store.checkpointer();
        self.disk = Some(Disk { files, cold, store, checkpointer });
    }

    /// The broker is killed and begins again with what is on disk.
    pub fn restart(&mut self) {
        let Some(Disk { files, cold, store, checkpointer }) = self.disk.take() else { return };
        drop((store, checkpointer));
        files.kill_process();
        files.heal();
        cold.reopen().expect("memory opens");
        self.start(files, cold);
    }

    /// Makes durable what waits, and reads what is wanted. False if there was nothing to do.
    pub fn commit(&mut self) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        let committed = self.committer.commit_group(&mut disk.store, MAILBOX, &self.broker.counters);
        let served = self.broker.serve_loads(&*disk.store.shelf());
        committed.expect("the disk is sound") | served.expect("the disk is sound")
    }

    pub fn checkpoint(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.checkpointer.step().expect("the disk is sound");
            disk.store.rest().expect("the disk is sound");
        }
    }

    pub fn pass_s(&mut self, seconds: u32) {
        self.now = self.now.plus_seconds(seconds);
        self.broker.handle_timeouts(self.now);
    }

    /// What is on disk is a state like any other.
    pub fn end(mut self) {
        self.restart();
        assert_eq!(self.broker.sessions(), 0, "sessions that were over have come back");
    }
}

/// Small limits, so that they are reached, in many combinations.
fn settings(kind: u8) -> Settings {
    let bit = |number: u8| kind >> number & 1 != 0;
    let strategies = [Strategy::RoundRobin, Strategy::LeastInFlight, Strategy::Sticky, Strategy::Random];
    let on_full = [OnFull::Refuse, OnFull::DropNewest, OnFull::DropOldest][usize::from(kind >> 2) % 3];
    let limits = Limits {
        packet_bytes_max: crate::decoder::limits().packet_bytes_max,
        topic_bytes_max: 512,
        topic_levels_max: 32,
        subscriptions_max: 8,
        receive_max: if bit(3) { 3 } else { 1024 },
        in_flight_max: if bit(4) { 2 } else { 1024 },
        queued_messages_max: if bit(5) { 4 } else { 200 },
        queued_bytes_max: QUEUED_BYTES_MAX,
        topic_aliases_max: 4,
        topic_aliases_outbound_max: 4,
        session_expiry_s_max: EXPIRY_S_MAX,
        session_expiry_311_s: EXPIRY_S_MAX,
        on_full,
        refused_311: if bit(6) { Refused311::Disconnect } else { Refused311::Withhold },
        ..Limits::default()
    };
    let filter = Text::try_from("+/#").and_then(TopicFilter::parse).expect("a legal filter");
    let rule = QueueRule { filter, messages_max: 3, bytes_max: 4096, age_s_max: 60, on_full: OnFull::DropNewest };
    let queue = QueueSettings {
        age_s_max: if bit(7) { 90 } else { 0 },
        rules: if bit(7) { vec![rule] } else { Vec::new() },
        dead_letter_topic: bit(6).then(|| TopicName::try_from("$dead").expect("a legal topic")),
        ..QueueSettings::default()
    };
    Settings {
        limits,
        features: Features::default(),
        mailbox_limits: MAILBOX,
        queue,
        retained_messages_max: 8,
        retained_bytes_max: 16 << 10,
        retained_memory_bytes_max: if bit(2) { 0 } else { usize::MAX },
        shared_strategy: strategies[usize::from(kind >> 4) % 4],
        seed: kind.into(),
    }
}
