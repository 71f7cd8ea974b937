//! Deliveries that a session, or the way to it, gave up, and why.
use super::Delivery;
use crate::types::{Message, Now, QoS};
use std::sync::Arc;

/// Why a delivery was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// The session's queue is full: this message was not taken, or, as the oldest, it made room for a newer one.
    QueueFull,
    /// The session holds as many messages as its rule for this topic allows.
    FilterFull,
    /// It waited for longer than the broker keeps it.
    Aged,
    /// Its Message Expiry Interval passed before it was sent.
    Expired,
    /// Larger than the receiver's Maximum Packet Size.
    TooLarge,
    /// The receiver may not read its topic any more.
    Forbidden,
}

impl DropReason {
    /// The name in counters, the log and dead letters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::FilterFull => "filter_full",
            Self::Aged => "aged",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::Forbidden => "forbidden",
        }
    }
}

/// A delivery given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    pub reason: DropReason,
    /// The QoS it would have been delivered with.
    pub qos: QoS,
    pub message: Arc<Message>,
}

impl Dropped {
    pub fn new(reason: DropReason, delivery: &Delivery) -> Self {
        Self { reason, qos: delivery.qos, message: delivery.message.clone() }
    }
}

impl Delivery {
    /// Why it may no longer be sent for the first time, if so: its message expired, or it waited for too long.
    pub fn is_over(&self, now: Now) -> Option<DropReason> {
        if self.message.is_expired(now) {
            Some(DropReason::Expired)
        } else if self.give_up_at.is_some_and(|at| at <= now) {
            Some(DropReason::Aged)
        } else {
            None
        }
    }
}
