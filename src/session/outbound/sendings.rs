//! When each delivery in flight was sent last, and how often: for whoever asks where a message is.
use crate::types::{Now, Rare};
use std::collections::VecDeque;

/// By position, those in flight and some that are finished behind them. Outlives the connection, not the process.
#[derive(Debug, Default)]
pub(super) struct Sendings(Rare<VecDeque<Sending>>);

#[derive(Debug, Clone, Copy)]
pub(super) struct Sending {
    position: u64,
    /// The last PUBLISH or PUBREL left, or the last PUBREC came.
    pub since: Now,
    /// PUBLISHes and, after PUBREC, PUBRELs that were sent again.
    pub resent: u16,
}

impl Sendings {
    pub fn sent(&mut self, position: u64, now: Now) {
        let all = self.0.edit();
        let is_beyond = all.back().is_none_or(|last| last.position < position);
        if is_beyond {
            all.push_back(Sending { position, since: now, resent: 0 });
        } else {
            match all.binary_search_by_key(&position, |sending| sending.position) {
                Ok(place) => {
                    if let Some(sending) = all.get_mut(place) {
                        sending.since = now;
                        sending.resent = sending.resent.saturating_add(1);
                    }
                }
                Err(place) => all.insert(place, Sending { position, since: now, resent: 0 }),
            }
        }
    }

    /// PUBREC came.
    pub fn received(&mut self, position: u64, now: Now) {
        let Some(all) = self.0.get_mut() else { return };
        let found = all.binary_search_by_key(&position, |sending| sending.position);
        if let Some(sending) = found.ok().and_then(|place| all.get_mut(place)) {
            sending.since = now;
        }
    }

    /// Everything below this position is finished.
    pub fn forget_below(&mut self, position: u64) {
        let Some(all) = self.0.get_mut() else { return };
        while all.pop_front_if(|first| first.position < position).is_some() {}
        if all.is_empty() && all.capacity() > 1024 {
            all.shrink_to(64);
        }
    }

    pub fn from(&self, position: u64) -> impl Iterator<Item = (u64, Now, u16)> {
        let place = self.0.get().map_or(0, |all| all.partition_point(|sending| sending.position < position));
        let later = self.0.get().into_iter().flat_map(move |all| all.range(place..));
        later.map(|sending| (sending.position, sending.since, sending.resent))
    }

    pub fn of(&self, position: u64) -> Option<Sending> {
        let all = self.0.get()?;
        let place = all.binary_search_by_key(&position, |sending| sending.position).ok()?;
        all.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_sent_again_is_counted_and_forgotten_when_all_before_are_finished() {
        let mut sendings = Sendings::default();
        for (position, at) in [(3, 10), (4, 11), (3, 20), (2, 21)] {
            sendings.sent(position, Now::from_millis(at));
        }
        sendings.received(4, Now::from_millis(30));
        let found = |sendings: &Sendings, position| {
            sendings.of(position).map(|sending| (sending.since.as_millis(), sending.resent))
        };
        assert_eq!(found(&sendings, 2), Some((21, 0)));
        assert_eq!(found(&sendings, 3), Some((20, 1)));
        assert_eq!(found(&sendings, 4), Some((30, 0)));
        sendings.forget_below(4);
        assert_eq!((found(&sendings, 3), found(&sendings, 4)), (None, Some((30, 0))));
    }
}
