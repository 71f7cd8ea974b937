//! The broker under the session target: its settings from one byte, its store in memory, its time in our hands.
use crate::session::EXPIRY_S_MAX;
use std::convert::Infallible;
use std::sync::Arc;
use vowmq::access::Rules;
use vowmq::broker::{Broker, Committer, MailboxLimits, QueueRule, QueueSettings, Settings};
use vowmq::dump;
use vowmq::routing::Strategy;
use vowmq::session::{Features, Limits, OnFull, Refused311};
use vowmq::store::cold::{Cold, MemoryCold};
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::log::{self, Lsn};
use vowmq::store::{Checkpointer, DurableStore, Options, Restored, Store, StoreError};
use vowmq::types::{Now, TopicFilter, TopicName};

pub const QUEUED_BYTES_MAX: u64 = 64 << 10;
const MAILBOX: MailboxLimits = MailboxLimits { messages_max: 50, bytes_max: 64 << 10 };

const SEGMENT_BYTES: u64 = 64 << 10;

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
        let (files, cold) = (Arc::new(FaultFiles::new(1, 4096)), Arc::default());
        let now = Now::from_millis(1_000_000);
        let house = (kind & 1 != 0).then(|| Self::start(kind, now, files, cold).expect("a new store can be made"));
        house.unwrap_or_else(|| {
            let committer = Arc::new(Committer::memory());
            let broker = Broker::new(settings(kind), committer.clone());
            broker.set_rules(Rules::open());
            Self { broker, now, connects: 0, committer, kind, disk: None }
        })
    }

    /// A broker with what is on disk; `None` if it refuses that.
    pub fn begin(kind: u8, files: Arc<FaultFiles>, cold: Arc<MemoryCold>) -> Option<Self> {
        Self::start(kind, Now::from_millis(1_000_000), files, cold).ok()
    }

    pub fn is_durable(&self) -> bool {
        self.disk.is_some()
    }

    pub fn store_options() -> Options {
        Options { segment_bytes: SEGMENT_BYTES, log_bytes_max: 16 << 10, spares_apart: false, ..Options::new(1) }
    }

    /// How that store lays out its log.
    pub fn log_options() -> log::Options {
        let frame_bytes_max = SEGMENT_BYTES - 1024;
        log::Options { segment_bytes: SEGMENT_BYTES, frame_bytes_max, ..log::Options::new(1) }
    }

    fn start(kind: u8, now: Now, files: Arc<FaultFiles>, cold: Arc<MemoryCold>) -> Result<Self, StoreError> {
        let (store, restored) = DurableStore::open_with(files.clone(), cold.clone(), Self::store_options())?;
        let Restored { sessions, last_session, .. } = restored;
        let committer = Arc::new(Committer::durable(if kind & 2 != 0 { 0 } else { u64::MAX }));
        let broker = Broker::new(settings(kind), committer.clone());
        broker.set_rules(Rules::open());
        let shelf = store.shelf();
        broker.set_shelf(shelf.clone());
        broker.restore(sessions, last_session, &*shelf, now)?;
        store.each_retained(|message| broker.restore_retained(&message))?;
        let checkpointer = store.checkpointer();
        let disk = Some(Disk { files, cold, store, checkpointer });
        Ok(Self { broker, now, connects: 0, committer, kind, disk })
    }

    /// The broker is killed and begins again with what is on disk.
    pub fn restart(&mut self) {
        let Some(Disk { files, cold, store, checkpointer }) = self.disk.take() else { return };
        drop((store, checkpointer));
        files.kill_process();
        files.heal();
        cold.reopen().expect("memory opens");
        let again = Self::start(self.kind, self.now, files, cold).expect("what a broker wrote is sound");
        *self = Self { connects: self.connects, ..again };
    }

    /// What is on disk: the records of the log, and all as lines.
    pub fn kept(mut self) -> (Vec<Vec<u8>>, Vec<u8>) {
        while self.commit() {}
        let disk = self.disk.as_mut().expect("a durable broker");
        let mut records = Vec::new();
        let read = |_, record: &[u8]| {
            records.push(record.to_vec());
            Ok::<(), Infallible>(())
        };
        // Where a checkpoint has let go of the beginning, there is none to be had.
        drop(log::open(Arc::new(disk.files.fork()), Self::log_options(), Lsn::START, read));
        let mut lines = Vec::new();
        dump::write(&mut disk.checkpointer, &mut lines).expect("memory takes what is written");
        (records, lines)
    }

    /// Lets all sessions expire that can, and writes down the rest. Any of it may be refused, as nobody knows what it is.
    pub fn serve_and_export(&mut self) {
        self.pass_s(EXPIRY_S_MAX);
        let disk = self.disk.as_mut().expect("a durable broker");
        let shelf = disk.store.shelf();
        let committed = self.committer.commit_group(&mut disk.store, MAILBOX, &self.broker.counters);
        let served = self.broker.serve_loads(&*shelf);
        if committed.is_ok() && served.is_ok() {
            let _ = dump::write(&mut disk.checkpointer, std::io::sink());
        }
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
    let filter = TopicFilter::try_from("+/#").expect("a legal filter");
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
        abuse: vowmq::broker::AbuseSettings::default(),
        memory_marks: vowmq::broker::Marks::default(),
        shared_strategy: strategies[usize::from(kind >> 4) % 4],
        seed: kind.into(),
    }
}
