//! A stretch of a session's queue, as it is read back for sending.
use super::{StoreError, Target};
use crate::types::{Message, SessionKey, TopicName};
use std::sync::Arc;

/// Every unfinished delivery with a position from `from` on and below `next`.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub from: u64,
    pub next: u64,
    pub deliveries: Vec<Queued>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Queued {
    Message {
        message: Arc<Message>,
        target: Target,
    },
    /// The receiver has it; PUBCOMP is due.
    Received {
        position: u64,
    },
}

impl Queued {
    pub fn position(&self) -> u64 {
        match self {
            Self::Message { target, .. } => target.position,
            Self::Received { position } => *position,
        }
    }
}

/// Reads back what the store holds. Not for threads that serve connections: it waits for the disk.
pub trait Shelf: Send + Sync {
    /// A page of a session's queue: at least one position, up to `messages_max` deliveries and about `bytes_max` bytes.
    /// It holds every delivery that was committed before the call.
    fn page(&self, session: SessionKey, from: u64, messages_max: usize, bytes_max: u64) -> Result<Page, StoreError>;

    /// Keeps what a session has queued readable beyond the session's end, until [`Self::let_go`].
    fn hold(&self, session: SessionKey);

    fn let_go(&self, session: SessionKey);

    /// The retained message of a topic.
    fn retained(&self, topic: &TopicName) -> Result<Option<Arc<Message>>, StoreError>;
}
