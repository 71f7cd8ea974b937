//! Looking at sessions from outside: who is connected, what a session has in hand, what all of them hold together.
//!
//! A connection owns its session, so that it is asked through its mailbox and answers between two turns; a parked session
//! is looked at where it is.
use super::loads::shelved;
use super::slot::Place;
use super::traffic::ByQoS;
use super::{Broker, Slot, Standing};
use crate::packet::Version;
use crate::session::{Look, Span, UnderWay};
use crate::store::StoreError;
use crate::types::{ClientId, Identity, Now};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// Questions to one connection at once.
const INSPECTIONS_MAX: usize = 16;
/// Bytes of one page that is read from the shelf to be looked at.
const PAGE_BYTES: u64 = 4 << 20;

/// The last connection of a session.
#[derive(Debug, Clone)]
pub struct Visit {
    pub connected_at: Now,
    pub version: Version,
    pub clean_start: bool,
    pub keep_alive_s: u16,
    pub identity: Arc<Identity>,
    /// The listener it came through.
    pub listener: Option<Arc<str>>,
    /// The port at its address, if it has one.
    pub port: Option<NonZeroU16>,
    /// `None` where what it was let in by cannot be taken back.
    pub standing: Option<Box<Standing>>,
}

impl Visit {
    pub fn address(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.identity.address?, self.port?.get()))
    }
}

/// A session and its connection at one moment.
#[derive(Debug)]
pub struct Inspection {
    pub look: Look,
    /// What only a connected session has.
    pub connection: Option<Live>,
    /// When a session without a connection ends; `None` is never.
    pub expires_at: Option<Now>,
    pub will_at: Option<Now>,
}

/// The connection's side of it.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// Deliveries that may be in flight at once.
    pub window: u16,
    /// PUBLISHes on this connection, by QoS.
    pub received: ByQoS,
    pub sent: ByQoS,
    /// Packets that wait until there is room on disk.
    pub stalled: usize,
}

/// A question to a connection.
#[derive(Debug)]
pub(super) struct Inspect {
    pub span: Span,
    pub answer: oneshot::Sender<Box<Inspection>>,
}

/// The answer, or where it will come from.
#[derive(Debug)]
pub enum Inspecting {
    Now(Box<Inspection>),
    /// The connection will say; if it ends before it does, ask again.
    Later(oneshot::Receiver<Box<Inspection>>),
    /// Too many are asking already.
    Busy,
    /// The session is over.
    Gone,
}

/// All sessions together.
#[derive(Debug, Default, Clone)]
pub struct Census {
    pub sessions: u64,
    /// Sessions that outlive their connections.
    pub durable: u64,
    pub connected: u64,
    pub connected_v5: u64,
    pub by_listener: BTreeMap<Arc<str>, u64>,
    /// Deliveries of QoS 1 and 2 not finished, and their bytes.
    pub queued_messages: u64,
    pub queued_bytes: u64,
    /// The longest of the queues.
    pub longest_queue: u64,
    /// Exchanges of QoS 1 and 2 under way.
    pub under_way: UnderWay,
}

/// What an operator may know of a slot; users: the connection (to write), operators (to read).
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub visit: Option<Arc<Visit>>,
    /// When the last connection ended.
    pub left_at: Option<Now>,
}

/// Counts of exchanges under way, which the connection sets and others read: 16 bits for each, as no more of a kind can
/// have identifiers of their own.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub fn set(&self, under_way: UnderWay) {
        let UnderWay { puback, pubrec, pubcomp, pubrel } = under_way;
        let part = |count: u64| count.min(u64::from(u16::MAX));
        let packed = part(puback) | part(pubrec) << 16 | part(pubcomp) << 32 | part(pubrel) << 48;
        self.0.store(packed, Ordering::Relaxed);
    }

    pub fn value(&self) -> UnderWay {
        let packed = self.0.load(Ordering::Relaxed);
        let part = |place: u32| (packed >> (16 * place)) & u64::from(u16::MAX);
        UnderWay { puback: part(0), pubrec: part(1), pubcomp: part(2), pubrel: part(3) }
    }
}

