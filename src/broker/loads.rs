//! Pages of queues on their way from the store's shelf: asked for by connections, and for shared deliveries that move.
use super::retained::Found;
use super::scan::ScanPage;
use super::{Batch, Broker, QueueSettings, Slot};
use crate::session::{Delivery, Released, Shelved};
use crate::store::{Page, Queued, Shelf, StoreError};
use crate::types::{Position, QoS, SessionKey, TopicFilter};
use parking_lot::{Condvar, Mutex};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Deliveries and bytes of one page.
const PAGE_MESSAGES: usize = 1024;
const PAGE_BYTES: u64 = 1 << 20;
/// The same while memory is short.
const SMALL_PAGE_MESSAGES: usize = 64;
const SMALL_PAGE_BYTES: u64 = 64 << 10;

/// One page that is wanted. It goes through the committer, so that it is read after everything submitted before it.
#[derive(Debug)]
pub(super) struct Load {
    pub slot: Arc<Slot>,
    pub from: u64,
    /// The visit of the client that it belongs to; it is of no use to another.
    pub visit: u32,
    pub purpose: Purpose,
}

#[derive(Debug)]
pub(super) enum Purpose {
    /// To be sent by the session's connection.
    Connection,
    /// What is there by this shared subscription goes to members that are connected.
    Claim(TopicFilter),
    /// Retained messages for a subscription of the session.
    Retained(ScanPage),
    /// The session is over: what is there by any shared subscription goes to other members.
    Orphans { sent_below: u64 },
}

impl Load {
    pub fn for_connection(slot: &Arc<Slot>, from: u64) -> Self {
        Self { slot: slot.clone(), from, visit: slot.visit(), purpose: Purpose::Connection }
    }

    pub fn for_scan(slot: &Arc<Slot>, page: ScanPage) -> Self {
        Self { slot: slot.clone(), from: 0, visit: slot.visit(), purpose: Purpose::Retained(page) }
    }
}

/// Loads that may be served now.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// Users: the committer (to append), the loader (to take), whoever claims. Held for a push or a pop.
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Clients wait for these.
    pages: VecDeque<Load>,
    /// Shared deliveries that move. Each may be a whole queue, page after page.
    moves: VecDeque<Load>,
    /// Pages served since the last move.
    pages_in_a_row: u32,
    /// What is being claimed of whom, so that however many members come, a queue is read once at a time. True if it has
    /// to be read once more, as somebody came meanwhile.
    claims: HashMap<(SessionKey, TopicFilter), bool>,
    is_closed: bool,
}

/// Pages that clients wait for which go before a move that waits as well.
const PAGES_PER_MOVE: u32 = 4;

impl Waiting {
    fn push(&mut self, load: Load) {
        match load.purpose {
            Purpose::Connection | Purpose::Retained(_) => self.pages.push_back(load),
            Purpose::Claim(_) | Purpose::Orphans { .. } => self.moves.push_back(load),
        }
    }

    fn pop(&mut self) -> Option<Load> {
        if self.pages_in_a_row < PAGES_PER_MOVE
            && let Some(page) = self.pages.pop_front()
        {
            self.pages_in_a_row += 1;
            return Some(page);
        }
        self.pages_in_a_row = 0;
        self.moves.pop_front().or_else(|| self.pages.pop_front())
    }
}

impl Loads {
    pub fn add(&self, loads: impl IntoIterator<Item = Load>) {
        let mut waiting = self.waiting.lock();
        let mut any = false;
        for load in loads {
            waiting.push(load);
            any = true;
        }
        if any {
            self.ready.notify_one();
        }
    }

    /// Whether a claim has to begin. If one is under way, its queue is read again after it.
    pub fn begin_claim(&self, session: SessionKey, filter: &TopicFilter) -> bool {
        match self.waiting.lock().claims.entry((session, filter.clone())) {
            Entry::Occupied(mut under_way) => {
                under_way.insert(true);
                false
            }
            Entry::Vacant(place) => {
                place.insert(false);
                true
            }
        }
    }

    /// Ends a claim. Whether it has to be made once more.
    fn end_claim(&self, session: SessionKey, filter: &TopicFilter) -> bool {
        self.waiting.lock().claims.remove(&(session, filter.clone())).unwrap_or_default()
    }

    pub fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.ready.notify_all();
    }

    /// All that may be served now.
    fn take(&self) -> Vec<Load> {
        let mut waiting = self.waiting.lock();
        std::iter::from_fn(|| waiting.pop()).collect()
    }

    /// Waits for something to do; `None` once closed, whatever there is still.
    fn next(&self) -> Option<Load> {
        let mut waiting = self.waiting.lock();
        while !waiting.is_closed {
            if let Some(load) = waiting.pop() {
                return Some(load);
            }
            self.ready.wait(&mut waiting);
        }
        None
    }
}

impl Broker {
    /// Serves pages until [`Broker::close_loads`], on a thread that may wait for the disk.
    pub fn run_loads(&self, shelf: &dyn Shelf) -> Result<(), StoreError> {
        while let Some(load) = self.committer.loads.next() {
            self.serve(shelf, load)?;
        }
        Ok(())
    }

    pub fn close_loads(&self) {
        self.committer.loads.close();
    }

    /// Serves the pages that are wanted now. False if there were none.
    pub fn serve_loads(&self, shelf: &dyn Shelf) -> Result<bool, StoreError> {
        let loads = self.committer.loads.take();
        let any = !loads.is_empty();
        for load in loads {
            self.serve(shelf, load)?;
        }
        Ok(any)
    }

