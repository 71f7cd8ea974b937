//! Many retained messages: how fast they are set, and how fast one subscription with a wildcard gets them all.
use super::link::Link;
use super::plan::{Plan, Shape};
use super::problem::Tried;
use super::run::{Length, run};
use super::subscriber::Subscriber;
use super::work::{Outcome, Scene};
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Retained {
    /// A multiple of ten, for as many publishers
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10..))]
    pub topics: u32,
}

/// As in the other cases: one alone waits for the disk half of the time, whoever answers it.
const PUBLISHERS: u32 = 10;

impl Retained {
    /// Messages per second, set and drained.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let setting = Plan {
            version: scene.version(),
            retain: true,
            counts_topics: true,
            count: self.topics / PUBLISHERS,
            ..Plan::new(Shape::P2p, PUBLISHERS, 0, QoS::AtLeastOnce)
        };
        let (address, tag, usage) = (scene.broker.address, scene.tag.as_str(), scene.broker.usage());
        let mut engine = setting.engine()?;
        setting.open_publishers(&mut engine, address, tag)?;
        let set = run(&mut engine, &setting, Length::UntilDone, scene.clock, &usage)?;
        drop(engine);
        let count = setting.count;
        let draining = Plan { shape: Shape::FanIn, subscribers: 1, ..setting };
        let mut engine = draining.engine()?;
        engine.ledger.streams.iter_mut().for_each(|stream| stream.sent = count);
        let mut link = Link::open(address, &draining.hello(&format!("{tag}-drain"), false))?;
        let begun = scene.clock.now_ns();
        link.subscribe(&[format!("bench/{tag}/#")], QoS::AtLeastOnce)?;
        // They come in the order of the broker's tree, whatever that is.
        engine.add_subscriber(link, Subscriber::new(draining.version, 0..PUBLISHERS, 0, false))?;
        let drained = run(&mut engine, &draining, Length::UntilDone, scene.clock, &usage)?;
        let seconds = engine.ledger.last_arrival_ns.saturating_sub(begun) as f64 / 1e9;
        let rate = drained.received as f64 / seconds;
        Ok(Outcome::of_runs(vec![set.rate, rate], &[set, drained]))
    }
}
