//! Queues of sessions that are away: how fast they fill, and how fast they empty when the clients come back.
use super::link::Link;
use super::plan::{Plan, Shape, subscriber_name};
use super::problem::Tried;
use super::run::{Length, run};
use super::work::{Outcome, Scene};
use vowmq::packet::{Disconnect, Packet};
use vowmq::types::{QoS, ReasonCode};

#[derive(Debug, Clone, clap::Args)]
pub struct Offline {
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions: u32,
    /// For each of them
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub messages: u32,
    #[arg(long, default_value = "1", value_parser = super::scenario::parse_qos)]
    pub qos: QoS,
}

impl Offline {
    /// Messages per second in and out.
    pub fn play(&self, scene: &Scene<'_>) -> Tried<Outcome> {
        let there = Plan {
            version: scene.version(),
            durable: true,
            count: self.messages,
            ..Plan::new(Shape::P2p, self.sessions, self.sessions, self.qos)
        };
        let (address, tag, usage) = (scene.broker.address, scene.tag.as_str(), scene.broker.usage());
        for number in 0..self.sessions {
            let mut link = Link::open(address, &there.hello(&subscriber_name(tag, number), false))?;
            link.subscribe(&[there.filter(tag, number)], self.qos)?;
            link.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)))?;
            link.wait_until_closed();
        }
        let away = Plan { subscribers: 0, ..there.clone() };
        let mut engine = away.engine()?;
        away.open_publishers(&mut engine, address, tag)?;
        let filled = run(&mut engine, &away, Length::UntilDone, scene.clock, &usage)?;
        drop(engine);
        let mut engine = there.engine()?;
        engine.ledger.streams.iter_mut().for_each(|stream| stream.sent = self.messages);
        let begun = scene.clock.now_ns();
        there.open_subscribers(&mut engine, address, tag, true)?;
        let drained = run(&mut engine, &there, Length::UntilDone, scene.clock, &usage)?;
        let seconds = engine.ledger.last_arrival_ns.saturating_sub(begun) as f64 / 1e9;
        let rate = drained.received as f64 / seconds;
        Ok(Outcome::of_runs(vec![filled.rate, rate], &[filled, drained]))
    }
}