    fn serve(&self, shelf: &dyn Shelf, load: Load) -> Result<(), StoreError> {
        if load.slot.visit() != load.visit {
            self.end_claim(&load);
            return Ok(());
        }
        let (messages_max, bytes_max) = if self.committer.memory.has_room() {
            (PAGE_MESSAGES, PAGE_BYTES)
        } else {
            (SMALL_PAGE_MESSAGES, SMALL_PAGE_BYTES)
        };
        let read = |from| shelf.page(load.slot.key, from, messages_max, bytes_max);
        match &load.purpose {
            Purpose::Connection => load.slot.loaded(load.visit, read(load.from)?),
            // What an earlier page moved must be durable, or it would be moved twice.
            Purpose::Claim(_) if !self.committer.is_committed(load.slot.moved()) => {
                let mut batch = Batch::default();
                batch.load(load);
                self.committer.submit(batch, None);
            }
            // Whoever asked for it has left again; who comes next asks as well.
            Purpose::Claim(filter) if !self.has_live_member(filter, &load.slot) => self.end_claim(&load),
            Purpose::Claim(filter) => {
                let page = read(load.from)?;
                let next = page.next;
                if self.move_claimed(&load.slot, load.visit, filter, page) {
                    self.load_on(load, next);
                } else {
                    self.end_claim(&load);
                }
            }
            Purpose::Retained(page) => {
                let mut messages = Vec::with_capacity(page.messages.len());
                for found in &page.messages {
                    match found {
                        Found::Loaded(_) => messages.push(found.clone()),
                        // One that is gone was removed meanwhile.
                        Found::Shelved(topic) => messages.extend(shelf.retained(topic)?.map(Found::Loaded)),
                    }
                }
                load.slot.scanned(load.visit, ScanPage { messages, ..page.clone() });
            }
            Purpose::Orphans { sent_below } => {
                let page = read(load.from)?;
                let next = page.next;
                let is_last = page.deliveries.is_empty();
                self.in_house(|broker, house, batch| {
                    for delivery in
                        page.deliveries.into_iter().filter_map(|queued| shared_delivery(queued, &broker.queue))
                    {
                        // [MQTT-4.8.2-5]: what QoS 2 began ends with the session.
                        let position = delivery.position.map_or(0, Position::value);
                        if position >= *sent_below || delivery.qos == QoS::AtLeastOnce {
                            broker.pass_on(&load.slot, delivery, house, batch);
                        }
                    }
                });
                if is_last {
                    shelf.let_go(load.slot.key);
                } else {
                    self.load_on(load, next);
                }
            }
        }
        Ok(())
    }

    fn load_on(&self, load: Load, from: u64) {
        let mut batch = Batch::default();
        batch.load(Load { from, ..load });
        self.committer.submit(batch, None);
    }

    /// Notes that a claim has read all there was for it. Whoever came meanwhile may want what had been left behind.
    fn end_claim(&self, load: &Load) {
        if let Purpose::Claim(filter) = &load.purpose
            && self.committer.loads.end_claim(load.slot.key, filter)
        {
            self.claim_from(&load.slot, filter);
        }
    }

    /// Moves what an absent member of a shared subscription has on the shelf to members that are there. True if there may
    /// be more.
    fn move_claimed(&self, slot: &Arc<Slot>, visit: u32, filter: &TopicFilter, page: Page) -> bool {
        if page.deliveries.is_empty() {
            return false;
        }
        let mut is_still_away = true;
        let commit = self.in_house(|broker, house, batch| {
            // Held while deliveries move, so that the client cannot come back and be sent them as well.
            let mut inbox = slot.lock();
            let Some(parked) = inbox.parked().filter(|_| slot.visit() == visit) else {
                is_still_away = false;
                return;
            };
            let mut turn = crate::session::Turn::default();
            for queued in page.deliveries {
                let Some(delivery) = shared_delivery(queued, &broker.queue) else { continue };
                let position = delivery.position.map_or(0, Position::value);
                // QoS 2 stays with the receiver that began it [MQTT-4.8.2-4].
                let may_move = position >= parked.sent_below() || delivery.qos == QoS::AtLeastOnce;
                let is_claimed = delivery.share.as_deref() == Some(filter) && may_move;
                let cost = Released::of(&delivery);
                if is_claimed && house.redistribute(broker, delivery, slot.key, batch).is_none() {
                    parked.finish_shelved(position, &cost, &mut turn);
                }
            }
            drop(inbox);
            slot.give_back(std::mem::take(&mut turn.released));
            turn.changes.into_iter().for_each(|change| batch.change(slot.key, change));
        });
        slot.set_moved(commit);
        is_still_away
    }
}

fn shared_delivery(queued: Queued, rules: &QueueSettings) -> Option<Delivery> {
    match shelved(queued, rules) {
        Shelved::Delivery(delivery) => Some(delivery).filter(|delivery| delivery.share.is_some()),
        Shelved::Received { .. } => None,
    }
}

/// What the store read back, as the session takes it.
pub(super) fn shelved(queued: Queued, rules: &QueueSettings) -> Shelved {
    match queued {
        Queued::Received { position } => Shelved::Received { position },
        Queued::Message { message, target } => Shelved::Delivery(Delivery {
            rule: rules.rule_for(&message.topic),
            cost_bytes: Delivery::cost_of(&message),
            message,
            qos: target.qos,
            retain: target.retain,
            subscription_ids: target.subscription_ids,
            position: Some(Position::new(target.position)),
            share: target.share,
            give_up_at: target.give_up_at,
        }),
    }
}
