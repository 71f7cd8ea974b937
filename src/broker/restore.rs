//! The start: sessions, subscriptions and retained messages as the store found them, before any listener opens.
use super::loads::shelved;
use super::{Batch, Broker, Slot, SlotHandle};
use crate::routing::Subscription;
use crate::session::{Parked, Released, Saved, Shelved, Subscribed};
use crate::store::{Presence, QueueImage, Record, SessionImage, Shelf, StoreError};
use crate::types::{Message, Now, SessionKey};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Broker {
    /// Puts every session back. A connection that was open counts as broken now: its will is due by its delay, its session
    /// expires from now on.
    pub fn restore(
        &self,
        sessions: BTreeMap<SessionKey, SessionImage>,
        last_session: u64,
        shelf: &dyn Shelf,
        now: Now,
    ) -> Result<(), StoreError> {
        self.next_session.fetch_max(last_session + 1, Ordering::Relaxed);
        for (key, session) in sessions {
            let occupied = self.occupied(key, &session.queue, shelf)?;
            self.restore_session(key, session, occupied, now);
        }
        Ok(())
    }

    /// What a queue takes. Where there are rules for some topics it has to be read for that.
    fn occupied(&self, key: SessionKey, queue: &QueueImage, shelf: &dyn Shelf) -> Result<Released, StoreError> {
        const AT_ONCE: usize = 512;
        let mut occupied = Released::default();
        if self.queue.rules.is_empty() {
            (occupied.messages, occupied.bytes) = (queue.messages, queue.bytes);
            return Ok(occupied);
        }
        let mut from = queue.head;
        while from < queue.next_position {
            let page = shelf.page(key, from, AT_ONCE, u64::MAX)?;
            from = page.next;
            for queued in page.deliveries {
                if let Shelved::Delivery(delivery) = shelved(queued, &self.queue) {
                    occupied.add(&delivery);
                }
            }
        }
        Ok(occupied)
    }

    /// Puts a retained message back. More than the limits allow may have been kept under higher ones; then the newest
    /// are refused, and counted.
    pub fn restore_retained(&self, message: &Arc<Message>) {
        self.retained.restore(message, &self.counters);
    }

    fn restore_session(&self, key: SessionKey, image: SessionImage, occupied: Released, now: Now) {
        let next_position = image.queue.next_position;
        let was_attached = image.presence == Presence::Attached;
        let sent_below = match image.presence {
            Presence::Parked { sent_below, .. } => sent_below,
            // How far a connection had come when a crash cut it off is not known: whatever was durable may have been
            // sent, for acknowledgements move the window before they are durable themselves.
            Presence::Attached => next_position,
        };
        let owner = image.owner.clone();
        let parked = Box::new(Parked::restore(saved(image, sent_below, occupied, now), self.limits.load_full()));
        let slot = Slot::restored(key, parked, next_position, owner);
        let (next, record) = {
            let inbox = slot.lock();
            let super::slot::Place::Parked(parked) = &inbox.place else { return };
            self.change_tree(|tree| {
                for (filter, Subscribed { options, id }) in parked.subscriptions() {
                    let (options, id) = (*options, *id);
                    tree.subscribe(filter, Subscription { subscriber: SlotHandle(slot.clone()), options, id });
                }
            });
            let (expires_at, will_at, sent_below) = (parked.expires_at(), parked.will_at(), parked.sent_below());
            let record = Record::SessionParked { session: key, expires_at, will_at, sent_below };
            (parked.next_timeout(), record)
        };
        self.registry.insert(slot.client_id.clone(), slot.clone());
        self.durable.insert(key, slot.clone());
        self.timers.set(&slot, next);
        // The rules may have changed since.
        self.review_parked(&slot);
        if was_attached {
            let mut batch = Batch::default();
            batch.record(record);
            self.committer.submit(batch, None);
        }
    }
}

fn saved(image: SessionImage, sent_below: u64, occupied: Released, now: Now) -> Saved {
    let never = image.expiry_s == u32::MAX;
    let (expires_at, will_at) = match image.presence {
        Presence::Parked { expires_at, will_at, .. } => (expires_at, will_at),
        Presence::Attached => {
            let expires_at = (!never).then(|| now.plus_seconds(image.expiry_s));
            (expires_at, image.will.as_ref().map(|will| now.plus_seconds(will.delay_s)))
        }
    };
    let subscriptions = image.subscriptions.into_iter().map(|(filter, (options, id))| {
        let id = id.and_then(NonZeroU32::new);
        (filter, Subscribed { options, id })
    });
    Saved {
        client_id: image.client_id,
        expiry_s: image.expiry_s,
        expires_at,
        will: image.will.map(|will| *will),
        will_at,
        subscriptions: subscriptions.collect(),
        scans: image.scans,
        inbound: image.inbound.into_iter().collect(),
        head: image.queue.head,
        sent_below,
        next_position: image.queue.next_position,
        occupied,
    }
}
