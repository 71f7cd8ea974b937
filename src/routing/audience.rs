//! Everyone subscribed with one Topic Filter: sessions of their own, and groups that share.
use super::group::Group;
use super::subscription::{Subscriber, Subscription};
use crate::types::{SessionKey, ShareName, TopicFilter};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

/// Kept small, as there is one for each filter: 24 bytes for the usual filter with one subscriber.
pub(super) struct Audience<S> {
    plain: Plain<S>,
    groups: Option<Box<Groups<S>>>,
}

/// In the order of their names.
struct Groups<S>(Vec<Arc<Group<S>>>);

#[derive(Default)]
enum Plain<S> {
    #[default]
    Nobody,
    One(Subscription<S>),
    #[expect(clippy::box_collection, reason = "a pointer in place of three keeps the usual audience small")]
    Many(Box<BTreeMap<SessionKey, Subscription<S>>>),
}

/// What adding a subscription did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    New,
    /// The session had one, and messages now go out differently.
    Altered,
    /// The session had one that routes the same.
    Same,
}

impl<S> Default for Audience<S> {
    fn default() -> Self {
        Self { plain: Plain::Nobody, groups: None }
    }
}

impl<S: Subscriber> Audience<S> {
    /// Adds the session, or puts its new subscription in the old one's place [MQTT-3.8.4-3].
    pub fn add(&mut self, filter: &TopicFilter, subscription: Subscription<S>) -> Change {
        match filter.share_name() {
            None => self.plain.add(subscription),
            Some(name) => {
                self.groups.get_or_insert_with(|| Box::new(Groups(Vec::new()))).add(filter, &name, subscription)
            }
        }
    }

    pub fn remove(&mut self, filter: &TopicFilter, key: SessionKey) -> bool {
        let Some(name) = filter.share_name() else { return self.plain.remove(key) };
        let Some(groups) = &mut self.groups else { return false };
        let removed = groups.remove(&name, key);
        if groups.0.is_empty() {
            self.groups = None;
        }
        removed
    }

    pub fn is_empty(&self) -> bool {
        matches!(self.plain, Plain::Nobody) && self.groups.is_none()
    }

    pub fn group(&self, name: &ShareName) -> Option<&Arc<Group<S>>> {
        let groups = self.groups.as_ref()?;
        groups.0.get(groups.find(name).ok()?)
    }

    pub fn groups(&self) -> &[Arc<Group<S>>] {
        self.groups.as_ref().map_or(&[], |groups| &groups.0)
    }

    /// The subscriptions that are not shared, in the order of their sessions.
    pub fn plain(&self) -> impl Iterator<Item = (SessionKey, &Subscription<S>)> {
        let (one, many) = match &self.plain {
            Plain::Nobody => (None, None),
            Plain::One(only) => (Some((only.key(), only)), None),
            Plain::Many(many) => (None, Some(many.iter().map(|(key, subscription)| (*key, subscription)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<S: Subscriber> Plain<S> {
    fn add(&mut self, subscription: Subscription<S>) -> Change {
        let (after, change) = match mem::take(self) {
            Self::Nobody => (Self::One(subscription), Change::New),
            Self::One(only) if only.key() == subscription.key() => {
                let change = Change::of_replacing(&only, &subscription);
                (Self::One(subscription), change)
            }
            Self::One(only) => {
                let both = BTreeMap::from([(only.key(), only), (subscription.key(), subscription)]);
                (Self::Many(Box::new(both)), Change::New)
            }
            Self::Many(mut many) => {
                let replaced = many.insert(subscription.key(), subscription.clone());
                let change = replaced.map_or(Change::New, |old| Change::of_replacing(&old, &subscription));
                (Self::Many(many), change)
            }
        };
        *self = after;
        change
    }

    fn remove(&mut self, key: SessionKey) -> bool {
        let (after, removed) = match mem::take(self) {
            Self::Nobody => (Self::Nobody, false),
            Self::One(only) if only.key() == key => (Self::Nobody, true),
            Self::One(only) => (Self::One(only), false),
            Self::Many(mut many) => {
                let removed = many.remove(&key).is_some();
                match many.len() {
                    1 => (many.pop_first().map_or(Self::Nobody, |(_, last)| Self::One(last)), removed),
                    _ => (Self::Many(many), removed),
                }
            }
        };
        *self = after;
        removed
    }
}

impl<S: Subscriber> Groups<S> {
    fn find(&self, name: &ShareName) -> Result<usize, usize> {
        self.0.binary_search_by(|group| group.name().cmp(name))
    }

    fn add(&mut self, filter: &TopicFilter, name: &ShareName, subscription: Subscription<S>) -> Change {
        let place = self.find(name).unwrap_or_else(|place| {
            self.0.insert(place, Arc::new(Group::new(filter)));
            place
        });
        let group = self.0.get_mut(place).expect("found or put there just now");
        // Copies the group only if a route still holds it; what was handed out never changes.
        Arc::make_mut(group).add(subscription)
    }

    fn remove(&mut self, name: &ShareName, key: SessionKey) -> bool {
        let Ok(place) = self.find(name) else { return false };
        let group = self.0.get_mut(place).expect("found just now");
        if !group.has(key) {
            return false;
        }
        Arc::make_mut(group).remove(key);
        if group.members().is_empty() {
            self.0.remove(place);
        }
        true
    }
}

impl Change {
    pub fn of_replacing<S: Subscriber>(old: &Subscription<S>, new: &Subscription<S>) -> Self {
        if old.routes_like(new) { Self::Same } else { Self::Altered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_is_small() {
        assert!(size_of::<Audience<Arc<u64>>>() <= 24, "{} bytes", size_of::<Audience<Arc<u64>>>());
    }
}
