//! Which messages a client may have, for sessions whose rights have changed since their messages were queued.
use crate::types::TopicName;
use std::fmt;
use std::sync::Arc;

/// A pointer to a pointer, as few sessions have one and each has room for it.
#[derive(Clone)]
pub struct Clearance(Arc<Judge>);

type Judge = Box<dyn Fn(&TopicName) -> bool + Send + Sync>;

impl Clearance {
    pub fn new(may_read: impl Fn(&TopicName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Box::new(may_read)))
    }

    pub fn has(&self, topic: &TopicName) -> bool {
        (self.0)(topic)
    }
}

impl fmt::Debug for Clearance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clearance")
    }
}
