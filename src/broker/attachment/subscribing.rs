//! SUBSCRIBE and UNSUBSCRIBE, carried out.
use super::{Attachment, KEPT_FILTER_BYTES_MAX};
use crate::broker::{Batch, SlotHandle};
use crate::packet::RetainHandling;
use crate::routing::Subscription;
use crate::session::{Requested, Subscribing, granted};
use crate::store::Record;
use crate::types::{Now, ReasonCode, TopicFilter};
use std::num::NonZeroU32;

impl Attachment {
    pub(super) fn subscribe(&mut self, subscribing: Subscribing, now: Now, batch: &mut Batch) -> Vec<ReasonCode> {
        let id = subscribing.subscription_id;
        let is_within_rate =
            self.pace.as_ref().is_none_or(|pace| pace.may_subscribe(subscribing.filters.len() as u64, now));
        let mut codes = Vec::with_capacity(subscribing.filters.len());
        for mut requested in subscribing.filters {
            if !is_within_rate && !requested.code.is_failure() {
                self.session.refuse_subscription(&requested.filter);
                self.broker.counters.subscriptions_refused_rate.add(1);
                requested.code = ReasonCode::QuotaExceeded;
            }
            let code = self.judge(&mut requested);
            codes.push(code);
            if code.is_failure() {
                self.broker.counters.subscriptions_refused.add(1);
                continue;
            }
            let (filter, options) = (requested.filter, requested.options);
            let subscriber = SlotHandle(self.slot.clone());
            self.broker.change_tree(|tree| tree.subscribe(&filter, Subscription { subscriber, options, id }));
            if self.slot.is_durable && self.broker.committer.is_durable() {
                let session = self.slot.key;
                let id = id.map(NonZeroU32::get);
                batch.record(Record::Subscribed { session, filter: filter.clone(), options, id });
            }
            if filter.is_shared() {
                self.claim(&filter);
            } else if self.wants_retained(options.retain_handling, requested.is_new)
                && self.broker.retained.may_match(&filter)
            {
                if self.slot.is_durable {
                    self.note_scan(filter.clone(), None, batch);
                }
                self.pending.edit().scans.add(filter, options, id, None);
            }
        }
        codes
    }

    /// Grants or refuses one filter.
    fn judge(&mut self, requested: &mut Requested) -> ReasonCode {
        if requested.code.is_failure() {
            return requested.code;
        }
        let Some(qos_max) = self.guard.may_subscribe(&requested.filter) else {
            self.session.refuse_subscription(&requested.filter);
            self.broker.counters.subscriptions_denied.add(1);
            let (client_id, filter) = (self.client_id(), requested.filter.as_str());
            tracing::debug!(client_id, filter, "a subscription was denied");
            return ReasonCode::NotAuthorized;
        };
        if self.slot.is_durable && requested.filter.as_str().len() > KEPT_FILTER_BYTES_MAX {
            self.session.refuse_subscription(&requested.filter);
            return ReasonCode::QuotaExceeded;
        }
        if requested.options.qos > qos_max {
            requested.options.qos = qos_max;
            self.session.limit_subscription(&requested.filter, qos_max);
            return granted(qos_max);
        }
        requested.code
    }

    // [MQTT-3.3.1-9], [MQTT-3.3.1-10], [MQTT-3.3.1-11]
    fn wants_retained(&self, handling: RetainHandling, is_new: bool) -> bool {
        self.broker.features.load().retain
            && match handling {
                RetainHandling::Always => true,
                RetainHandling::IfNew => is_new,
                RetainHandling::Never => false,
            }
    }

    pub(super) fn unsubscribe(&mut self, filters: &[TopicFilter], batch: &mut Batch) {
        for filter in filters {
            self.broker.change_tree(|tree| tree.unsubscribe(filter, self.slot.key));
            let was_scanned = self.pending.get_mut().is_some_and(|pending| pending.scans.cancel(filter));
            if was_scanned && self.slot.is_durable {
                self.note_scan(filter.clone(), Some(None), batch);
            }
            if self.slot.is_durable && self.broker.committer.is_durable() {
                batch.record(Record::Unsubscribed { session: self.slot.key, filter: filter.clone() });
            }
        }
    }
}
