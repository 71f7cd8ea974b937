//! The part of a line that is not in memory: on the store's shelf, loaded page by page.
use super::{Entry, Outbound, Shelved};
use crate::session::{Delivery, DropReason, Dropped, Released};
use crate::types::Position;
use std::collections::VecDeque;

/// Loaded deliveries still to be sent, below which more are taken from the shelf: a wide window must not wait for pages.
const LOAD_BELOW: u64 = 1024;
/// Bytes of loaded deliveries above which no more are taken from it while there is anything to send.
const LOAD_BYTES: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// Part of what the line occupies.
    pub held: Released,
    /// The position after the last.
    pub end: u64,
    /// Positions below this that were never sent have been given up.
    pub given_up_below: u64,
    /// A page has been asked for.
    pub is_loading: bool,
}

impl Outbound {
    /// A line that a store keeps, as it found it: everything is on its shelf.
    pub fn shelved(head: u64, end: u64, sent_below: u64, occupied: Released) -> Self {
        let mut line =
            Self { base: head, loaded_end: head, cursor: head, sent_below, has_shelf: true, ..Self::default() };
        if end > head || occupied.messages > 0 {
            *line.shelf.edit() = Shelf { held: occupied.clone(), end, ..Shelf::default() };
        }
        line.occupied = occupied;
        line
    }

    /// Whether a part of the line is on the shelf.
    pub(super) fn is_shelved(&self) -> bool {
        self.shelf_end() > self.loaded_end
    }

    /// The position after the last that is on the shelf; not above the end of the entries if none is.
    pub(super) fn shelf_end(&self) -> u64 {
        self.shelf.get().map_or(0, |shelf| shelf.end)
    }

    /// The first position that can be given up on the shelf: those before may have been sent, or have been given up.
    pub(super) fn first_unsent_on_shelf(&self) -> u64 {
        let given_up_below = self.shelf.get().map_or(0, |shelf| shelf.given_up_below);
        self.loaded_end.max(self.sent_below).max(given_up_below)
    }

    /// Everything goes back to the shelf.
    pub(super) fn shelve_all(&mut self) {
        let end = self.end();
        if end > self.base || self.shelf.get().is_some() {
            let shelf = self.shelf.edit();
            (shelf.end, shelf.is_loading) = (end, false);
            shelf.held.clone_from(&self.occupied);
        }
        self.entries = VecDeque::new();
        self.loaded_end = self.base;
    }

    pub fn has_shelf(&self) -> bool {
        self.has_shelf
    }

    /// Bytes of the deliveries in memory.
    pub fn loaded_bytes(&self) -> u64 {
        self.occupied.bytes - self.shelf.get().map_or(0, |shelf| shelf.held.bytes)
    }

    /// From where a page should be loaded: there is more on the shelf, and little left to send before it. Until it comes
    /// no other is asked for.
    pub fn ask_for_page(&mut self) -> Option<u64> {
        let unsent = self.loaded_end - self.cursor;
        let is_enough = unsent > LOAD_BELOW || (unsent > 0 && self.loaded_bytes() > LOAD_BYTES);
        if is_enough || !self.is_shelved() {
            return None;
        }
        let was_loading = std::mem::replace(&mut self.shelf.edit().is_loading, true);
        (!was_loading).then_some(self.loaded_end)
    }

    /// Takes a page of the shelf: every unfinished delivery from `from` to `next`.
    pub fn load(&mut self, from: u64, next: u64, deliveries: impl IntoIterator<Item = Shelved>) {
        let Some(shelf) = self.shelf.get_mut() else { return };
        if !std::mem::take(&mut shelf.is_loading) || from != self.loaded_end {
            return;
        }
        let end = shelf.end;
        for shelved in deliveries {
            match shelved {
                Shelved::Delivery(delivery) => self.load_one(delivery),
                // What is beyond the end is on its way here as well.
                Shelved::Received { position } if position < self.loaded_end || position >= end => {}
                Shelved::Received { position } => {
                    self.append(position, Entry::Received);
                }
            }
        }
        self.pad(next.min(end));
        if !self.is_shelved() {
            // What was counted and is not there was finished while nobody looked: it expired, or moved on.
            let rest = std::mem::take(&mut self.shelf.edit().held);
            self.occupied.subtract(&rest);
            self.released.merge(&rest);
        }
        self.trim();
    }

    fn load_one(&mut self, mut delivery: Delivery) {
        let position = delivery.position.map_or(self.loaded_end, Position::value);
        let shelf = self.shelf.edit();
        let is_given_up = position >= self.sent_below && position < shelf.given_up_below;
        if position < self.loaded_end || position >= shelf.end || is_given_up {
            return;
        }
        if shelf.held.by_rule.of(delivery.rule).messages == 0 {
            // It was queued before a restart, or under other rules: none has counted it.
            delivery.rule = 0;
        }
        let cost = Released::of(&delivery);
        let counted = shelf.held.part(&cost);
        shelf.held.subtract(&counted);
        self.occupied.subtract(&counted);
        self.occupied.merge(&cost);
        // [MQTT-3.3.1-1]: what may have been sent on an earlier connection goes with DUP.
        let was_sent = position < self.sent_below;
        self.append(position, if was_sent { Entry::Sent(delivery) } else { Entry::Waiting(delivery) });
    }

    /// Counts deliveries that went to the shelf without coming by, the last at `end` - 1.
    pub fn shelve(&mut self, end: u64, added: &Released) {
        if end <= self.end() {
            return;
        }
        let shelf = self.shelf.edit();
        shelf.end = end;
        shelf.held.merge(added);
        self.occupied.merge(added);
    }

    /// A shelved delivery was finished without having been loaded: it moved to another receiver.
    pub fn finish_shelved(&mut self, cost: &Released) {
        let counted = self.shelf.edit().held.part(cost);
        self.forget_shelved(&counted);
    }

    pub fn first_shelved(&self) -> Option<u64> {
        self.is_shelved().then_some(self.loaded_end)
    }

    /// A shelved delivery has waited for too long. False if it may have been sent, or is none of ours.
    pub fn give_up_shelved(&mut self, position: u64, reason: DropReason, delivery: &Delivery) -> bool {
        let is_held = self.shelf.get().is_some_and(|shelf| position < shelf.end && shelf.held.messages > 0);
        if position < self.first_unsent_on_shelf() || !is_held {
            return false;
        }
        self.finish_shelved(&Released::of(delivery));
        self.given_up.edit().dropped.push(Dropped::new(reason, delivery));
        true
    }

    pub(super) fn forget_shelved(&mut self, counted: &Released) {
        self.shelf.edit().held.subtract(counted);
        self.occupied.subtract(counted);
        self.released.merge(counted);
    }
}
