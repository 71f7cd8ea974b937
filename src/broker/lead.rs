//! How far the publishers of a thread are ahead of those they publish for.
//!
//! Connections of one thread take turns. Many publishers, one after the other, hand over so much that it has left the
//! processor's cache before the first receiver comes to it: waits for memory then take as long as all the work. So a
//! publisher gives way, once for each read, where the lead has grown long.
use std::cell::Cell;

/// Deliveries that may wait at once, about. Each touches 300 bytes or so, and a core has a megabyte of cache at least.
const LEAD_MAX: usize = 1024;

thread_local! {
    /// Deliveries handed over on this thread and not collected on it.
    static LEAD: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn grow(deliveries: usize) {
    LEAD.set(LEAD.get().saturating_add(deliveries));
}

pub(super) fn shrink(deliveries: usize) {
    LEAD.set(LEAD.get().saturating_sub(deliveries));
}

pub(super) fn is_long() -> bool {
    LEAD.get() > LEAD_MAX
}

/// Everybody who was waiting has had a turn. What is still there waits for something else, or for another thread.
pub(super) fn end() {
    LEAD.set(0);
}
