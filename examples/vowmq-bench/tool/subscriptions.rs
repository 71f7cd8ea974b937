//! Many subscriptions: how fast they are made, and what memory each takes.
use super::link::{Hello, Link};
use super::problem::Tried;
use super::work::{Outcome, Scene};
use std::time::Instant;
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Subscriptions {
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// Clients that share them out
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub clients: u32,
}

/// Filters of one SUBSCRIBE.
const FILTERS: u32 = 100;
/// One filter in so many has wildcards.
const WILDCARD_EVERY: u32 = 10;

impl Subscriptions {
    /// Filters per second, and bytes for one.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let broker = scene.fresh()?;
        let before = broker.usage().resident_mib();
        let mut links = Vec::new();
        for client in 0..self.clients {
            let name = format!("{}-{client}", scene.tag);
            let hello = Hello { name, version: scene.version(), resumes: false, durable: false };
            links.push(Link::open(broker.address, &hello)?);
        }
        let begun = Instant::now();
        let mut made = 0;
        while made < self.count {
            let end = (made + FILTERS).min(self.count);
            let filters: Vec<_> = (made..end).map(filter).collect();
            let link = (made / FILTERS) as usize % links.len();
            links[link].subscribe(&filters, QoS::AtLeastOnce)?;
            made = end;
        }
        let seconds = begun.elapsed().as_secs_f64();
        let bytes = (broker.usage().resident_mib() - before) * f64::from(1 << 20);
        Ok(Outcome::plain(vec![f64::from(self.count) / seconds, bytes / f64::from(self.count)]))
    }
}

fn filter(number: u32) -> String {
    let (house, room) = (number / 1000, number % 1000);
    if number.is_multiple_of(WILDCARD_EVERY) {
        format!("building/{house}/+/{room}/#")
    } else {
        format!("building/{house}/room/{room}/temperature")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn filters_differ() {
        let filters: BTreeSet<_> = (0..5000).map(filter).collect();
        assert_eq!(filters.len(), 5000);
        assert_eq!(filters.iter().filter(|filter| filter.contains('#')).count(), 500);
    }
}
