//! What a connection is told seldom: by operators, by those who take its session over, and by the store's shelf.
use crate::broker::draining::Leave;
use crate::broker::inspect::Inspect;
use crate::broker::scan::ScanPage;
use crate::session::{Close, Released};
use crate::store::Page;
use std::task::Waker;

#[derive(Debug, Default)]
pub(in crate::broker) struct Errands {
    /// Deliveries behind those in the mailbox that stayed on the store's shelf: the end of their positions, and what they
    /// cost.
    pub shelved: Option<(u64, Released)>,
    /// A page of the shelf that the connection asked for.
    pub page: Option<Page>,
    /// A page of retained messages that it asked for.
    pub scanned: Option<ScanPage>,
    /// It is asked to close.
    pub close: Option<Close>,
    /// Operators ask what the session has in hand.
    pub inspections: Vec<Inspect>,
    /// It is asked to leave when it can.
    pub leave: Option<Leave>,
    /// Others wait for it to leave. Not for the connection: this stays in the mailbox.
    pub waiting: Vec<Waker>,
}

impl Errands {
    /// Whether some of it is, or leads to, deliveries.
    pub fn have_deliveries(&self) -> bool {
        self.shelved.is_some() || self.page.is_some() || self.scanned.is_some()
    }

    /// Whether some of it is for a client too that is slow to take what it has got.
    pub fn are_urgent(&self) -> bool {
        self.close.is_some() || self.leave.is_some() || !self.inspections.is_empty()
    }

    /// Leaves what has to do with deliveries, and who waits, and takes the rest.
    pub fn take_urgent(&mut self) -> Self {
        let kept = Self {
            shelved: self.shelved.take(),
            page: self.page.take(),
            scanned: self.scanned.take(),
            waiting: std::mem::take(&mut self.waiting),
            ..Self::default()
        };
        std::mem::replace(self, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_slow_client_is_told_what_is_urgent_and_the_rest_waits() {
        let mut errands = Errands {
            shelved: Some((7, Released::default())),
            close: Some(Close::Shutdown),
            waiting: vec![Waker::noop().clone()],
            ..Errands::default()
        };
        assert!(errands.have_deliveries() && errands.are_urgent());
        let urgent = errands.take_urgent();
        assert!(urgent.are_urgent() && !urgent.have_deliveries() && urgent.waiting.is_empty());
        assert!(errands.have_deliveries() && !errands.are_urgent());
        assert_eq!(errands.waiting.len(), 1);
    }
}
