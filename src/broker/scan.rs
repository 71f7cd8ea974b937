//! Retained messages on their way to a new subscription: read in pages, as fast as the client takes them.
use super::retained::Found;
use super::{Broker, QueueSettings};
use crate::packet::SubscriptionOptions;
use crate::session::Delivery;
use crate::types::{Message, Now, SubscriptionIds, TopicFilter, TopicName};
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Retained messages read at once.
const PAGE: usize = 128;

/// The scans of one connection, in the order of their SUBSCRIBEs.
#[derive(Debug, Default)]
pub(super) struct Scans {
    pending: VecDeque<Scan>,
    /// The page of the first one is being read from the store's shelf.
    is_loading: bool,
}

#[derive(Debug)]
struct Scan {
    filter: TopicFilter,
    options: SubscriptionOptions,
    subscription_ids: SubscriptionIds,
    after: Option<TopicName>,
}

/// A page of retained messages for a subscription.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScanPage {
    pub filter: TopicFilter,
    pub messages: Vec<Found>,
    /// Where the scan goes on; `None` when it is over.
    pub last: Option<TopicName>,
}

impl ScanPage {
    /// Whether some of it has to be read from the shelf.
    pub fn is_shelved(&self) -> bool {
        self.messages.iter().any(|found| matches!(found, Found::Shelved(_)))
    }
}

impl Scans {
    pub fn add(
        &mut self,
        filter: TopicFilter,
        options: SubscriptionOptions,
        id: Option<NonZeroU32>,
        after: Option<TopicName>,
    ) {
        let subscription_ids = SubscriptionIds::from(id);
        // A repeated SUBSCRIBE starts its scan again [MQTT-3.8.4-4].
        self.cancel(&filter);
        self.pending.push_back(Scan { filter, options, subscription_ids, after });
    }

    /// True if there was such a scan.
    pub fn cancel(&mut self, filter: &TopicFilter) -> bool {
        let before = self.pending.len();
        if self.pending.front().is_some_and(|scan| scan.filter == *filter) {
            // The page that is being read is for nobody.
            self.is_loading = false;
        }
        self.pending.retain(|scan| scan.filter != *filter);
        self.pending.len() < before
    }

    /// Whether a page should be read now.
    pub fn are_ready(&self) -> bool {
        !self.pending.is_empty() && !self.is_loading
    }

    /// The next page; `None` if no scan is left. A page that is partly on the shelf has to be read there and comes back
    /// with [`Self::accepts`].
    pub fn next_page(&mut self, broker: &Broker, now: Now) -> Option<ScanPage> {
        let scan = self.pending.front_mut()?;
        let page = broker.retained.page(&scan.filter, scan.after.as_ref(), PAGE, now);
        let page = ScanPage { filter: scan.filter.clone(), messages: page.messages, last: page.last };
        self.is_loading = page.is_shelved();
        Some(page)
    }

    /// Whether this page, back from the shelf, is still wanted.
    pub fn accepts(&mut self, page: &ScanPage) -> bool {
        let is_wanted = self.is_loading && self.pending.front().is_some_and(|scan| scan.filter == page.filter);
        self.is_loading &= !is_wanted;
        is_wanted
    }

    /// The deliveries of a page whose messages are all there; the scan moves on behind it.
    pub fn deliveries(&mut self, page: ScanPage, queue: &QueueSettings, now: Now) -> Vec<Delivery> {
        let Some(scan) = self.pending.front_mut() else { return Vec::new() };
        let loaded = page.messages.into_iter().filter_map(|found| match found {
            Found::Loaded(message) => Some(message),
            Found::Shelved(_) => None,
        });
        let deliveries = loaded.map(|message: Arc<Message>| {
            let rule = queue.rule_for(&message.topic);
            Delivery {
                // [MQTT-3.8.4-8]
                qos: message.qos.min(scan.options.qos),
                cost_bytes: Delivery::cost_of(&message),
                message,
                // [MQTT-3.3.1-9]: sent as retained.
                retain: true,
                subscription_ids: scan.subscription_ids.clone(),
                position: None,
                share: None,
                give_up_at: queue.give_up_at(rule, now),
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
