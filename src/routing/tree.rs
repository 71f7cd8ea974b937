//! The subscription tree: which sessions want which topics.
//!
//! Filters without wildcards are found in one look-up, the others by a walk of the trie. A session's subscription is
//! known by its filter, the share name included: the same filter again replaces it.
use super::audience::{Audience, Change};
use super::group::Group;
use super::key::Key;
use super::route::{Hit, Route, merge};
use super::subscription::{Subscriber, Subscription};
use super::trie::Trie;
use crate::types::{SessionKey, TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

pub struct Tree<S> {
    exact: BTreeMap<Key<'static>, Audience<S>>,
    wildcards: Trie<S>,
    subscriptions: usize,
    /// Shared filters with their members, to list the groups by.
    shared: BTreeMap<TopicFilter, usize>,
    generation: u64,
}

/// Whether a subscription is new, which decides about retained messages (5.0 section 3.8.3.1, Retain Handling).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    New,
    Replaced,
}

impl<S> Default for Tree<S> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::new(),
            wildcards: Trie::default(),
            subscriptions: 0,
            shared: BTreeMap::new(),
            generation: 0,
        }
    }
}

impl<S: Subscriber> Tree<S> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subscription, or puts it in the place of the session's one with the same filter [MQTT-3.8.4-3].
    pub fn subscribe(&mut self, filter: &TopicFilter, subscription: Subscription<S>) -> Added {
        let audience = if filter.has_wildcard() {
            self.wildcards.find_or_make(filter.inner())
        } else {
            self.exact.entry(Key::exact(filter)).or_default()
        };
        let change = audience.add(filter, subscription);
        self.subscriptions += usize::from(change == Change::New);
        if change == Change::New && filter.is_shared() {
            *self.shared.entry(filter.clone()).or_default() += 1;
        }
        self.generation += u64::from(change != Change::Same);
        match change {
            Change::New => Added::New,
            Change::Altered | Change::Same => Added::Replaced,
        }
    }

    /// Whether there was such a subscription [MQTT-3.10.4-2].
    pub fn unsubscribe(&mut self, filter: &TopicFilter, key: SessionKey) -> bool {
        let exact_key = (!filter.has_wildcard()).then(|| Key::exact(filter));
        let audience = match &exact_key {
            Some(exact_key) => self.exact.get_mut(exact_key),
            None => self.wildcards.find_mut(filter.inner()),
        };
        let Some(audience) = audience else { return false };
        if !audience.remove(filter, key) {
            return false;
        }
        if audience.is_empty() {
            match exact_key {
                Some(exact_key) => drop(self.exact.remove(&exact_key)),
                None => self.wildcards.remove(filter.inner()),
            }
        }
        self.leave_shared(filter);
        self.subscriptions -= 1;
        self.generation += 1;
        true
    }

    /// Rises with each change that can alter a route: a route cached under another generation may be out of date.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many subscriptions there are, each member of a group counted.
    pub fn len(&self) -> usize {
        self.subscriptions
    }

    pub fn is_empty(&self) -> bool {
        self.subscriptions == 0
    }

    /// Who receives what `publisher` publishes to the topic.
    pub fn route(&self, topic: &TopicName, publisher: Option<SessionKey>) -> Route<S> {
        let mut hits: Vec<Hit<'_, S>> = Vec::new();
        let mut groups = Vec::new();
        let mut found = |audience| collect(audience, publisher, &mut hits, &mut groups);
        look_up(&self.exact, topic.as_bytes()).into_iter().for_each(&mut found);
        self.wildcards.walk(topic, found);
        groups.sort_by(|a, b| (a.name(), a.filter()).cmp(&(b.name(), b.filter())));
        Route { targets: merge(hits), groups }
    }

    /// The group of a shared subscription, given its whole filter.
    pub fn group(&self, filter: &TopicFilter) -> Option<Arc<Group<S>>> {
        let name = filter.share_name()?;
        let audience = match filter.has_wildcard() {
            true => self.wildcards.find(filter.inner()),
            false => look_up(&self.exact, filter.inner()),
        };
        audience?.group(&name).cloned()
    }

    /// The shared filters behind `after`, in their order, with how many members each has.
    pub fn shared_filters(&self, after: Option<&TopicFilter>) -> impl Iterator<Item = (&TopicFilter, usize)> {
        let from = after.map_or(Unbounded, Excluded);
        self.shared.range((from, Unbounded)).map(|(filter, members)| (filter, *members))
    }

    /// How many groups of shared subscriptions there are.
    pub fn groups(&self) -> usize {
        self.shared.len()
    }

    fn leave_shared(&mut self, filter: &TopicFilter) {
        if let Some(members) = self.shared.get_mut(filter) {
            *members -= 1;
            if *members == 0 {
                self.shared.remove(filter);
            }
        }
    }

    /// How many filters and trie nodes are kept; 0 when nobody subscribes.
    #[cfg(test)]
    fn nodes(&self) -> usize {
        self.exact.len() + self.wildcards.nodes()
    }
}

fn collect<'t, S: Subscriber>(
    audience: &'t Audience<S>,
    publisher: Option<SessionKey>,
    hits: &mut Vec<Hit<'t, S>>,
    groups: &mut Vec<Arc<Group<S>>>,
) {
    // [MQTT-3.8.3-3]
    let is_own =
        |key: SessionKey, subscription: &Subscription<S>| subscription.options.no_local && publisher == Some(key);
    hits.extend(audience.plain().filter(|(key, subscription)| !is_own(*key, subscription)));
    groups.extend(audience.groups().iter().cloned());
}

/// Looks up by a borrowed key; the map of owned keys passes for one of shorter-lived keys.
fn look_up<'t, 'k, S>(exact: &'t BTreeMap<Key<'k>, Audience<S>>, bytes: &'k [u8]) -> Option<&'t Audience<S>> {
    exact.get(&Key::whole(bytes))
}

#[cfg(test)]
mod tests;
