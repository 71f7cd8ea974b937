//! One subscription, as the tree keeps it (section 3.8.3).
use crate::packet::SubscriptionOptions;
use crate::types::SessionKey;
use std::num::NonZeroU32;

/// What the broker puts behind a subscription. Two handles with the same key are interchangeable.
pub trait Subscriber: Clone {
    /// Unique to the session for its lifetime.
    fn key(&self) -> SessionKey;
}

#[derive(Debug, Clone)]
pub struct Subscription<S> {
    pub subscriber: S,
    pub options: SubscriptionOptions,
    /// The Subscription Identifier (5.0 section 3.8.2.1.2).
    pub id: Option<NonZeroU32>,
}

impl<S: Subscriber> Subscription<S> {
    pub fn key(&self) -> SessionKey {
        self.subscriber.key()
    }

    /// Whether messages go out differently under the two. Retain Handling does not count: only a SUBSCRIBE looks at it.
    pub(super) fn routes_like(&self, other: &Self) -> bool {
        let routed = |subscription: &Self| {
            let options = subscription.options;
            (options.qos, options.no_local, options.retain_as_published, subscription.id)
        };
        routed(self) == routed(other)
    }
}
