//! All sessions together (floor 3): the registry, the publish path, the committer, deadlines, access.
//!
//! Nothing here awaits or knows a socket: a connection drives its [`Attachment`] by calls, and the house's own work
//! (deadlines, `$SYS`) is driven by [`Broker::handle_timeouts`] and [`Broker::publish_sys`].
mod abuse;
mod access;
mod allowance;
mod attachment;
mod committer;
mod counters;
mod dead_letters;
mod draining;
mod drops;
mod histogram;
mod house;
mod inspect;
mod lead;
mod loads;
mod memory;
mod operate;
mod pressure;
mod publisher;
mod registry;
mod restore;
mod retained;
mod scan;
mod slot;
mod standing;
mod sys;
mod timers;
mod tracer;
mod traffic;

pub use crate::access::Subject;
pub use abuse::{Abuse, AbuseSettings, Rates};
pub use access::{Access, AccessError, AccessFile, AccessRules};
pub use allowance::{QueueRule, QueueSettings, RULES_MAX};
pub use attachment::Attachment;
pub use committer::{Batch, Committer, Lag};
pub use counters::{Counter, Counters};
pub use draining::{Drain, Draining};
pub use drops::{DropLine, Drops, Gathered, Lost};
pub use histogram::{Distribution, Histogram};
pub use inspect::{Census, Inspecting, Inspection, ListKey, Live, Order, Visit};
pub use memory::Memory;
pub use operate::{Receiver, Submitted};
pub use pressure::{Marks, Pressure};
pub use publisher::{DENIED, Origin, Publisher, REFUSED};
pub use registry::{ConnectRequest, Step};
pub use slot::{MailboxLimits, Slot, SlotHandle};
pub use standing::Standing;
pub use sys::Surroundings;
pub use tracer::{Event, Following, Sink, Span, SpanKind, Spans, Steps, Trace, Tracer, Wanted, Waypoint};
pub use traffic::{ByKind, ByQoS, Commits, Deliveries, Traffic, place};

use crate::routing::{Strategy, Tree};
use crate::session::{Change, Features, Limits};
use crate::store::Shelf;
use crate::types::{ClientId, SessionKey};
use arc_swap::ArcSwap;
use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use retained::RetainedStore;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use timers::Timers;

/// What a broker is made from.
#[derive(Debug, Clone)]
pub struct Settings {
    pub limits: Limits,
    pub features: Features,
    pub mailbox_limits: MailboxLimits,
    pub queue: QueueSettings,
    pub retained_messages_max: usize,
    pub retained_bytes_max: usize,
    /// Bytes of retained messages in memory, where a store has them as well.
    pub retained_memory_bytes_max: usize,
    pub shared_strategy: Strategy,
    pub abuse: AbuseSettings,
    pub memory_marks: Marks,
    /// Seeds the choices that must not be guessed by clients: assigned identifiers, hashing, random members.
    pub seed: u64,
}

/// The state that all connections share.
pub struct Broker {
    /// For clients that connect from now on; replaced by [`Broker::adapt`].
    limits: ArcSwap<Limits>,
    features: ArcSwap<Features>,
    mailbox_limits: MailboxLimits,
    queue: QueueSettings,
    shared_strategy: Strategy,
    /// Asked on CONNECT, at the end of a session, and by operators; never per message.
    registry: DashMap<ClientId, Arc<Slot>>,
    /// Sessions that outlive their connections, for what the store says about them.
    durable: DashMap<SessionKey, Arc<Slot>>,
    /// What the store keeps; set at the start, where there is a store.
    shelf: OnceLock<Arc<dyn Shelf>>,
    /// Users: subscribers (to write), publishers on a cache miss (to read).
    tree: RwLock<Tree<SlotHandle>>,
    /// The tree's generation, readable without its lock.
    generation: AtomicU64,
    retained: RetainedStore,
    committer: Arc<Committer>,
    timers: Timers,
    pub access: Access,
    pub draining: Draining,
    pub abuse: Abuse,
    pub pressure: Pressure,
    pub counters: Arc<Counters>,
    /// The counters' own, at hand where nothing is written all the time: it is asked for each message.
    tracer: Arc<Tracer>,
    next_session: AtomicU64,
    seed: u64,
    /// Publishes for those who have no connection. Locked before the tree and any inbox, by one turn at a time.
    house: Mutex<Publisher>,
    /// For `$SYS`. Locked before the house.
    history: Mutex<sys::History>,
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Broker").field("sessions", &self.sessions()).finish_non_exhaustive()
    }
}

