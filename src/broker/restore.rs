//! The start: sessions, subscriptions and retained messages as the store found them, before any listener opens.
use super::{Batch, Broker, QueueSettings, Slot, SlotHandle};
use crate::routing::Subscription;
use crate::session::{Delivery, Parked, Saved, SavedDelivery, Subscribed};
use crate::store::{Image, Presence, Queued, Record, SessionImage};
use crate::types::{Now, SessionKey};
use std::sync::atomic::Ordering;

impl Broker {
    /// Puts everything back. A connection that was open counts as broken now: its will is due by its delay, its session
    /// expires from now on.
    pub fn restore(&self, image: Image, now: Now) {
        self.next_session.fetch_max(image.last_session + 1, Ordering::Relaxed);
        for message in image.retained.into_values() {
            // More than the limits allow may have been kept under higher ones; then the newest are refused, and counted.
            self.retained.put(&message, &self.counters);
        }
        for (key, session) in image.sessions {
            self.restore_session(key, session, now);
        }
    }

    fn restore_session(&self, key: SessionKey, image: SessionImage, now: Now) {
        let next_position = image.next_position;
        let was_attached = image.presence == Presence::Attached;
        let parked =
            Box::new(Parked::restore(saved(image, self.limits.in_flight_max, &self.queue, now), self.limits.clone()));
        let slot = Slot::restored(key, parked, next_position);
        let (filters, next, record) = {
            let inbox = slot.lock();
            let super::slot::Place::Parked(parked) = &inbox.place else { return };
            let filters: Vec<_> =
                parked.subscriptions().map(|(filter, found)| (filter.clone(), found.clone())).collect();
            let (expires_at, will_at, sent_below) = (parked.expires_at(), parked.will_at(), parked.sent_below());
            let record = Record::SessionParked { session: key, expires_at, will_at, sent_below };
            (filters, parked.next_timeout(), record)
        };
        self.change_tree(|tree| {
            for (filter, Subscribed { options, id }) in filters {
                tree.subscribe(&filter, Subscription { subscriber: SlotHandle(slot.clone()), options, id });
            }
        });
        self.registry.insert(slot.client_id.clone(), slot.clone());
        self.timers.set(&slot, next);
        if was_attached {
            let mut batch = Batch::default();
            batch.record(record);
            self.committer.submit(batch, None);
        }
    }
}

fn saved(image: SessionImage, in_flight_max: u16, rules: &QueueSettings, now: Now) -> Saved {
    let never = image.expiry_s == u32::MAX;
    let (expires_at, will_at, sent_below) = match image.presence {
        Presence::Parked { expires_at, will_at, sent_below } => (expires_at, will_at, Some(sent_below)),
        Presence::Attached => {
            let expires_at = (!never).then(|| now.plus_seconds(image.expiry_s));
            (expires_at, image.will.as_ref().map(|will| now.plus_seconds(will.delay_s)), None)
        }
    };
    let mut may_be_in_flight = usize::from(in_flight_max);
    let queue = image.queue.into_iter().map(|(position, queued)| {
        // What a crash cut off may have been sent as far as the window went.
        let was_sent = sent_below.map_or(may_be_in_flight > 0, |below| position < below);
        may_be_in_flight = may_be_in_flight.saturating_sub(1);
        match queued {
            Queued::Received => SavedDelivery::Received { position },
            Queued::Message { message, target } => SavedDelivery::Queued {
                was_sent,
                delivery: Delivery {
                    rule: rules.rule_for(&message.topic),
                    message,
                    qos: target.qos,
                    retain: target.retain,
                    subscription_ids: target.subscription_ids,
                    position: Some(position),
                    share: target.share,
                    give_up_at: target.give_up_at,
                },
            },
        }
    });
    let queue = queue.collect();
    let subscriptions =
        image.subscriptions.into_iter().map(|(filter, (options, id))| (filter, Subscribed { options, id }));
    Saved {
        client_id: image.client_id,
        expiry_s: image.expiry_s,
        expires_at,
        will: image.will.map(|will| *will),
        will_at,
        subscriptions: subscriptions.collect(),
        inbound: image.inbound.into_iter().collect(),
        queue,
        next_position: image.next_position,
    }
}
