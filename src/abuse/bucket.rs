//! A token bucket: so much in a second, and some more at once after a rest.
use crate::types::Now;

/// What a bucket lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back in one second; more than 0.
    pub per_second: u64,
    /// Tokens that a full bucket holds; at least as many as one second brings.
    pub burst: u64,
}

/// Tokens, counted in thousandths, so that every millisecond brings some. It may owe: what is taken beyond what is
/// there has to come back before anything else is let through.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    rate: Rate,
    /// Thousandths of a token; below zero is a debt.
    level: i128,
    at: Now,
}

const WHOLE: i128 = 1000;

impl Rate {
    /// A rate of 0 is none. The burst is that of `burst_s` seconds, one at least.
    pub fn new(per_second: u64, burst_s: u64) -> Option<Self> {
        (per_second > 0).then(|| Self { per_second, burst: per_second.saturating_mul(burst_s.max(1)) })
    }
}

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: Now) -> Self {
        Self { rate, level: i128::from(rate.burst) * WHOLE, at: now }
    }

    /// Whether so many tokens are there.
    pub fn holds(&mut self, tokens: u64, now: Now) -> bool {
        self.refill(now);
        self.level >= i128::from(tokens) * WHOLE
    }

    /// Takes tokens if all of them are there.
    pub fn take(&mut self, tokens: u64, now: Now) -> bool {
        let is_enough = self.holds(tokens, now);
        if is_enough {
            self.charge(tokens, now);
        }
        is_enough
    }

    /// Takes tokens, whether they are there or not.
    pub fn charge(&mut self, tokens: u64, now: Now) {
        self.refill(now);
        self.level -= i128::from(tokens) * WHOLE;
    }

    /// Milliseconds until nothing is owed any more.
    pub fn in_debt_ms(&mut self, now: Now) -> u64 {
        self.refill(now);
        let owed = u128::try_from(-self.level).unwrap_or(0);
        u64::try_from(owed.div_ceil(u128::from(self.rate.per_second))).unwrap_or(u64::MAX)
    }

    pub fn is_full(&mut self, now: Now) -> bool {
        self.refill(now);
        self.level >= i128::from(self.rate.burst) * WHOLE
    }

    fn refill(&mut self, now: Now) {
        let passed = self.at.millis_until(now);
        self.at = self.at.max(now);
        // One token a second is one thousandth a millisecond.
        let more = i128::from(passed) * i128::from(self.rate.per_second);
        self.level = (self.level + more).min(i128::from(self.rate.burst) * WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Now {
        Now::from_millis(millis)
    }

    #[test]
    fn a_burst_goes_through_at_once_and_the_rest_by_and_by() {
        let mut bucket = Bucket::full(Rate::new(10, 2).unwrap(), at(0));
        assert!(bucket.is_full(at(0)));
        assert!((0..20).all(|_| bucket.take(1, at(0))));
        assert!(!bucket.take(1, at(99)));
        assert!(bucket.take(1, at(100)) && !bucket.take(1, at(100)));
        assert!(bucket.take(20, at(10_000)) && !bucket.take(1, at(10_000)), "a rest fills it, and no more");
    }

    #[test]
    fn a_debt_is_paid_back_first() {
        let mut bucket = Bucket::full(Rate::new(100, 1).unwrap(), at(0));
        bucket.charge(150, at(0));
        assert_eq!(bucket.in_debt_ms(at(0)), 500);
        assert_eq!(bucket.in_debt_ms(at(499)), 1);
        assert_eq!(bucket.in_debt_ms(at(500)), 0);
    }

    #[test]
    fn time_that_stands_still_or_goes_back_brings_nothing() {
        let mut bucket = Bucket::full(Rate::new(1, 1).unwrap(), at(5000));
        assert!(bucket.take(1, at(5000)));
        assert!(!bucket.take(1, at(0)) && !bucket.take(1, at(5000)));
        assert!(bucket.take(1, at(6000)));
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert_eq!(Rate::new(0, 5), None);
        assert_eq!(Rate::new(u64::MAX, 5).unwrap().burst, u64::MAX);
    }

    proptest! {
        #[test]
        fn never_more_goes_through_than_a_burst_and_what_the_time_brings(
            per_second in 1_u64..2000,
            burst_s in 1_u64..5,
            asks in prop::collection::vec((0_u64..700, 1_u64..40), 1..200),
        ) {
            let rate = Rate::new(per_second, burst_s).unwrap();
            let mut bucket = Bucket::full(rate, at(0));
            let (mut now, mut through) = (0, 0);
            for (pause, tokens) in asks {
                now += pause;
                if bucket.take(tokens, at(now)) {
                    through += tokens;
                }
                prop_assert!(u128::from(through) * 1000 <= u128::from(rate.burst) * 1000 + u128::from(now * per_second));
            }
        }
    }
}
