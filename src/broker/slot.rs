//! The place of one session in the broker: where deliveries for it go, whether its client is there or not.
mod errands;

use super::allowance::Allowance;
use super::inspect::{Gauge, Notes};
use super::scan::ScanPage;
use super::{Counters, Memory, lead};
use crate::routing::Subscriber;
use crate::session::{Change, Close, Delivery, Parked, Released, Turn};
use crate::store::Page;
use crate::types::{ClientId, CommitSeq, Identity, QoS, Rare, SessionKey};
use arc_swap::ArcSwapOption;
pub(super) use errands::Errands;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

/// One session, as others see it. Subscriptions and route caches hold it; the registry finds it by Client Identifier.
#[derive(Debug)]
pub struct Slot {
    pub key: SessionKey,
    pub client_id: ClientId,
    /// Whether the session outlives its connections; what is for it waits for the store.
    pub is_durable: bool,
    /// Whom the session belongs to; `None` for one begun before owners were kept.
    owner: ArcSwapOption<Identity>,
    is_live: AtomicBool,
    /// The connection is asked to look at what it may do; set and looked at while the inbox is locked.
    is_nudged: AtomicBool,
    /// The connection was asked to leave; likewise.
    pub(super) is_leaving: AtomicBool,
    /// Deliveries of QoS 1 and 2 not finished: reserved at routing, given back by the session.
    backlog: Backlog,
    /// What of the backlog is counted by rules.
    pub(super) allowance: Allowance,
    /// The queue position of the next durable delivery. Only the committer counts it up.
    next_position: AtomicU64,
    /// Counts the connections of this session. What was read from the store for one is not for the next.
    visit: AtomicU32,
    /// The commit that holds the last deliveries moved away from this session while its client was absent.
    moved: AtomicU64,
    /// Exchanges of QoS 1 and 2 under way on its connection, which sets it.
    pub(super) in_doubt: Gauge,
    /// Users: publishers and the committer (to deliver), the connection (to collect), the registry (to take over).
    /// Held for a push or a swap, or, if the client is away, for the session's own queueing. Never held over `.await`.
    /// The tree, the timers and the committer's queue may be locked under it, but never the other way round.
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Backlog {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// There is one for each session, most of them idle: what is rare is on the heap.
#[derive(Debug)]
pub(super) struct Inbox {
    pub place: Place,
    deliveries: Vec<Delivery>,
    bytes: u64,
    /// Part of `bytes`: of deliveries that a store keeps as well.
    held_bytes: u64,
    committed: CommitSeq,
    /// The connection's task.
    owner: Option<Waker>,
    pub errands: Rare<Errands>,
    pub notes: Notes,
}

/// Bytes of deliveries in one mailbox that a store keeps as well; the rest can be read back.
const HELD_BYTES_MAX: u64 = 8 << 20;

#[derive(Debug)]
pub(super) enum Place {
    /// A connection owns the session.
    Live,
    Parked(Box<Parked>),
    /// The session is over; whoever still finds it here finds nobody.
    Gone,
}

/// How many QoS 0 deliveries may wait for a connection to collect them.
#[derive(Debug, Clone, Copy)]
pub struct MailboxLimits {
    pub messages_max: usize,
    pub bytes_max: u64,
}

/// What the connection collects at once.
#[derive(Debug, Default)]
pub struct Collected {
    pub deliveries: Vec<Delivery>,
    pub(super) errands: Option<Box<Errands>>,
    pub committed: CommitSeq,
}

impl Slot {
    pub fn new(key: SessionKey, client_id: ClientId, is_durable: bool, owner: Option<Arc<Identity>>) -> Arc<Self> {
        Arc::new(Self {
            key,
            client_id,
            is_durable,
            owner: ArcSwapOption::new(owner),
            is_live: AtomicBool::new(true),
            is_nudged: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            backlog: Backlog::default(),
            allowance: Allowance::default(),
            next_position: AtomicU64::new(0),
            visit: AtomicU32::new(0),
            moved: AtomicU64::new(0),
            in_doubt: Gauge::default(),
            inbox: Mutex::new(Inbox {
                place: Place::Live,
                deliveries: Vec::new(),
                bytes: 0,
                held_bytes: 0,
                committed: CommitSeq::default(),
                owner: None,
                errands: Rare::default(),
                notes: Notes::default(),
            }),
        })
    }

    /// A session that the store found, waiting for its client.
    pub(super) fn restored(
        key: SessionKey,
        parked: Box<Parked>,
        next_position: u64,
        owner: Option<Arc<Identity>>,
    ) -> Arc<Self> {
        let slot = Self::new(key, parked.client_id().clone(), true, owner);
        slot.reserve(parked.occupied());
        slot.next_position.store(next_position, Ordering::Relaxed);
        let mut inbox = slot.lock();
        slot.set_live(&inbox, false);
        inbox.place = Place::Parked(parked);
        drop(inbox);
        slot
    }

    pub fn owner(&self) -> Option<Arc<Identity>> {
        self.owner.load_full()
    }

    /// Notes whose the session is, as it is known now. True if that is news.
    pub(super) fn set_owner(&self, owner: &Arc<Identity>) -> bool {
        let before = self.owner.swap(Some(owner.clone()));
        before.as_ref() != Some(owner)
    }

    pub fn is_live(&self) -> bool {
        self.is_live.load(Ordering::Acquire)
    }

    /// Deliveries of QoS 1 and 2 not finished, and their bytes.
    pub fn backlog(&self) -> Released {
        Released {
            messages: self.backlog.messages.load(Ordering::Relaxed),
            bytes: self.backlog.bytes.load(Ordering::Relaxed),
            ..Released::default()
        }
    }

    pub fn reserve(&self, reserved: Released) {
        self.backlog.messages.fetch_add(reserved.messages, Ordering::Relaxed);
        self.backlog.bytes.fetch_add(reserved.bytes, Ordering::Relaxed);
        self.allowance.reserve(&reserved.by_rule);
    }

    pub fn give_back(&self, released: Released) {
        if released.messages > 0 {
            self.backlog.messages.fetch_sub(released.messages, Ordering::Relaxed);
            self.backlog.bytes.fetch_sub(released.bytes, Ordering::Relaxed);
            self.allowance.give_back(&released.by_rule);
        }
    }

    /// The next queue position; only the committer asks, in the order of commits.
    pub(super) fn take_position(&self) -> u64 {
        let position = self.next_position.load(Ordering::Relaxed);
        self.next_position.store(position + 1, Ordering::Relaxed);
        position
    }

    pub fn visit(&self) -> u32 {
        self.visit.load(Ordering::Relaxed)
    }

    /// Another connection has the session now.
    pub(super) fn begin_visit(&self, _proof: &MutexGuard<'_, Inbox>) {
        self.visit.fetch_add(1, Ordering::Relaxed);
    }

    pub fn moved(&self) -> CommitSeq {
        CommitSeq(self.moved.load(Ordering::Relaxed))
    }

    pub fn set_moved(&self, commit: Option<CommitSeq>) {
        self.moved.fetch_max(commit.unwrap_or_default().0, Ordering::Relaxed);
    }

    /// Hands over a page of the store's shelf, if the connection that asked for it is still there.
    pub fn loaded(&self, visit: u32, page: Page) {
        let mut inbox = self.inbox.lock();
        if self.visit() == visit && matches!(inbox.place, Place::Live) {
            inbox.errands.edit().page = Some(page);
            let owner = inbox.owner.take();
            drop(inbox);
            wake(owner);
        }
    }

    /// The same for a page of retained messages.
    pub(super) fn scanned(&self, visit: u32, page: ScanPage) {
        let mut inbox = self.inbox.lock();
        if self.visit() == visit && matches!(inbox.place, Place::Live) {
            inbox.errands.edit().scanned = Some(page);
            let owner = inbox.owner.take();
            drop(inbox);
            wake(owner);
        }
    }

    /// Makes the connection look at what it may do.
    pub fn nudge(&self) {
        let mut inbox = self.inbox.lock();
        self.is_nudged.store(true, Ordering::Relaxed);
        let owner = inbox.owner.take();
        drop(inbox);
        wake(owner);
    }

    /// Hands deliveries over: to the connection's mailbox, or to the parked session's queue. Returns changes of a
    /// parked session that the store has to learn.
    pub fn deliver(
        &self,
        deliveries: &mut Vec<Delivery>,
        limits: MailboxLimits,
        counters: &Counters,
        memory: &Memory,
    ) -> Vec<Change> {
        let mut inbox = self.inbox.lock();
        match &mut inbox.place {
            Place::Live => {
                lead::grow(deliveries.len());
                let was_empty = inbox.deliveries.is_empty();
                inbox.take_in(deliveries, limits, counters, memory);
                let owner = if was_empty { inbox.owner.take() } else { None };
                drop(inbox);
                wake(owner);
                Vec::new()
            }
            Place::Parked(parked) => {
                let mut turn = Turn::default();
                for delivery in deliveries.drain(..) {
                    parked.handle_delivery(delivery, &mut turn);
                }
                drop(inbox);
                self.give_back(turn.released);
                counters.dropped(&self.client_id, turn.dropped);
                counters.dropped_queue_full.add(turn.dropped_unseen);
                turn.changes
            }
            Place::Gone => {
                deliveries.clear();
                Vec::new()
            }
        }
    }

    /// Tells the connection that everything up to `upto` is durable.
    pub fn committed(&self, upto: CommitSeq) {
        let mut inbox = self.inbox.lock();
        inbox.committed = inbox.committed.max(upto);
        let owner = inbox.owner.take();
        drop(inbox);
        wake(owner);
    }

    /// Asks the connection to close; the first reason stands.
    pub fn ask_to_close(&self, close: Close) {
        self.lock().ask_to_close(close);
    }

    /// Waits for something the connection would collect. `known` is the commit it knows of already; without
    /// `takes_deliveries` deliveries stay where they are.
    pub fn poll_collect(&self, known: CommitSeq, takes_deliveries: bool, context: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.inbox.lock();
        let errands = inbox.errands.get();
        let has_deliveries = !inbox.deliveries.is_empty() || errands.is_some_and(Errands::have_deliveries);
        let is_urgent = errands.is_some_and(Errands::are_urgent) || inbox.committed > known;
        if (takes_deliveries && has_deliveries) || is_urgent || self.is_nudged.load(Ordering::Relaxed) {
            self.is_nudged.store(false, Ordering::Relaxed);
            return Poll::Ready(());
        }
        if !inbox.owner.as_ref().is_some_and(|owner| owner.will_wake(context.waker())) {
            inbox.owner = Some(context.waker().clone());
        }
        Poll::Pending
    }

    pub fn collect(&self, into: &mut Collected, takes_deliveries: bool, memory: &Memory) {
        let mut inbox = self.inbox.lock();
        if takes_deliveries {
            std::mem::swap(&mut inbox.deliveries, &mut into.deliveries);
            lead::shrink(into.deliveries.len());
            inbox.bytes = 0;
            memory.change(std::mem::take(&mut inbox.held_bytes), 0);
        }
        into.committed = inbox.committed;
        into.errands = inbox.take_errands(takes_deliveries);
    }

    /// Waits until the present connection has left the session.
    pub fn poll_vacated(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inbox = self.inbox.lock();
        match inbox.place {
            Place::Live => {
                inbox.errands.edit().waiting.push(context.waker().clone());
                Poll::Pending
            }
            Place::Parked(_) | Place::Gone => Poll::Ready(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock()
    }

    /// Marks the session live or not, while its inbox is locked.
    pub(super) fn set_live(&self, _proof: &MutexGuard<'_, Inbox>, is_live: bool) {
        self.is_leaving.store(false, Ordering::Relaxed);
        self.is_live.store(is_live, Ordering::Release);
    }
}

impl Inbox {
    /// The connection leaves; what came for it last is handed back, and whoever waits for it is woken.
    pub fn vacate(&mut self, place: Place) -> Vec<Waker> {
        self.place = place;
        self.owner = None;
        // Who asked asks again, and finds the session where it is now.
        self.errands.take_some().map(|errands| errands.waiting).unwrap_or_default()
    }

    /// What the connection has not collected: deliveries, and those behind them on the store's shelf.
    pub fn take_deliveries(&mut self, memory: &Memory) -> (Vec<Delivery>, Option<(u64, Released)>) {
        self.bytes = 0;
        memory.change(std::mem::take(&mut self.held_bytes), 0);
        (std::mem::take(&mut self.deliveries), self.errands.get_mut().and_then(|errands| errands.shelved.take()))
    }

    fn take_errands(&mut self, takes_deliveries: bool) -> Option<Box<Errands>> {
        let errands = self.errands.get_mut()?;
        if !takes_deliveries {
            return errands.are_urgent().then(|| Box::new(errands.take_urgent()));
        }
        let mut taken = self.errands.take_some()?;
        if !taken.waiting.is_empty() {
            self.errands.edit().waiting = std::mem::take(&mut taken.waiting);
        }
        Some(taken)
    }

    /// The session, while its client is absent.
    pub fn parked(&mut self) -> Option<&mut Parked> {
        match &mut self.place {
            Place::Parked(parked) => Some(parked),
            Place::Live | Place::Gone => None,
        }
    }

    /// Bytes of deliveries that the connection has not collected.
    pub fn waiting_bytes(&self) -> u64 {
        self.bytes
    }

    pub fn wake_owner(&mut self) {
        wake(self.owner.take());
    }

    pub fn ask_to_close(&mut self, close: Close) {
        if matches!(self.place, Place::Live) {
            // The first reason stands.
            self.errands.edit().close.get_or_insert(close);
            wake(self.owner.take());
        }
    }

    /// Whether none of the deliveries can be one too many, or has to stay on the shelf.
    fn takes_all(&self, deliveries: &[Delivery], limits: MailboxLimits) -> bool {
        let is_queued = |delivery: &Delivery| delivery.qos != QoS::AtMostOnce && delivery.position.is_none();
        let has_room = self.deliveries.len() + deliveries.len() <= limits.messages_max;
        deliveries.iter().all(is_queued) && has_room
    }

    fn take_in(&mut self, deliveries: &mut Vec<Delivery>, limits: MailboxLimits, counters: &Counters, memory: &Memory) {
        if self.takes_all(deliveries, limits) {
            self.bytes += deliveries.iter().map(Delivery::cost_bytes).sum::<u64>();
            self.deliveries.append(deliveries);
            return;
        }
        let may_hold = memory.has_room();
        let held_before = self.held_bytes;
        let mut refused = 0;
        for delivery in deliveries.drain(..) {
            // QoS 1 and 2 have their own limit, which was checked at routing.
            if delivery.qos == QoS::AtMostOnce
                && (self.deliveries.len() >= limits.messages_max || self.bytes >= limits.bytes_max)
            {
                refused += 1;
                continue;
            }
            let bytes = delivery.cost_bytes();
            if let Some(position) = delivery.position {
                let is_held = may_hold && self.held_bytes < HELD_BYTES_MAX;
                if !is_held || self.errands.get().is_some_and(|errands| errands.shelved.is_some()) {
                    let (end, cost) = self.errands.edit().shelved.get_or_insert_default();
                    *end = position.value() + 1;
                    cost.add(&delivery);
                    continue;
                }
                self.held_bytes += bytes;
            }
            self.bytes += bytes;
            self.deliveries.push(delivery);
        }
        memory.change(held_before, self.held_bytes);
        counters.dropped_mailbox_full.add(refused);
    }
}

pub(super) fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Subscriptions hold the slot itself, so that no registry is asked per message.
#[derive(Debug, Clone)]
pub struct SlotHandle(pub Arc<Slot>);

impl Subscriber for SlotHandle {
    fn key(&self) -> SessionKey {
        self.0.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Attachment;

    #[test]
    fn who_waits_for_a_session_goes_on_waiting_when_its_mailbox_is_emptied() {
        let client_id = ClientId::new(&crate::types::Text::from_static("c")).unwrap();
        let slot = Slot::new(SessionKey(1), client_id, false, None);
        let mut context = Context::from_waker(Waker::noop());
        assert!(slot.poll_vacated(&mut context).is_pending());
        let mut collected = Collected::default();
        slot.collect(&mut collected, false, &Memory::new(1));
        assert!(collected.errands.is_none(), "nothing is asked of the connection yet");
        slot.ask_to_close(Close::Shutdown);
        slot.ask_to_close(Close::Stalled);
        slot.collect(&mut collected, true, &Memory::new(1));
        let close = collected.errands.and_then(|errands| errands.close);
        assert_eq!(close, Some(Close::Shutdown), "the first reason stands");
        assert_eq!(slot.lock().vacate(Place::Gone).len(), 1);
        assert!(slot.poll_vacated(&mut context).is_ready());
    }

    /// There is one for each session, and most are idle.
    #[test]
    fn what_an_idle_session_takes_is_small() {
        assert!(size_of::<Slot>() <= 208, "{} bytes", size_of::<Slot>());
        // Of 448 bytes and more the allocator would take 512: it adds seven for alignment.
        assert!(size_of::<Attachment>() <= 440, "{} bytes", size_of::<Attachment>());
    }
}
