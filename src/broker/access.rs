//! Who may do what: the one gate that publishes, wills and subscriptions pass.
use crate::types::{TopicFilter, TopicName};

/// Access rules. Topics that begin with `$` belong to the broker: clients may read them, and publish to none.
#[derive(Debug, Default)]
pub struct Access;

impl Access {
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        !topic.is_internal()
    }

    pub fn may_subscribe(&self, _filter: &TopicFilter) -> bool {
        true
    }
}
