//! Where one topic's messages go.
use super::group::Group;
use super::subscription::{Subscriber, Subscription};
use crate::types::{QoS, SessionKey, SubscriptionIds};
use std::num::NonZeroU32;
use std::sync::Arc;

/// All receivers of a topic, in an order that does not depend on the tree's history.
#[derive(Debug, Clone)]
pub struct Route<S> {
    /// By session.
    pub targets: Vec<Target<S>>,
    /// By share name and filter; each passes the message to one of its members.
    pub groups: Vec<Arc<Group<S>>>,
}

/// One session's matching subscriptions, merged to one delivery (section 3.3.4).
#[derive(Debug, Clone)]
pub struct Target<S> {
    pub subscriber: S,
    /// The highest of the matching subscriptions.
    pub qos: QoS,
    /// Whether any of them asks for the RETAIN flag as published.
    pub retain_as_published: bool,
    /// All their Subscription Identifiers, ascending.
    pub subscription_ids: SubscriptionIds,
}

/// A matching subscription, before subscriptions of one session are merged.
pub(super) type Hit<'t, S> = (SessionKey, &'t Subscription<S>);

impl<S> Route<S> {
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty()
    }
}

impl<S> Target<S> {
    /// All Subscription Identifiers of the matching subscriptions, ascending.
    pub fn ids(&self) -> &[u32] {
        self.subscription_ids.as_slice()
    }
}

pub(super) fn merge<S: Subscriber>(mut hits: Vec<Hit<'_, S>>) -> Vec<Target<S>> {
    // Runs that are sorted already, one per filter, are cheap to this sort.
    hits.sort_by_key(|(key, subscription)| (*key, subscription.id));
    let mut targets: Vec<Target<S>> = Vec::with_capacity(hits.len());
    let mut ids = Vec::new();
    for overlapping in hits.chunk_by(|(a, _), (b, _)| a == b) {
        let Some((_, first)) = overlapping.first() else { continue };
        // [MQTT-3.3.4-3]: an identifier that several subscriptions have is sent as often.
        ids.clear();
        ids.extend(overlapping.iter().filter_map(|(_, subscription)| subscription.id).map(NonZeroU32::get));
        let last = targets.last().map(|target| &target.subscription_ids);
        targets.push(Target {
            subscriber: first.subscriber.clone(),
            // [MQTT-3.3.4-2]
            qos: overlapping.iter().map(|(_, subscription)| subscription.options.qos).max().unwrap_or_default(),
            retain_as_published: overlapping.iter().any(|(_, subscription)| subscription.options.retain_as_published),
            subscription_ids: share_ids(&ids, last),
        });
    }
    targets
}

/// Sessions of one program tend to use the same identifiers, so the last list is often the next one too.
fn share_ids(ids: &[u32], last: Option<&SubscriptionIds>) -> SubscriptionIds {
    match last {
        Some(last) if last.as_slice() == ids => last.clone(),
        Some(_) | None => SubscriptionIds::from(ids.to_vec()),
    }
}
