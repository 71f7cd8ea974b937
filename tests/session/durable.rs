//! A broker with a store on a disk in memory.
use crate::peer::{World, mailbox_limits};
use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use vowmq::access::Rules;
use vowmq::broker::{Committer, Counters, Settings};
use vowmq::store::cold::MemoryCold;
use vowmq::store::log::fault::FaultFiles;
use vowmq::store::{DurableStore, Options, Page, Record, Restored, Shelf, Store, StoreError};
use vowmq::types::{Message, SessionKey, TopicName};

/// A broker with a store, and the records of each commit for the test to look at.
pub struct Durable {
    world: World,
    store: RefCell<DurableStore>,
    /// Pages of queues that were read back.
    pub pages_read: AtomicU64,
    files: Arc<FaultFiles>,
    cold: Arc<MemoryCold>,
}

impl Deref for Durable {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

struct Kept<'a> {
    store: &'a mut DurableStore,
    records: Vec<Record>,
}

impl Store for Kept<'_> {
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError> {
        self.records.extend_from_slice(group);
        self.store.commit(group)
    }
}

struct Counted<'a> {
    shelf: Arc<dyn Shelf>,
    pages_read: &'a AtomicU64,
}

impl Shelf for Counted<'_> {
    fn page(&self, session: SessionKey, from: u64, messages_max: usize, bytes_max: u64) -> Result<Page, StoreError> {
        self.pages_read.fetch_add(1, Ordering::Relaxed);
        self.shelf.page(session, from, messages_max, bytes_max)
    }

    fn hold(&self, session: SessionKey) {
        self.shelf.hold(session);
    }

    fn let_go(&self, session: SessionKey) {
        self.shelf.let_go(session);
    }

    fn retained(&self, topic: &TopicName) -> Result<Option<Arc<Message>>, StoreError> {
        self.shelf.retained(topic)
    }
}

pub fn durable() -> Durable {
    durable_with(|_| {})
}

pub fn durable_with(change: impl FnOnce(&mut Settings)) -> Durable {
    start(Arc::new(FaultFiles::new(1, 4096)), Arc::default(), change, Rules::open())
}

fn start(files: Arc<FaultFiles>, cold: Arc<MemoryCold>, change: impl FnOnce(&mut Settings), rules: Rules) -> Durable {
    let options = Options { segment_bytes: 64 << 10, spares_apart: false, ..Options::new(1) };
    let opened = DurableStore::open_with(files.clone(), cold.clone(), options);
    let (store, Restored { sessions, last_session, .. }) = opened.expect("a sound store");
    let world = World::new(change, Committer::durable(u64::MAX));
    let shelf = store.shelf();
    world.broker.set_shelf(shelf.clone());
    world.broker.set_rules(rules);
    world.broker.restore(sessions, last_session, &*shelf, world.now()).expect("a store that can be read");
    Durable { world, store: RefCell::new(store), pages_read: AtomicU64::new(0), files, cold }
}

impl Durable {
    /// The broker is killed and starts again on the same disk, with other settings.
    pub fn restart(self, change: impl FnOnce(&mut Settings)) -> Durable {
        self.restart_under(change, Rules::open())
    }

    /// The same, and under these access rules.
    pub fn restart_under(self, change: impl FnOnce(&mut Settings), rules: Rules) -> Durable {
        let Self { world, store, files, cold, .. } = self;
        files.kill_process();
        drop((world, store));
        start(files, cold, change, rules)
    }

    /// Writes records past the broker, which learns of them when it starts again.
    pub fn write(&self, records: &[Record]) {
        self.store.borrow_mut().commit(records).expect("this store never fails");
    }
}

/// Commits all that waits, and reads back what is wanted then.
pub fn commit(durable: &Durable) -> Vec<Record> {
    let mut store = durable.store.borrow_mut();
    let shelf = Counted { shelf: store.shelf(), pages_read: &durable.pages_read };
    let mut kept = Kept { store: &mut store, records: Vec::new() };
    let (broker, counters) = (&durable.world.broker, Counters::default());
    let committer = &durable.world.committer;
    while committer.commit_group(&mut kept, mailbox_limits(), &counters).expect("this store never fails")
        || broker.serve_loads(&shelf).expect("this store can be read")
    {}
    kept.records
}
