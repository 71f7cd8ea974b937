//! The retained message of each topic, within limits (section 3.3.1.3).
//!
//! Topics are in memory; so are the messages as long as there is room, and the rest is read from the store's shelf.
use super::{Committer, Counters};
use crate::routing::{Retained, RetainedEntry as Entry};
use crate::types::{CommitSeq, Message, Now, TopicFilter, TopicName};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Topics looked at under one lock, whether they match or not.
const LOOKS_MAX: usize = 4096;

pub struct RetainedStore {
    /// Users: publishers of retained messages (to write), subscribers (to read a page), the house (to shelve). Held for
    /// one of these only.
    inner: RwLock<Inner>,
    messages_max: AtomicUsize,
    bytes_max: AtomicUsize,
    /// Bytes of messages in memory, where a store has them as well.
    loaded_bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    messages: Retained<Kept>,
    bytes: usize,
    loaded_bytes: usize,
    /// Topics in the order in which their messages came, for those that can be on the shelf.
    arrived: VecDeque<TopicName>,
    /// How many of them came before the mark, and the mark.
    marked: (usize, CommitSeq),
}

#[derive(Debug, Clone)]
enum Kept {
    Loaded(Arc<Message>),
    Shelved { bytes: usize, expires_at: Option<Now> },
}

impl Kept {
    fn bytes(&self) -> usize {
        match self {
            Self::Loaded(message) => message.cost_bytes(),
            Self::Shelved { bytes, .. } => *bytes,
        }
    }

    fn loaded_bytes(&self) -> usize {
        match self {
            Self::Loaded(message) => message.cost_bytes(),
            Self::Shelved { .. } => 0,
        }
    }

    fn is_expired(&self, now: Now) -> bool {
        match self {
            Self::Loaded(message) => message.is_expired(now),
            Self::Shelved { expires_at, .. } => expires_at.is_some_and(|at| at <= now),
        }
    }
}

/// A retained message, or where it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    Loaded(Arc<Message>),
    /// On the store's shelf.
    Shelved(TopicName),
}

impl RetainedStore {
    pub fn new(messages_max: usize, bytes_max: usize, loaded_bytes_max: usize) -> Self {
        let (messages_max, bytes_max) = (AtomicUsize::new(messages_max), AtomicUsize::new(bytes_max));
        Self { inner: RwLock::default(), messages_max, bytes_max, loaded_bytes_max }
    }

    /// Limits what comes from now on; what is there stays.
    pub fn limit(&self, messages_max: usize, bytes_max: usize) {
        self.messages_max.store(messages_max, Ordering::Relaxed);
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Keeps the message as its topic's, or with an empty payload removes what was kept. False, and nothing has
    /// changed, if a limit is in the way. `has_shelf` if the store will have it as well.
    pub fn put(&self, message: &Arc<Message>, has_shelf: bool, counters: &Counters) -> bool {
        let mut inner = self.inner.write();
        // [MQTT-3.3.1-6], [MQTT-3.3.1-7] (5.0), [MQTT-3.3.1-10], [MQTT-3.3.1-11] (3.1.1)
        if message.payload.is_empty() {
            inner.remove(&message.topic);
            return true;
        }
        let (messages_max, bytes_max) =
            (self.messages_max.load(Ordering::Relaxed), self.bytes_max.load(Ordering::Relaxed));
        if !inner.put(message, messages_max, bytes_max) {
            counters.retained_refused.add(1);
            return false;
        }
        if has_shelf {
            inner.arrived.push_back(message.topic.clone());
        }
        true
    }

    /// Puts a message back that the store has: in memory if there is room.
    pub fn restore(&self, message: &Arc<Message>, counters: &Counters) {
        let is_roomy = self.inner.read().loaded_bytes + message.cost_bytes() <= self.loaded_bytes_max;
        if !self.put(message, is_roomy, counters) || is_roomy {
            return;
        }
        self.inner.write().shelve(&message.topic);
    }

    /// Lets the oldest messages go from memory while there are too many: those that were durable by the last call, when
    /// whatever had come until the one before had been submitted.
    pub fn shelve(&self, committer: &Committer) {
        let mut inner = self.inner.write();
        let (mut count, mark) = inner.marked;
        if committer.is_committed(mark) {
            while count > 0 && inner.loaded_bytes > self.loaded_bytes_max {
                let Some(topic) = inner.arrived.pop_front() else { break };
                inner.shelve(&topic);
                count -= 1;
            }
            inner.marked = (inner.arrived.len(), committer.submitted());
        }
        // Topics that came again and again are there again and again: all but the last need not be.
        if inner.arrived.len() > 1024 + 4 * inner.messages.len() {
            let mut seen = std::collections::HashSet::new();
            let mut arrived: VecDeque<_> = std::mem::take(&mut inner.arrived);
            arrived.make_contiguous().reverse();
            arrived.retain(|topic| seen.insert(topic.clone()));
            arrived.make_contiguous().reverse();
            inner.arrived = arrived;
            inner.marked = (0, CommitSeq::default());
        }
    }

    /// Whether a scan may find anything.
    pub fn may_match(&self, filter: &TopicFilter) -> bool {
        let page = self.inner.read().messages.page(filter, None, 1, LOOKS_MAX);
        !page.found.is_empty() || page.next.is_some()
    }

    /// The next matches after `after`, up to `at_most`, and whether there may be more. Expired messages are left out,
    /// and forgotten.
    pub fn page(&self, filter: &TopicFilter, after: Option<&TopicName>, at_most: usize, now: Now) -> Page {
        let page = self.inner.read().messages.page(filter, after, at_most, LOOKS_MAX);
        let (fresh, expired): (Vec<_>, Vec<_>) = page.found.into_iter().partition(|(_, kept)| !kept.is_expired(now));
        expired.iter().for_each(|(topic, _)| self.forget(topic, now));
        let messages = fresh.into_iter().map(|(topic, kept)| match kept {
            Kept::Loaded(message) => Found::Loaded(message),
            Kept::Shelved { .. } => Found::Shelved(topic),
        });
        Page { messages: messages.collect(), last: page.next }
    }

    pub fn has(&self, topic: &TopicName) -> bool {
        self.inner.read().messages.get(topic).is_some()
    }

    /// Messages kept, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        let inner = self.inner.read();
        (inner.messages.len(), inner.bytes)
    }

