//! Load averages: events a minute, over about 1, 5 and 15 minutes, each smoothed exponentially.

const MINUTES: [f64; 3] = [1.0, 5.0, 15.0];
pub(super) const NAMES: [&str; 3] = ["1min", "5min", "15min"];

/// The averages of one counter.
#[derive(Debug, Default, Clone)]
pub(super) struct Average {
    last: u64,
    per_minute: [f64; 3],
}

impl Average {
    /// Takes the counter's value, `minutes` after the last time.
    pub fn update(&mut self, value: u64, minutes: f64) -> [f64; 3] {
        let fresh = value.saturating_sub(self.last) as f64 / minutes.max(1e-9);
        self.last = value;
        for (average, span) in self.per_minute.iter_mut().zip(MINUTES) {
            let kept = (-minutes / span).exp();
            *average = fresh + kept * (*average - fresh);
        }
        self.per_minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_load_becomes_its_rate_and_the_short_average_first() {
        let mut average = Average::default();
        let mut averages = [0.0; 3];
        for step in 1..=30 {
            averages = average.update(step * 10, 1.0 / 6.0);
            assert!(averages[0] >= averages[1] && averages[1] >= averages[2], "{averages:?}");
        }
        assert!((averages[0] - 60.0).abs() < 1.0 && averages[2] < 30.0, "{averages:?}");
    }
}
