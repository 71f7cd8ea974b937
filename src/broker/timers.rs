//! Deadlines of sessions whose clients are away: delayed wills and session expiry.
use super::Slot;
use crate::types::{Now, SessionKey};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// One deadline per session at most, so that clients that come and go cannot make it grow.
#[derive(Debug, Default)]
pub struct Timers {
    /// Users: connections that end (to set), the house (to take what is due). Held for one map operation.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    due: BTreeMap<(Now, SessionKey), Arc<Slot>>,
    by_session: HashMap<SessionKey, Now>,
    waker: Option<Waker>,
    has_changed: bool,
}

impl Timers {
    /// Sets the session's deadline, in place of the one it had.
    pub fn set(&self, slot: &Arc<Slot>, at: Option<Now>) {
        let mut inner = self.inner.lock();
        if let Some(before) = inner.by_session.remove(&slot.key) {
            inner.due.remove(&(before, slot.key));
        }
        let Some(at) = at else { return };
        let is_first = inner.due.keys().next().is_none_or(|(first, _)| at < *first);
        inner.due.insert((at, slot.key), slot.clone());
        inner.by_session.insert(slot.key, at);
        if is_first {
            inner.has_changed = true;
            if let Some(waker) = inner.waker.take() {
                waker.wake();
            }
        }
    }

    /// Takes one session whose deadline has passed.
    pub fn take_due(&self, now: Now) -> Option<Arc<Slot>> {
        let mut inner = self.inner.lock();
        let entry = inner.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        let slot = entry.remove();
        inner.by_session.remove(&slot.key);
        Some(slot)
    }

    pub fn next(&self) -> Option<Now> {
        self.inner.lock().due.keys().next().map(|(at, _)| *at)
    }

    /// Waits until an earlier deadline than all before has been set.
    pub fn poll_earlier(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if std::mem::take(&mut inner.has_changed) {
            return Poll::Ready(());
        }
        inner.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
