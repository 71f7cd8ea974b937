//! Retained messages on their way to new subscriptions of a connection.
use super::Attachment;
use crate::broker::committer::{Batch, Receivers};
use crate::broker::loads::Load;
use crate::broker::scan::ScanPage;
use crate::session::Released;
use crate::store::Record;
use crate::types::{Now, QoS, TopicFilter, TopicName};

/// Deliveries in a session's queue above which retained messages wait.
const SCAN_QUEUE_MAX: u64 = 512;

impl Attachment {
    /// Lets the retained messages of new subscriptions follow, a page at a time, as the client takes them. False if
    /// there was nothing to add.
    pub fn advance_scans(&mut self, now: Now) -> bool {
        let Some(pending) = self.pending.get_mut().filter(|pending| pending.scans.are_ready()) else { return false };
        if !self.is_ready || self.slot.backlog().messages > SCAN_QUEUE_MAX {
            return false;
        }
        let Some(page) = pending.scans.next_page(&self.broker, now) else { return false };
        if page.is_shelved() {
            let mut batch = Batch::default();
            batch.load(Load::for_scan(&self.slot, page));
            self.broker.committer.submit(batch, None);
        } else {
            self.take_scanned(page, now);
        }
        true
    }

    /// Takes a page of retained messages into the queue.
    pub(super) fn take_scanned(&mut self, page: ScanPage, now: Now) {
        let (filter, after) = (page.filter.clone(), page.last.clone());
        let is_kept = self.slot.is_durable && self.broker.committer.is_durable();
        let mut batch = Batch::default();
        for delivery in self.pending.edit().scans.deliveries(page, &self.broker.queue, now) {
            if delivery.qos == QoS::AtMostOnce {
                self.session.handle_delivery(delivery, now, &mut self.desk.tools().turn);
                continue;
            }
            self.slot.reserve(Released::of(&delivery));
            if is_kept {
                // It takes its place in the queue like any other, and arrives through the mailbox.
                batch.publish(
                    delivery.message.clone(),
                    None,
                    false,
                    Receivers::from_buf([(self.slot.clone(), delivery)]),
                );
            } else {
                self.session.handle_delivery(delivery, now, &mut self.desk.tools().turn);
            }
        }
        if self.slot.is_durable {
            // In one group with the deliveries, so that after a crash none comes twice and none is left out.
            self.note_scan(filter, Some(after), &mut batch);
        }
        self.broker.committer.submit(batch, None);
        self.finish_turn(now);
    }

    /// Remembers how far a scan has come, or (`None`) that it begins.
    pub(super) fn note_scan(&mut self, filter: TopicFilter, done: Option<Option<TopicName>>, batch: &mut Batch) {
        let session = self.slot.key;
        match done {
            Some(None) => {
                self.session.scan_over(&filter);
                batch.record_lazily(Record::ScanOver { session, filter });
            }
            begun_or_after => {
                let after = begun_or_after.flatten();
                self.session.scan_at(filter.clone(), after.clone());
                batch.record(Record::ScanAt { session, filter, after });
            }
        }
    }

    /// Goes on with the retained messages that were on their way when the last connection ended.
    pub(super) fn resume_scans(&mut self) {
        let subscribed = |filter: &TopicFilter| {
            let mut all = self.session.subscriptions();
            all.find(|(found, _)| *found == filter).map(|(_, subscribed)| subscribed.clone())
        };
        let pending = self.session.scans().filter_map(|(filter, after)| {
            subscribed(filter).map(|subscribed| (filter.clone(), subscribed, after.clone()))
        });
        for (filter, subscribed, after) in pending.collect::<Vec<_>>() {
            self.pending.edit().scans.add(filter, subscribed.options, subscribed.id, after);
        }
    }
}
