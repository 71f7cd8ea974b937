//! How often values of which size occurred, in fixed buckets.
use std::sync::atomic::{AtomicU64, Ordering};

/// Relaxed: a reader may see one bucket a moment before another.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment. Counts are those of each bucket by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    pub bounds: &'static [u64],
    /// One more than bounds: the last is of what is above all of them.
    pub counts: Vec<u64>,
    pub sum: u64,
}

impl Histogram {
    /// `bounds` are the highest values of each bucket, rising.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub fn observe(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub fn distribution(&self) -> Distribution {
        Distribution {
            bounds: self.bounds,
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was observed since an earlier moment.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let counts = self.counts.iter().zip(&before.counts).map(|(now, then)| now.saturating_sub(*then));
        Self { bounds: self.bounds, counts: counts.collect(), sum: self.sum.saturating_sub(before.sum) }
    }

    /// The bound below which `share` (0 to 1) of the values lie; of those above all bounds, the last bound.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let count = self.count();
        let mut below = 0;
        let bounds = self.bounds.iter().chain(self.bounds.last());
        let found = self.counts.iter().zip(bounds).find(|(here, _)| {
            below += **here;
            below as f64 >= share * count as f64
        });
        found.filter(|_| count > 0).map(|(_, bound)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_into_the_bucket_whose_bound_is_not_below_them() {
        let histogram = Histogram::new(&[10, 100]);
        for value in [1, 10, 11, 100, 101, 5000] {
            histogram.observe(value);
        }
        let distribution = histogram.distribution();
        assert_eq!((distribution.counts.as_slice(), distribution.sum), ([2, 2, 2].as_slice(), 5223));
        assert_eq!(
            (distribution.quantile(0.3), distribution.quantile(0.5), distribution.quantile(1.0)),
            (Some(10), Some(100), Some(100))
        );
        assert_eq!(Histogram::new(&[10]).distribution().quantile(0.5), None);
    }
}
