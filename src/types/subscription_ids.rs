//! Subscription Identifiers that a delivery bears (5.0 section 3.3.2.3.8).
use std::num::NonZeroU32;
use std::sync::Arc;

/// Identifiers of all subscriptions that matched a message, shared by deliveries. Most have none, and take a word for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubscriptionIds(Option<Arc<Vec<u32>>>);

impl SubscriptionIds {
    pub fn as_slice(&self) -> &[u32] {
        self.0.as_ref().map_or(&[], |ids| ids.as_slice())
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both are one list, so that they are equal without a look at it.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(ids), Some(others)) => Arc::ptr_eq(ids, others),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

impl From<Vec<u32>> for SubscriptionIds {
    fn from(ids: Vec<u32>) -> Self {
        Self((!ids.is_empty()).then(|| Arc::new(ids)))
    }
}

impl From<Option<NonZeroU32>> for SubscriptionIds {
    fn from(id: Option<NonZeroU32>) -> Self {
        Self(id.map(|id| Arc::new(vec![id.get()])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identifiers_are_no_list() {
        assert_eq!(SubscriptionIds::from(Vec::new()), SubscriptionIds::default());
        assert!(SubscriptionIds::from(None).is_empty());
        assert_eq!(SubscriptionIds::from(NonZeroU32::new(7)).as_slice(), [7]);
        assert_eq!(size_of::<SubscriptionIds>(), 8);
    }

    #[test]
    fn copies_share_their_list() {
        let ids = SubscriptionIds::from(vec![1, 2]);
        assert!(ids.is_shared_with(&ids.clone()));
        assert!(!ids.is_shared_with(&SubscriptionIds::from(vec![1, 2])));
        assert!(!ids.is_shared_with(&SubscriptionIds::default()));
    }
}
