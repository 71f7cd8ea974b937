//! A table of bounded size by whom something is counted.
use crate::types::Now;
use std::collections::HashMap;
use std::hash::Hash;

/// Entries by key. When it is full, those that say nothing any more go first; if all still do, the one that was touched
/// longest ago goes, and is counted.
#[derive(Debug)]
pub struct Ledger<K, V> {
    entries: HashMap<K, (Now, V)>,
    entries_max: usize,
    /// Entries given up though they still said something.
    forgotten: u64,
}

impl<K: Eq + Hash + Clone, V> Ledger<K, V> {
    pub fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), entries_max: entries_max.max(1), forgotten: 0 }
    }

    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// The entry of a key, made if there is none. `is_idle` tells which entries say nothing any more.
    pub fn entry(&mut self, key: K, now: Now, is_idle: impl Fn(&mut V) -> bool, make: impl FnOnce() -> V) -> &mut V {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.entries_max {
            self.make_room(is_idle);
        }
        let (touched, value) = self.entries.entry(key).or_insert_with(|| (now, make()));
        *touched = now;
        value
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.entries.remove(key).map(|(_, value)| value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Entries given up though they still said something.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// A quarter of the places at once, so that a flood of new keys does not look through the table for each.
    fn make_room(&mut self, is_idle: impl Fn(&mut V) -> bool) {
        self.entries.retain(|_, (_, value)| !is_idle(value));
        let room = (self.entries_max / 4).max(1);
        let keep = self.entries_max - room;
        if self.entries.len() <= keep {
            return;
        }
        let mut touched: Vec<Now> = self.entries.values().map(|(touched, _)| *touched).collect();
        let excess = self.entries.len() - keep;
        let (_, youngest, _) = touched.select_nth_unstable(excess - 1);
        let youngest = *youngest;
        let mut left = excess;
        self.entries.retain(|_, (touched, _)| {
            let goes = *touched <= youngest && left > 0;
            left -= usize::from(goes);
            !goes
        });
        self.forgotten += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_goes_first_and_then_the_oldest() {
        let mut ledger: Ledger<u32, bool> = Ledger::new(4);
        let is_idle = |idle: &mut bool| *idle;
        for key in 0..4 {
            ledger.entry(key, Now::from_millis(u64::from(key)), is_idle, || key == 3);
        }
        ledger.entry(4, Now::from_millis(4), is_idle, || false);
        assert_eq!((ledger.get(&3), ledger.get(&0), ledger.forgotten()), (None, Some(&false), 0));
        ledger.entry(5, Now::from_millis(5), is_idle, || false);
        assert_eq!((ledger.len(), ledger.get(&0), ledger.get(&5), ledger.forgotten()), (4, None, Some(&false), 1));
    }

    #[test]
    fn it_never_grows_beyond_its_places() {
        let mut ledger: Ledger<u64, ()> = Ledger::new(64);
        for key in 0..10_000 {
            ledger.entry(key, Now::from_millis(7), |()| false, || ());
            assert!(ledger.len() <= 64);
        }
        assert!(ledger.forgotten() > 9_000);
    }
}
