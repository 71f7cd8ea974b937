//! Deliveries that are not sent: there is no room for them, their time is over, or the client may not have them.
use super::{Entry, Outbound};
use crate::session::{Change, Clearance, Delivery, DropReason, Dropped, Released};
use crate::types::QoS;

impl Outbound {
    /// Gives the oldest unsent deliveries up until the rest fits; their positions go to `finished`.
    pub fn make_room(&mut self, messages_max: u64, bytes_max: u64, mut finished: impl FnMut(u64)) {
        let mut next = self.cursor;
        let is_over = |line: &Self| line.occupied.messages > messages_max || line.occupied.bytes > bytes_max;
        while is_over(self)
            && let Some(position) = self.entry_from(next)
        {
            next = position + 1;
            if matches!(self.entry(position), Some(Entry::Waiting(_))) {
                self.give_up(position, DropReason::QueueFull);
                finished(position);
            }
        }
        while is_over(self) && self.shelved.messages > 0 {
            let position = self.loaded_end.max(self.sent_below).max(self.given_up_below);
            if position >= self.shelved_end {
                return;
            }
            // On the shelf every one counts for the same; the sum is right again when the shelf is empty.
            let bytes = self.shelved.bytes / self.shelved.messages;
            self.forget_shelved(&Released { messages: 1, bytes, ..Released::default() });
            self.given_up_below = position + 1;
            self.dropped_unseen += 1;
            finished(position);
        }
    }

    pub(super) fn give_up(&mut self, position: u64, reason: DropReason) {
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = self.replace(position, Entry::Done) {
            self.dropped.push(Dropped::new(reason, &delivery));
        }
        self.trim();
    }

    /// Takes a delivery back that the client may not have, or may have no second time. What QoS 2 began is ended by
    /// PUBREL, so that the identifier is free at both ends.
    pub(super) fn withdraw(&mut self, position: u64) -> Change {
        let is_begun = matches!(self.entry(position), Some(Entry::Sent(delivery)) if delivery.qos == QoS::ExactlyOnce);
        let (rest, change) = if is_begun {
            (Entry::Received, Change::Received { position })
        } else {
            (Entry::Done, Change::Done { position })
        };
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = self.replace(position, rest) {
            if delivery.share.is_some() && !is_begun {
                self.orphans.push(Delivery { position: None, ..delivery });
            } else {
                self.dropped.push(Dropped::new(DropReason::Forbidden, &delivery));
            }
        }
        self.trim();
        change
    }

    pub fn take_dropped_unseen(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_unseen)
    }

    pub fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    pub fn take_orphans(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.orphans)
    }
}

pub(super) fn is_forbidden(clearance: Option<&Clearance>, delivery: &Delivery) -> bool {
    clearance.is_some_and(|clearance| !clearance.has(&delivery.message.topic))
}
