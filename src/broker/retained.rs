//! The retained message of each topic, within limits (section 3.3.1.3).
use super::Counters;
use crate::routing::Retained;
use crate::types::{Message, Now, TopicFilter, TopicName};
use parking_lot::RwLock;
use std::sync::Arc;

/// Topics looked at under one lock, whether they match or not.
const LOOKS_MAX: usize = 4096;

pub struct RetainedStore {
    /// Users: publishers of retained messages (to write), subscribers (to read a page). Held for one of these only.
    inner: RwLock<Inner>,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    messages: Retained<Arc<Message>>,
    bytes: usize,
}

impl RetainedStore {
    pub fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { inner: RwLock::default(), messages_max, bytes_max }
    }

    /// Keeps the message as its topic's, or with an empty payload removes what was kept. False, and nothing has
    /// changed, if a limit is in the way.
    pub fn put(&self, message: &Arc<Message>, counters: &Counters) -> bool {
        let mut inner = self.inner.write();
        // [MQTT-3.3.1-6], [MQTT-3.3.1-7] (5.0), [MQTT-3.3.1-10], [MQTT-3.3.1-11] (3.1.1)
        if message.payload.is_empty() {
            if let Some(old) = inner.messages.remove(&message.topic) {
                inner.bytes -= old.cost_bytes();
            }
            return true;
        }
        let old_bytes = inner.messages.get(&message.topic).map(|old| old.cost_bytes());
        let bytes = inner.bytes - old_bytes.unwrap_or(0) + message.cost_bytes();
        if bytes > self.bytes_max || (old_bytes.is_none() && inner.messages.len() >= self.messages_max) {
            counters.retained_refused.add(1);
            return false;
        }
        // [MQTT-3.3.1-5]
        inner.messages.insert(message.topic.clone(), message.clone());
        inner.bytes = bytes;
        true
    }

    /// The next matches after `after`, up to `at_most`, and whether there may be more. Expired messages are left out,
    /// and forgotten.
    pub fn page(&self, filter: &TopicFilter, after: Option<&TopicName>, at_most: usize, now: Now) -> Page {
        let page = self.inner.read().messages.page(filter, after, at_most, LOOKS_MAX);
        let found = page.found.into_iter().map(|(_, message)| message);
        let (fresh, expired): (Vec<_>, Vec<_>) = found.partition(|message| !message.is_expired(now));
        expired.iter().for_each(|message| self.forget(message));
        Page { messages: fresh, last: page.next }
    }

    /// Messages kept, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.inner.read();
        (inner.messages.len(), inner.bytes)
    }

    /// Removes an expired message, unless a newer one has taken its place.
    fn forget(&self, message: &Arc<Message>) {
        let mut inner = self.inner.write();
        if inner.messages.get(&message.topic).is_some_and(|kept| Arc::ptr_eq(kept, message)) {
            inner.messages.remove(&message.topic);
            inner.bytes -= message.cost_bytes();
        }
    }
}

/// A part of the retained messages that match a filter.
#[derive(Debug)]
pub struct Page {
    pub messages: Vec<Arc<Message>>,
    /// The topic to go on after; `None` when all have been seen.
    pub last: Option<TopicName>,
}
