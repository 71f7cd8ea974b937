//! What is still to come of few connections, and lies on the heap as long as it is.
use crate::broker::draining::Leave;
use crate::broker::scan::Scans;
use crate::packet::Packet;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Retained messages on their way to new subscriptions.
    pub scans: Scans,
    /// Packets of a 3.1.1 client from the first one on that there is no room for: it cannot be told, so it waits.
    pub stalled: VecDeque<Packet>,
    /// The connection is to go as soon as nothing is under way.
    pub leaving: Option<Leave>,
}
