//! What clients were let in by, and what becomes of them when it is taken back while they are there.
use super::{Broker, Slot};
use crate::session::Close;
use std::fmt;
use std::sync::Arc;

/// Tells whether what a client was let in by still counts.
#[derive(Clone)]
pub struct Standing(Arc<dyn Fn() -> bool + Send + Sync>);

impl Standing {
    pub fn new(holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl fmt::Debug for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Standing")
    }
}

impl Broker {
    /// Asks those clients to leave whose proof was taken back; how many there are. To be called when users or
    /// certificates have changed. May take long, as every certificate is checked anew.
    pub fn dismiss_withdrawn(&self) -> usize {
        // Nothing may wait for the registry while certificates are checked.
        let all: Vec<Arc<Slot>> = self.registry.iter().map(|entry| entry.value().clone()).collect();
        let mut count = 0;
        for slot in all.into_iter().filter(|slot| slot.is_live()) {
            let Some(visit) = slot.visit_notes().0 else { continue };
            if visit.standing.as_ref().is_none_or(|standing| standing.holds()) {
                continue;
            }
            // Another connection, by another proof, may have taken its place meanwhile.
            let mut inbox = slot.lock();
            if inbox.notes.visit.as_ref().is_some_and(|present| Arc::ptr_eq(present, &visit)) {
                inbox.ask_to_close(Close::ProofWithdrawn);
                count += 1;
            }
        }
        count
    }
}
