//! Answers of a web service that count for a while.
use crate::identity::Proved;
use crate::types::Now;
use std::collections::{HashMap, VecDeque};

pub(super) type Key = [u8; 32];

/// Only what was allowed is here, so that nobody without a right password can fill it. When it is full the oldest
/// answer leaves.
#[derive(Debug)]
pub(super) struct Cache {
    answers: HashMap<Key, (Now, Proved)>,
    /// In the order in which they came, which is that in which they end.
    order: VecDeque<(Now, Key)>,
    entries_max: usize,
    ttl_ms: u64,
}

impl Cache {
    /// A `ttl_s` of 0 keeps nothing.
    pub fn new(entries_max: usize, ttl_s: u64) -> Self {
        let entries_max = if ttl_s == 0 { 0 } else { entries_max };
        Self { answers: HashMap::new(), order: VecDeque::new(), entries_max, ttl_ms: ttl_s.saturating_mul(1000) }
    }

    pub fn find(&self, key: &Key, now: Now) -> Option<Proved> {
        self.answers.get(key).filter(|(until, _)| *until > now).map(|(_, proved)| proved.clone())
    }

    pub fn keep(&mut self, key: Key, proved: Proved, now: Now) {
        let is_over = |until: &Now| *until <= now;
        while self.order.front().is_some_and(|(until, _)| is_over(until) || self.order.len() >= self.entries_max) {
            self.forget_first();
        }
        if self.entries_max > 0 {
            let until = now.plus_millis(self.ttl_ms);
            self.answers.insert(key, (until, proved));
            self.order.push_back((until, key));
        }
    }

    fn forget_first(&mut self) {
        let Some((until, key)) = self.order.pop_front() else { return };
        // An answer that was renewed since has a place further behind.
        if self.answers.get(&key).is_some_and(|(kept, _)| *kept == until) {
            self.answers.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_after_their_time() {
        let mut cache = Cache::new(10, 1);
        let at = Now::from_millis;
        cache.keep([1; 32], Proved::default(), at(0));
        assert!(cache.find(&[1; 32], at(999)).is_some() && cache.find(&[2; 32], at(0)).is_none());
        assert!(cache.find(&[1; 32], at(1000)).is_none());
        cache.keep([1; 32], Proved::default(), at(1000));
        assert!(cache.find(&[1; 32], at(1999)).is_some());
        assert_eq!((cache.answers.len(), cache.order.len()), (1, 1));
    }

    #[test]
    fn the_oldest_answer_makes_room() {
        let mut cache = Cache::new(2, 1);
        for (key, now) in [(1, 0), (2, 1), (1, 2), (3, 3)] {
            cache.keep([key; 32], Proved::default(), Now::from_millis(now));
            assert!(cache.answers.len() <= 2 && cache.order.len() <= 2);
        }
        let has = |key| cache.find(&[key; 32], Now::from_millis(3)).is_some();
        assert!(has(1) && !has(2) && has(3));
    }

    #[test]
    fn without_a_time_nothing_is_kept() {
        let mut cache = Cache::new(10, 0);
        cache.keep([1; 32], Proved::default(), Now::from_millis(0));
        assert!(cache.find(&[1; 32], Now::from_millis(0)).is_none() && cache.order.is_empty());
    }
}