impl Broker {
    pub fn new(settings: Settings, committer: Arc<Committer>) -> Arc<Self> {
        let drops = Drops::new(settings.queue.dead_letter_topic.is_some());
        let counters = Arc::new(Counters::new(drops));
        Arc::new(Self {
            limits: ArcSwap::from_pointee(settings.limits),
            features: ArcSwap::from_pointee(Features { has_shelf: committer.is_durable(), ..settings.features }),
            mailbox_limits: settings.mailbox_limits,
            queue: settings.queue,
            shared_strategy: settings.shared_strategy,
            registry: DashMap::new(),
            durable: DashMap::new(),
            shelf: OnceLock::new(),
            tree: RwLock::new(Tree::new()),
            generation: AtomicU64::new(0),
            retained: RetainedStore::new(
                settings.retained_messages_max,
                settings.retained_bytes_max,
                settings.retained_memory_bytes_max,
            ),
            committer,
            timers: Timers::default(),
            access: Access::default(),
            draining: Draining::default(),
            abuse: Abuse::new(settings.abuse),
            pressure: Pressure::new(settings.memory_marks),
            tracer: counters.tracer.clone(),
            counters,
            next_session: AtomicU64::new(1),
            seed: settings.seed,
            house: Mutex::new(Publisher::new(None, settings.seed)),
            history: Mutex::default(),
        })
    }

    /// Takes limits and options that changed: what bounds all sessions together counts at once, what is agreed upon with
    /// a client from its next connection on. What the settings hold beside these stays as it was.
    pub fn adapt(&self, settings: Settings) {
        self.limits.store(Arc::new(settings.limits));
        self.features.store(Arc::new(Features { has_shelf: self.committer.is_durable(), ..settings.features }));
        self.retained.limit(settings.retained_messages_max, settings.retained_bytes_max);
        self.abuse.change(settings.abuse);
    }

    /// Lets the broker read back what its store keeps.
    pub fn set_shelf(&self, shelf: Arc<dyn Shelf>) {
        // The first one stands: a broker has one store for all its life.
        let _ = self.shelf.set(shelf);
    }

    /// Bytes of deliveries held in memory though the store has them.
    pub fn held_bytes(&self) -> u64 {
        self.committer.memory.held_bytes()
    }

    /// Sessions known, connected or not.
    pub fn sessions(&self) -> usize {
        self.registry.len()
    }

    pub fn subscriptions(&self) -> usize {
        self.tree.read().len()
    }

    /// How far the store is behind what was submitted.
    pub fn lag(&self) -> Lag {
        self.committer.lag()
    }

    /// Whether new messages that would have to be kept are refused.
    pub fn is_short_of_space(&self) -> bool {
        self.committer.is_short_of_space()
    }

    /// Whether what is acknowledged is on disk.
    pub fn is_durable(&self) -> bool {
        self.committer.is_durable()
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Changes the subscription tree, and lets every route cache know.
    fn change_tree<R>(&self, change: impl FnOnce(&mut Tree<SlotHandle>) -> R) -> R {
        let mut tree = self.tree.write();
        let result = change(&mut tree);
        self.generation.store(tree.generation(), Ordering::Release);
        result
    }

    fn new_key(&self) -> SessionKey {
        SessionKey(self.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// Persists changes that nobody waits for.
    fn submit_changes(&self, session: SessionKey, changes: Vec<Change>) {
        let mut batch = Batch::default();
        for change in changes {
            batch.change(session, change);
        }
        self.committer.submit(batch, None);
    }
}