impl Slot {
    /// The last connection, and when it ended, if it has.
    pub fn visit_notes(&self) -> (Option<Arc<Visit>>, Option<Now>) {
        let inbox = self.lock();
        (inbox.notes.visit.clone(), inbox.notes.left_at)
    }

    /// Exchanges of QoS 1 and 2 under way on its connection.
    pub fn in_doubt(&self) -> u64 {
        self.in_doubt.value().total()
    }

    pub fn inspect(&self, span: Span) -> Inspecting {
        let mut inbox = self.lock();
        match &inbox.place {
            Place::Parked(parked) => {
                let (expires_at, will_at) = (parked.expires_at(), parked.will_at());
                Inspecting::Now(Box::new(Inspection { look: parked.look(span), connection: None, expires_at, will_at }))
            }
            Place::Live => {
                let inspections = &mut inbox.errands.edit().inspections;
                if inspections.len() >= INSPECTIONS_MAX {
                    return Inspecting::Busy;
                }
                let (answer, answered) = oneshot::channel();
                inspections.push(Inspect { span, answer });
                inbox.wake_owner();
                Inspecting::Later(answered)
            }
            Place::Gone => Inspecting::Gone,
        }
    }
}

/// In which order sessions are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    ClientId,
    /// The longest queues first.
    Backlog,
}

/// The place of a session in a list.
pub type ListKey = (std::cmp::Reverse<u64>, ClientId);

impl Order {
    fn key(self, slot: &Slot) -> ListKey {
        let first = match self {
            Self::ClientId => 0,
            Self::Backlog => slot.backlog().messages,
        };
        (std::cmp::Reverse(first), slot.client_id.clone())
    }
}

impl Broker {
    pub fn slot(&self, client_id: &ClientId) -> Option<Arc<Slot>> {
        self.registry.get(client_id).map(|found| found.value().clone())
    }

    /// The first sessions behind `after` that are wanted, in order, at most `at_most`; with their places.
    pub fn list(
        &self,
        order: Order,
        after: Option<&ListKey>,
        at_most: usize,
        wanted: impl Fn(&Slot) -> bool,
    ) -> Vec<(ListKey, Arc<Slot>)> {
        let mut first: BTreeMap<ListKey, Arc<Slot>> = BTreeMap::new();
        for entry in &self.registry {
            let slot = entry.value();
            let key = order.key(slot);
            let is_behind = after.is_none_or(|after| key > *after);
            let has_place = first.len() < at_most || first.last_key_value().is_some_and(|(last, _)| key < *last);
            if is_behind && has_place && wanted(slot) {
                first.insert(key, slot.clone());
                if first.len() > at_most {
                    first.pop_last();
                }
            }
        }
        first.into_iter().collect()
    }

    /// Counts all sessions; looks at each of them.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for entry in &self.registry {
            let slot = entry.value();
            let backlog = slot.backlog();
            census.sessions += 1;
            census.durable += u64::from(slot.is_durable);
            census.queued_messages += backlog.messages;
            census.queued_bytes += backlog.bytes;
            census.longest_queue = census.longest_queue.max(backlog.messages);
            if !slot.is_live() {
                continue;
            }
            census.connected += 1;
            census.under_way.add(slot.in_doubt.value());
            let Some(visit) = slot.visit_notes().0 else { continue };
            census.connected_v5 += u64::from(visit.version.is_v5());
            if let Some(listener) = &visit.listener {
                *census.by_listener.entry(listener.clone()).or_default() += 1;
            }
        }
        census
    }

    /// Reads the part of the queue that a look found to be on the store's shelf; it waits for the disk.
    pub fn look_on_shelf(&self, slot: &Slot, look: &mut Look, at_most: usize) -> Result<(), StoreError> {
        let Some(shelf) = self.shelf.get() else { return Ok(()) };
        while let Some(from) = look.next {
            let room = at_most.saturating_sub(look.deliveries.len());
            if room == 0 {
                break;
            }
            let page = shelf.page(slot.key, from, room, PAGE_BYTES)?;
            let is_over = page.next <= from;
            let next = if is_over { look.end } else { page.next };
            look.add_shelved(page.deliveries.into_iter().map(|queued| shelved(queued, &self.queue)), next);
        }
        Ok(())
    }
}
