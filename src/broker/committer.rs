//! The way to the store: connections submit, one thread commits groups, and what waited goes on its way.
use super::{Counters, MailboxLimits, Slot};
use crate::session::{Change, Delivery};
use crate::store::{Record, Store, StoreError, Target};
use crate::types::{CommitSeq, Message, PacketId, SessionKey};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One turn's wishes, committed together.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    /// Someone waits for it; otherwise it rides with the next group.
    is_awaited: bool,
}

#[derive(Debug)]
enum Item {
    Record(Record),
    /// A message for durable sessions. Their queue positions are given at the commit, in the order of commits.
    Publish {
        message: Arc<Message>,
        inbound: Option<(SessionKey, PacketId)>,
        is_retained: bool,
        targets: Vec<(Arc<Slot>, Delivery)>,
    },
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn record(&mut self, record: Record) {
        self.items.push(Item::Record(record));
        self.is_awaited = true;
    }

    pub fn publish(
        &mut self,
        message: Arc<Message>,
        inbound: Option<(SessionKey, PacketId)>,
        is_retained: bool,
        targets: Vec<(Arc<Slot>, Delivery)>,
    ) {
        self.items.push(Item::Publish { message, inbound, is_retained, targets });
        self.is_awaited = true;
    }

    pub fn change(&mut self, session: SessionKey, change: Change) {
        self.items.push(Item::Record(match change {
            Change::Done { position } => Record::Done { session, position },
            Change::Received { position } => Record::Received { session, position },
            Change::InboundReleased { id } => Record::InboundReleased { session, id },
        }));
        self.is_awaited |= change.is_awaited();
    }

    fn cost_bytes(&self) -> usize {
        const RECORD: usize = 64;
        let payloads = self.items.iter().map(|item| match item {
            Item::Record(_) => 0,
            Item::Publish { message, targets, .. } => message.cost_bytes() + targets.len() * RECORD,
        });
        payloads.sum::<usize>() + self.items.len() * RECORD
    }
}

/// Where batches go. With the memory engine nothing waits, and nothing is submitted at all.
#[derive(Debug)]
pub struct Committer {
    is_durable: bool,
    /// Users: submitters (to append), the committer's thread (to take all). Held for a push or a swap.
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    submissions: Vec<Submission>,
    bytes: usize,
    last: CommitSeq,
    is_awaited: bool,
    is_closed: bool,
}

#[derive(Debug)]
struct Submission {
    batch: Batch,
    seq: CommitSeq,
    submitter: Option<Arc<Slot>>,
}

/// Bytes waiting for the store above which connections stop reading.
const CONGESTED_BYTES: usize = 64 << 20;
/// How long changes that nobody waits for may stay unwritten.
const LAZY: Duration = Duration::from_millis(100);

impl Committer {
    /// For an engine that keeps nothing.
    pub fn memory() -> Self {
        Self::new(false)
    }

    /// For an engine that keeps its word; somebody has to call [`Self::run`] or [`Self::commit_group`].
    pub fn durable() -> Self {
        Self::new(true)
    }

    fn new(is_durable: bool) -> Self {
        Self { is_durable, queue: Mutex::default(), ready: Condvar::new() }
    }

    pub fn is_durable(&self) -> bool {
        self.is_durable
    }

    /// Submits a batch. The submitter hears of its commit by [`Slot::committed`]; `None` means that nothing waits.
    pub fn submit(&self, batch: Batch, submitter: Option<&Arc<Slot>>) -> Option<CommitSeq> {
        if !self.is_durable || batch.is_empty() {
            return None;
        }
        let mut queue = self.queue.lock();
        queue.last = CommitSeq(queue.last.0 + 1);
        queue.bytes += batch.cost_bytes();
        let (seq, is_awaited) = (queue.last, batch.is_awaited);
        let submitter = submitter.filter(|_| is_awaited).cloned();
        queue.submissions.push(Submission { batch, seq, submitter });
        if is_awaited {
            queue.is_awaited = true;
            self.ready.notify_one();
        }
        is_awaited.then_some(seq)
    }

    /// Whether so much waits for the store that publishers have to wait.
    pub fn is_congested(&self) -> bool {
        self.is_durable && self.queue.lock().bytes > CONGESTED_BYTES
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
            let is_over = queue.is_closed && queue.submissions.is_empty();
            drop(queue);
            if is_over {
                return Ok(());
            }
            if !self.commit_group(store, limits, counters)? {
                store.rest()?;
            }
        }
    }

    /// Commits all that waits as one group, then hands out what waited for it. False if nothing did.
    pub fn commit_group(
        &self,
        store: &mut dyn Store,
        limits: MailboxLimits,
        counters: &Counters,
    ) -> Result<bool, StoreError> {
        let submissions = {
            let mut queue = self.queue.lock();
            queue.bytes = 0;
            queue.is_awaited = false;
            std::mem::take(&mut queue.submissions)
        };
        if submissions.is_empty() {
            return Ok(false);
        }
        let mut group = Group::default();
        for submission in submissions {
            group.add(submission);
        }
        // IMPORTANT: nothing below may happen before the commit: an undurable message must reach nobody, and an
        // acknowledgement must not leave.
        store.commit(&group.records)?;
        self.hand_out(group, limits, counters);
        Ok(true)
    }

    fn hand_out(&self, group: Group, limits: MailboxLimits, counters: &Counters) {
        let mut lazy = Batch::default();
        for (session, (slot, mut deliveries)) in group.deliveries {
            for change in slot.deliver(&mut deliveries, limits, counters) {
                lazy.change(session, change);
            }
        }
        lazy.is_awaited = false;
        self.submit(lazy, None);
        for (submitter, seq) in group.submitters {
            submitter.committed(seq);
        }
    }
}

/// The records of one commit, and what is handed out after it.
#[derive(Default)]
struct Group {
    records: Vec<Record>,
    deliveries: BTreeMap<SessionKey, (Arc<Slot>, Vec<Delivery>)>,
    submitters: Vec<(Arc<Slot>, CommitSeq)>,
}

impl Group {
    fn add(&mut self, submission: Submission) {
        for item in submission.batch.items {
            match item {
                Item::Record(record) => self.records.push(record),
                Item::Publish { message, inbound, is_retained, targets } => {
                    let targets = targets.into_iter().map(|(slot, delivery)| self.target(slot, delivery)).collect();
                    self.records.push(Record::Published { message, inbound, is_retained, targets });
                }
            }
        }
        if let Some(submitter) = submission.submitter {
            self.submitters.push((submitter, submission.seq));
        }
    }

    /// Gives a delivery its queue position.
    fn target(&mut self, slot: Arc<Slot>, delivery: Delivery) -> Target {
        let position = slot.take_position();
        let target = Target {
            session: slot.key,
            position,
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids.clone(),
            share: delivery.share.clone(),
            give_up_at: delivery.give_up_at,
        };
        let (_, waiting) = self.deliveries.entry(slot.key).or_insert_with(|| (slot, Vec::new()));
        waiting.push(Delivery { position: Some(position), ..delivery });
        target
    }
}
