//! Clients that come and go all the time.
use super::Ledger;
use crate::types::{ClientId, Now, Text};

/// How often a Client Identifier may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    /// Connects within the window; 0 sets no limit.
    pub connects_max: u32,
    pub window_ms: u64,
    /// How long one that connects more often is kept out.
    pub refused_ms: u64,
}

#[derive(Debug)]
pub struct Flapping {
    pattern: Pattern,
    /// By user, too: nobody can wear out the name of another's client.
    clients: Ledger<(Option<Text>, ClientId), Visits>,
}

#[derive(Debug, Default)]
struct Visits {
    connects: u32,
    window_ends: Now,
    refused_until: Now,
}

impl Flapping {
    pub fn new(pattern: Pattern, entries_max: usize) -> Self {
        Self { pattern, clients: Ledger::new(entries_max) }
    }

    /// A pattern for what comes from now on.
    pub fn change(&mut self, pattern: Pattern) {
        self.pattern = pattern;
    }

    /// Counts a connect; whether it may go on.
    pub fn connect(&mut self, user: Option<&Text>, client_id: &ClientId, now: Now) -> bool {
        let pattern = self.pattern;
        if pattern.connects_max == 0 {
            return true;
        }
        let is_over = |visits: &mut Visits| visits.window_ends <= now && visits.refused_until <= now;
        let visits = self.clients.entry((user.cloned(), client_id.clone()), now, is_over, Visits::default);
        if visits.refused_until > now {
            return false;
        }
        if visits.window_ends <= now {
            (visits.connects, visits.window_ends) = (0, now.plus_millis(pattern.window_ms));
        }
        visits.connects += 1;
        let is_flapping = visits.connects > pattern.connects_max;
        if is_flapping {
            visits.connects = 0;
            visits.refused_until = now.plus_millis(pattern.refused_ms);
        }
        !is_flapping
    }

    /// Clients given up for lack of room.
    pub fn forgotten(&self) -> u64 {
        self.clients.forgotten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_connects_too_often_waits_and_others_do_not() {
        let pattern = Pattern { connects_max: 3, window_ms: 1000, refused_ms: 5000 };
        let mut flapping = Flapping::new(pattern, 10);
        let client = |name| ClientId::new(&Text::from_static(name)).unwrap();
        let mut connect = |name, millis| flapping.connect(None, &client(name), Now::from_millis(millis));
        assert!((0..3).all(|_| connect("a", 0)));
        assert!(!connect("a", 10) && connect("b", 10));
        assert!(!connect("a", 5009) && connect("a", 5010));
        let ann = Text::from_static("ann");
        assert!(connect("a", 6000) && connect("a", 7100) && connect("a", 7100) && connect("a", 7100));
        assert!(!connect("a", 7101));
        assert!(flapping.connect(Some(&ann), &client("a"), Now::from_millis(7102)), "another's of that name");
    }

    #[test]
    fn without_a_limit_nobody_is_remembered() {
        let mut flapping = Flapping::new(Pattern { connects_max: 0, window_ms: 1, refused_ms: 1 }, 10);
        let client = ClientId::new(&Text::from_static("a")).unwrap();
        assert!((0..1000).all(|_| flapping.connect(None, &client, Now::default())));
        assert!(flapping.clients.is_empty());
    }
}
