//! The way to the store: connections submit, one thread commits groups, and what waited goes on its way.
mod batch;
mod group;

pub use batch::{Batch, Receivers};

use super::loads::Loads;
use super::{Counters, MailboxLimits, Memory, Slot};
use crate::clock::Stopwatch;
use crate::store::{Record, Store, StoreError};
use crate::types::CommitSeq;
use group::Group;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Where batches go. With the memory engine nothing waits, and nothing is submitted at all.
#[derive(Debug)]
pub struct Committer {
    is_durable: bool,
    /// Users: submitters (to append), the committer's thread (to take all). Held for a push or a swap.
    queue: Mutex<Queue>,
    ready: Condvar,
    /// A group for which there was no room on disk yet. Only for the committer's thread.
    stuck: Mutex<Option<Group>>,
    /// Room for the records of the next group. Only for the committer's thread.
    spare: Mutex<Vec<Record>>,
    committed: AtomicU64,
    /// How many waited for the last group.
    crowd: AtomicUsize,
    is_short_of_space: AtomicBool,
    /// The disk has less room left than it should.
    is_disk_low: AtomicBool,
    is_behind: AtomicBool,
    /// Somebody does not read because of one of these, and is to be told when it may.
    is_waited_for: AtomicBool,
    pub(super) loads: Loads,
    pub(super) memory: Memory,
}

#[derive(Debug, Default)]
struct Queue {
    submissions: VecDeque<Submission>,
    bytes: usize,
    last: CommitSeq,
    is_awaited: bool,
    is_closed: bool,
    /// Since when the first of the submissions waits that somebody waits for.
    waiting_since: Option<Stopwatch>,
    /// The same of the group that is being committed.
    committing_since: Option<Stopwatch>,
}

/// How far the store is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    pub submissions: u64,
    pub bytes: u64,
    /// Microseconds for which the oldest has waited.
    pub oldest_us: u64,
}

#[derive(Debug)]
struct Submission {
    batch: Batch,
    bytes: usize,
    seq: CommitSeq,
    submitter: Option<Arc<Slot>>,
}

/// Bytes waiting for the store above which connections stop reading.
const CONGESTED_BYTES: usize = 64 << 20;
/// Bytes of one group, but for a single batch that is larger.
const GROUP_BYTES: usize = 4 << 20;
/// How often a group is tried again for which there is no room on disk.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Records for which there is room between two groups.
const SPARE_RECORDS_MAX: usize = 4096;
/// So many submitters of one group are a crowd, more of whom are about to come.
const CROWD: usize = 4;
/// How long changes that nobody waits for may stay unwritten.
const LAZY: Duration = Duration::from_millis(100);

impl Committer {
    /// For an engine that keeps nothing.
    pub fn memory() -> Self {
        Self::new(false, u64::MAX)
    }

    /// For an engine that keeps its word; somebody has to call [`Self::run`] or [`Self::commit_group`]. Deliveries of
    /// about `memory_bytes_max` bytes stay in memory on their way; the rest is read back.
    pub fn durable(memory_bytes_max: u64) -> Self {
        Self::new(true, memory_bytes_max)
    }

    fn new(is_durable: bool, memory_bytes_max: u64) -> Self {
        Self {
            is_durable,
            queue: Mutex::default(),
            ready: Condvar::new(),
            stuck: Mutex::default(),
            spare: Mutex::default(),
            committed: AtomicU64::new(0),
            crowd: AtomicUsize::new(0),
            is_short_of_space: AtomicBool::new(false),
            is_disk_low: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            is_waited_for: AtomicBool::new(false),
            loads: Loads::default(),
            memory: Memory::new(memory_bytes_max),
        }
    }

    /// Whether room on disk is running out: nothing new is taken in that must be kept.
    pub fn is_short_of_space(&self) -> bool {
        self.is_short_of_space.load(Ordering::Relaxed)
    }

    /// Says whether the disk has less room left than it should.
    pub fn set_disk_low(&self, is_low: bool) {
        self.is_disk_low.store(is_low, Ordering::Relaxed);
    }

    /// Whether the store has to put in order what it has, before it takes much more.
    pub fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Notes that somebody waits until the store has room, or is in order again.
    pub(super) fn wait_for_store(&self) {
        self.is_waited_for.store(true, Ordering::SeqCst);
    }

    /// Whether somebody waits who need not any more.
    pub(super) fn may_go_on(&self) -> bool {
        !self.is_behind() && !self.is_short_of_space() && self.is_waited_for.swap(false, Ordering::SeqCst)
    }

    /// The last commit that anything was submitted for.
    pub fn submitted(&self) -> CommitSeq {
        self.queue.lock().last
    }

    /// Whether everything up to this commit is durable.
    pub fn is_committed(&self, upto: CommitSeq) -> bool {
        self.committed.load(Ordering::Acquire) >= upto.0
    }

    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Submits a batch. The submitter hears of its commit by [`Slot::committed`]; `None` means that nothing waits.
    pub fn submit(&self, batch: Batch, submitter: Option<&Arc<Slot>>) -> Option<CommitSeq> {
        if !self.is_durable || batch.is_empty() {
            return None;
        }
        // Before the lock is taken: it looks at every message.
        let bytes = batch.cost_bytes();
        let mut queue = self.queue.lock();
        queue.last = CommitSeq(queue.last.0 + 1);
        queue.bytes += bytes;
        let (seq, is_awaited) = (queue.last, batch.is_awaited);
        let submitter = submitter.filter(|_| is_awaited).cloned();
        queue.submissions.push_back(Submission { batch, bytes, seq, submitter });
        if is_awaited {
            queue.waiting_since.get_or_insert_with(Stopwatch::start);
            queue.is_awaited = true;
            self.ready.notify_one();
        }
        is_awaited.then_some(seq)
    }

