//! New rules at work on sessions: connected ones look for themselves, those of absent clients are looked at here.
use super::{AccessError, AccessFile};
use crate::access::Rules;
use crate::broker::{Batch, Broker, Slot};
use crate::session::{Delivery, DropReason, Dropped};
use crate::store::Record;
use crate::types::TopicFilter;
use std::path::PathBuf;
use std::sync::Arc;

impl Broker {
    /// Puts the rules of a file in force. Until then there are none.
    pub fn open_access(&self, file: AccessFile) -> Result<(), AccessError> {
        let rules = file.read()?;
        tracing::info!(file = %file.path().display(), rules = rules.len(), "access rules are in force");
        self.access.set(Some(file), rules);
        self.review_sessions();
        Ok(())
    }

    /// Puts rules in force that come from no file.
    pub fn set_rules(&self, rules: Rules) {
        self.access.set(None, rules);
        self.review_sessions();
    }

    /// The files that the access rules come from.
    pub fn access_files(&self) -> Vec<PathBuf> {
        self.access.source().map(|file| file.path().to_owned()).into_iter().collect()
    }

    /// Reads the access rules again. True if they have changed; after an error the old ones stay in force.
    pub fn reload_access(&self) -> Result<bool, String> {
        let Some(file) = self.access.source() else { return Ok(false) };
        let rules = file.read().map_err(|error| error.to_string())?;
        if *self.access.inner.read().rules == rules {
            return Ok(false);
        }
        self.access.set(Some(file), rules);
        self.review_sessions();
        Ok(true)
    }

    fn review_sessions(&self) {
        // Nothing may wait for the registry while a session is looked at.
        let slots: Vec<_> = self.registry.iter().map(|entry| entry.value().clone()).collect();
        for slot in slots {
            slot.nudge();
            self.review_parked(&slot);
        }
    }

    /// Ends subscriptions of an absent client that it may not have any more.
    pub(in crate::broker) fn review_parked(&self, slot: &Arc<Slot>) {
        let rights = self.rights_of(slot);
        if rights.is_open() {
            return;
        }
        // Held until the store knows, so that the client cannot come back and subscribe in between.
        let mut inbox = slot.lock();
        let Some(parked) = inbox.parked() else { return };
        let held = parked.subscriptions().map(|(filter, _)| filter);
        let revoked: Vec<_> = held.filter(|filter| !rights.subscribe(filter).is_allowed).cloned().collect();
        let mut batch = Batch::default();
        for filter in &revoked {
            if parked.is_scanned(filter) {
                batch.record_lazily(Record::ScanOver { session: slot.key, filter: filter.clone() });
            }
            batch.record_lazily(Record::Unsubscribed { session: slot.key, filter: filter.clone() });
            parked.revoke_subscription(filter);
            self.note_revoked(slot, filter);
        }
        if !revoked.is_empty() {
            self.change_tree(|tree| {
                for filter in &revoked {
                    tree.unsubscribe(filter, slot.key);
                }
            });
        }
        if slot.is_durable {
            self.committer.submit(batch, None);
        }
        drop(inbox);
        for filter in revoked.iter().filter(|filter| filter.is_shared() && self.has_live_member(filter, slot)) {
            self.claim_from(slot, filter);
        }
    }

    pub(in crate::broker) fn note_revoked(&self, slot: &Slot, filter: &TopicFilter) {
        self.counters.subscriptions_revoked.add(1);
        let (client_id, filter) = (slot.client_id.as_str(), filter.as_str());
        tracing::info!(client_id, filter, "a subscription was ended, as the access rules deny it now");
    }

    /// Gives what a session has by shared subscriptions, and may not read any more, to other members.
    pub(in crate::broker) fn pass_on_forbidden(&self, slot: &Slot, deliveries: Vec<Delivery>) {
        self.in_house(|broker, house, batch| {
            for delivery in deliveries {
                if let Some(left) = house.redistribute(broker, delivery, slot.key, batch) {
                    broker.counters.dropped(&slot.client_id, vec![Dropped::new(DropReason::Forbidden, &left)]);
                }
            }
        });
    }
}
