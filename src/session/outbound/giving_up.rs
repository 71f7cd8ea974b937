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
        while is_over(self)
            && let Some(shelf) = self.shelf.get().filter(|shelf| shelf.held.messages > 0)
        {
            let position = self.first_unsent_on_shelf();
            if position >= shelf.end {
                return;
            }
            // On the shelf every one counts for the same; the sum is right again when the shelf is empty.
            let bytes = shelf.held.bytes / shelf.held.messages;
            self.forget_shelved(&Released { messages: 1, bytes, ..Released::default() });
            self.shelf.edit().given_up_below = position + 1;
            self.given_up.edit().dropped_unseen += 1;
            finished(position);
        }
    }

    pub(super) fn give_up(&mut self, position: u64, reason: DropReason) {
        if let Entry::Waiting(delivery) | Entry::Sent(delivery) = self.replace(position, Entry::Done) {
            self.given_up.edit().dropped.push(Dropped::new(reason, &delivery));
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
                self.given_up.edit().orphans.push(Delivery { position: None, ..delivery });
            } else {
                self.given_up.edit().dropped.push(Dropped::new(DropReason::Forbidden, &delivery));
            }
        }
        self.trim();
        change
    }
}

pub(super) fn is_forbidden(clearance: Option<&Clearance>, delivery: &Delivery) -> bool {
    clearance.is_some_and(|clearance| !clearance.has(&delivery.message.topic))
}