    /// Whether so much waits for the store that publishers have to wait.
    pub fn is_congested(&self) -> bool {
        self.is_durable && self.queue.lock().bytes > CONGESTED_BYTES
    }

    pub fn lag(&self) -> Lag {
        let queue = self.queue.lock();
        let oldest = queue.committing_since.or(queue.waiting_since);
        Lag {
            submissions: queue.submissions.len() as u64,
            bytes: queue.bytes as u64,
            oldest_us: oldest.map_or(0, |since| since.elapsed_us()),
        }
    }

    /// Ends [`Self::run`] once everything submitted is committed.
    pub fn close(&self) {
        self.queue.lock().is_closed = true;
        self.ready.notify_one();
    }

    /// Commits group after group until closed. The running commit is the window in which the next group gathers.
    pub fn run(&self, store: &mut dyn Store, limits: MailboxLimits, counters: &Counters) -> Result<(), StoreError> {
        loop {
            let mut queue = self.queue.lock();
            if !queue.is_awaited && !queue.is_closed {
                self.ready.wait_for(&mut queue, LAZY);
            }
            let is_closed = queue.is_closed;
            let is_over = is_closed && queue.submissions.is_empty() && self.stuck.lock().is_none();
            drop(queue);
            if is_over {
                return Ok(());
            }
            // On a busy processor this thread is woken by the first of many who were waiting for the last group, ahead of
            // the others. Where nobody else has anything to do, no time passes.
            if self.crowd.load(Ordering::Relaxed) >= CROWD {
                std::thread::yield_now();
            }
            let committed = self.commit_group(store, limits, counters);
            match committed {
                Ok(true) => {}
                Ok(false) => store.rest()?,
                // Nothing of it was promised: it waits, and everybody with it, until there is room.
                Err(error) if error.is_full() && !is_closed => {
                    store.rest()?;
                    self.ready.wait_for(&mut self.queue.lock(), AGAIN_AFTER);
                }
                Err(error) => return Err(error),
            }
            self.note_health(store);
        }
    }

    fn note_health(&self, store: &dyn Store) {
        let is_short =
            store.is_short_of_space() || self.is_disk_low.load(Ordering::Relaxed) || self.stuck.lock().is_some();
        self.is_behind.store(store.is_behind(), Ordering::Relaxed);
        match (self.is_short_of_space.swap(is_short, Ordering::Relaxed), is_short) {
            (false, true) => tracing::error!(
                "the disk is full: new messages are refused, and what was acknowledged is safe; free some space in data_dir"
            ),
            (true, false) => tracing::info!("there is room on disk again: new messages are taken"),
            _ => {}
        }
    }

    /// Commits what waits as one group, then hands out what waited for it. False if nothing did. After
    /// [`StoreError::is_full`] the next call tries the same group again.
    pub fn commit_group(
        &self,
        store: &mut dyn Store,
        limits: MailboxLimits,
        counters: &Counters,
    ) -> Result<bool, StoreError> {
        let stuck = self.stuck.lock().take();
        let Some(group) = stuck.or_else(|| self.gather()) else { return Ok(false) };
        // IMPORTANT: nothing below may happen before the commit: an undurable message must reach nobody, and an
        // acknowledgement must not leave.
        let written_before = store.bytes_written();
        let began = Stopwatch::start();
        if let Err(error) = store.commit(&group.records) {
            *self.stuck.lock() = Some(group);
            return Err(error);
        }
        counters.commits.commit_us.observe(began.elapsed_us());
        counters.commits.records.observe(group.records.len() as u64);
        self.crowd.store(group.submitters.len(), Ordering::Relaxed);
        counters.groups.add(1);
        counters.group_records.add(group.records.len() as u64);
        counters.group_bytes.add(store.bytes_written() - written_before);
        if counters.tracer.is_on() {
            group.trace(&counters.tracer);
        }
        self.hand_out(group, limits, counters);
        if let Some(since) = self.queue.lock().committing_since.take() {
            counters.commits.wait_us.observe(since.elapsed_us());
        }
        Ok(true)
    }

    /// Takes what waits, up to the size of a group.
    fn gather(&self) -> Option<Group> {
        let mut group = Group { records: std::mem::take(&mut *self.spare.lock()), ..Group::default() };
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        while let Some(submission) = queue.submissions.pop_front() {
            bytes += submission.bytes;
            group.last = submission.seq;
            group.add(submission);
            if bytes > GROUP_BYTES {
                break;
            }
        }
        queue.bytes -= bytes;
        // What is left of them came no earlier.
        queue.committing_since = queue.waiting_since;
        if queue.submissions.is_empty() {
            queue.is_awaited = false;
            queue.waiting_since = None;
        }
        (group.last > CommitSeq::default()).then_some(group)
    }

    fn hand_out(&self, group: Group, limits: MailboxLimits, counters: &Counters) {
        let mut lazy = Batch::default();
        for (session, mut addressed) in group.deliveries.into_sessions() {
            for change in addressed.slot.deliver(&mut addressed.deliveries, limits, counters, &self.memory) {
                lazy.change(session, change);
            }
        }
        lazy.is_awaited = false;
        self.submit(lazy, None);
        self.committed.fetch_max(group.last.0, Ordering::Release);
        // After the deliveries, so that a page never ends before one that its session knows of.
        self.loads.add(group.loads);
        for (submitter, seq) in group.submitters {
            submitter.committed(seq);
        }
        self.keep(group.records);
    }

    /// Keeps the room of a group for the next.
    fn keep(&self, mut records: Vec<Record>) {
        records.clear();
        records.shrink_to(SPARE_RECORDS_MAX);
        *self.spare.lock() = records;
    }
}
