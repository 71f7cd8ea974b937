//! What an attachment works with while it has work: lent by the thread, so that those who are idle hold none of it.
use crate::broker::slot::Collected;
use crate::session::{Ask, Outcome, Turn};
use std::cell::RefCell;

/// Empty between two turns but for what `turn` still has to send.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub turn: Turn,
    pub asks: Vec<Ask>,
    pub outcomes: Vec<Outcome>,
    pub collected: Collected,
}

#[derive(Debug, Default)]
pub(super) struct Desk(Option<Box<Tools>>);

thread_local! {
    /// Tools that nobody of this thread has in hand. Boxed, so that an attachment without work holds a pointer only.
    #[expect(clippy::vec_box, reason = "boxes go in and out as they are")]
    static SPARE: RefCell<Vec<Box<Tools>>> = const { RefCell::new(Vec::new()) };
}

/// Tools that one thread keeps.
const SPARE_MAX: usize = 64;
/// Places in a list of tools that are kept; a turn that was larger than most gives its memory back.
const PLACES_MAX: usize = 4096;

impl Desk {
    pub fn tools(&mut self) -> &mut Tools {
        self.0.get_or_insert_with(|| SPARE.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// The tools, if they are in hand.
    pub fn in_hand(&self) -> Option<&Tools> {
        self.0.as_deref()
    }

    pub fn in_hand_mut(&mut self) -> Option<&mut Tools> {
        self.0.as_deref_mut()
    }

    /// Gives the tools back, if nothing is on them.
    pub fn clear(&mut self) {
        let Some(tools) = self.0.take_if(|tools| tools.turn.is_idle()) else { return };
        if tools.is_large() {
            return;
        }
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < SPARE_MAX {
                spare.push(tools);
            }
        });
    }
}

impl Tools {
    fn is_large(&self) -> bool {
        let places = [
            self.turn.send.capacity(),
            self.turn.changes.capacity(),
            self.turn.asks.capacity(),
            self.asks.capacity(),
            self.outcomes.capacity(),
            self.collected.deliveries.capacity(),
        ];
        places.into_iter().any(|places| places > PLACES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Close;

    #[test]
    fn tools_go_round_and_what_is_on_them_stays() {
        let (mut first, mut second) = (Desk::default(), Desk::default());
        first.tools().outcomes.reserve(7);
        let places = first.tools().outcomes.capacity();
        first.clear();
        assert!(first.in_hand().is_none());
        assert_eq!(second.tools().outcomes.capacity(), places);
        second.tools().turn.close(Close::Shutdown);
        second.clear();
        assert!(second.in_hand().is_some_and(|tools| tools.turn.close == Some(Close::Shutdown)));
    }

    #[test]
    fn large_tools_give_their_memory_back() {
        let mut desk = Desk::default();
        desk.tools().outcomes.reserve(2 * PLACES_MAX);
        desk.clear();
        assert_eq!(desk.tools().outcomes.capacity(), 0);
    }
}