    /// Removes an expired message, unless a newer one has taken its place.
    fn forget(&self, topic: &TopicName, now: Now) {
        let mut inner = self.inner.write();
        if inner.messages.get(topic).is_some_and(|kept| kept.is_expired(now)) {
            inner.remove(topic);
        }
    }
}

impl Inner {
    /// Keeps the message within the limits, found or put in by one walk of the tree.
    fn put(&mut self, message: &Arc<Message>, messages_max: usize, bytes_max: usize) -> bool {
        let is_full = self.messages.len() >= messages_max;
        let cost_bytes = message.cost_bytes();
        let old = match self.messages.entry(message.topic.clone()) {
            Entry::Vacant(_) if is_full || self.bytes + cost_bytes > bytes_max => return false,
            Entry::Vacant(entry) => {
                entry.insert(Kept::Loaded(message.clone()));
                None
            }
            Entry::Occupied(entry) if self.bytes - entry.get().bytes() + cost_bytes > bytes_max => return false,
            // [MQTT-3.3.1-5]
            Entry::Occupied(mut entry) => Some(entry.insert(Kept::Loaded(message.clone()))),
        };
        self.bytes += cost_bytes;
        self.loaded_bytes += cost_bytes;
        old.iter().for_each(|old| self.count_off(old));
        true
    }

    fn insert(&mut self, topic: TopicName, kept: Kept) {
        self.bytes += kept.bytes();
        self.loaded_bytes += kept.loaded_bytes();
        if let Some(old) = self.messages.insert(topic, kept) {
            self.count_off(&old);
        }
    }

    fn remove(&mut self, topic: &TopicName) {
        if let Some(old) = self.messages.remove(topic) {
            self.count_off(&old);
        }
    }

    fn count_off(&mut self, old: &Kept) {
        self.bytes -= old.bytes();
        self.loaded_bytes -= old.loaded_bytes();
    }

    fn shelve(&mut self, topic: &TopicName) {
        let Some(Kept::Loaded(message)) = self.messages.get(topic) else { return };
        let kept = Kept::Shelved { bytes: message.cost_bytes(), expires_at: message.expires_at };
        self.insert(topic.detached(), kept);
    }
}

/// A part of the retained messages that match a filter.
#[derive(Debug)]
pub struct Page {
    pub messages: Vec<Found>,
    /// The topic to go on after; `None` when all have been seen.
    pub last: Option<TopicName>,
}
