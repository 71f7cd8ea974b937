//! Retained messages on their way to a new subscription: read in pages, as fast as the client takes them.
use super::Broker;
use crate::packet::SubscriptionOptions;
use crate::session::Delivery;
use crate::types::{Now, TopicFilter, TopicName};
use std::collections::VecDeque;
use std::sync::Arc;

/// Retained messages read at once.
const PAGE: usize = 128;

/// The scans of one connection, in the order of their SUBSCRIBEs.
#[derive(Debug, Default)]
pub(super) struct Scans {
    pending: VecDeque<Scan>,
}

#[derive(Debug)]
struct Scan {
    filter: TopicFilter,
    options: SubscriptionOptions,
    subscription_ids: Option<Arc<[u32]>>,
    after: Option<TopicName>,
}

impl Scans {
    pub fn add(&mut self, filter: TopicFilter, options: SubscriptionOptions, id: Option<u32>) {
        let subscription_ids = id.map(|id| Arc::from([id]));
        // A repeated SUBSCRIBE starts its scan again [MQTT-3.8.4-4].
        self.pending.retain(|scan| scan.filter != filter);
        self.pending.push_back(Scan { filter, options, subscription_ids, after: None });
    }

    pub fn cancel(&mut self, filter: &TopicFilter) {
        self.pending.retain(|scan| scan.filter != *filter);
    }

    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The next page of deliveries; empty if no scan is left, or nothing in this page may be sent.
    pub fn next_page(&mut self, broker: &Broker, now: Now) -> Vec<Delivery> {
        let Some(scan) = self.pending.front_mut() else { return Vec::new() };
        let page = broker.retained.page(&scan.filter, scan.after.as_ref(), PAGE, now);
        let deliveries = page.messages.into_iter().map(|message| {
            let rule = broker.queue.rule_for(&message.topic);
            Delivery {
                // [MQTT-3.8.4-8]
                qos: message.qos.min(scan.options.qos),
                message,
                // [MQTT-3.3.1-9]: sent as retained.
                retain: true,
                subscription_ids: scan.subscription_ids.clone(),
                position: None,
                share: None,
                give_up_at: broker.queue.give_up_at(rule, now),
                rule,
            }
        });
        let deliveries = deliveries.collect();
        scan.after = page.last;
        if scan.after.is_none() {
            self.pending.pop_front();
        }
        deliveries
    }
}
