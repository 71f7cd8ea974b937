//! Who may do what: the one gate that publishes, wills and subscriptions pass.
use crate::types::{ClientId, Identity, TopicFilter, TopicName};

/// Access rules. Topics that begin with `$` belong to the broker: clients may read them, and publish to none.
#[derive(Debug, Default)]
pub struct Access;

/// Whose rights are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub identity: &'a Identity,
    pub client_id: &'a ClientId,
}

impl Access {
    pub fn may_publish(&self, _subject: Subject<'_>, topic: &TopicName) -> bool {
        !topic.is_internal()
    }

    pub fn may_subscribe(&self, _subject: Subject<'_>, _filter: &TopicFilter) -> bool {
        true
    }
}
