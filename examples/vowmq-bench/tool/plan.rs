//! What a run is made of: who publishes what to whom, and how. Names follow the Open MQTT Benchmark Suite.
use super::engine::Engine;
use super::ledger::Ledger;
use super::link::{Hello, Link};
use super::problem::Tried;
use super::publisher::{Limits, Pace, Publisher};
use super::stamp::filler;
use super::subscriber::Subscriber;
use super::wire::{DIGITS, Template};
use serde::Serialize;
use std::net::SocketAddr;
use std::ops::Range;
use vowmq::packet::Version;
use vowmq::types::QoS;

/// Who gets whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// As many subscribers as publishers, a topic for each pair
    P2p,
    /// Everything to everybody
    FanOut,
    /// Many publishers with topics of their own, one subscriber with a wildcard
    FanIn,
    /// Many publishers, a group of subscribers that share
    Shared,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub shape: Shape,
    pub publishers: u32,
    pub subscribers: u32,
    pub qos: QoS,
    pub version: Version,
    pub payload_bytes: usize,
    /// Messages a publisher may have unacknowledged.
    pub window: u32,
    /// Messages of a publisher that may be on their way to subscribers, for each of these.
    pub ahead: u32,
    /// Messages published per second in all, at their times, whether or not the broker keeps up.
    pub rate: Option<f64>,
    /// Whether subscribers have sessions that outlive their connections.
    pub durable: bool,
    pub retain: bool,
    /// Each message has a topic of its own.
    pub counts_topics: bool,
    /// Messages of each publisher.
    pub count: u32,
    /// Poll without waiting: for times of single messages.
    pub spins: bool,
}

impl Plan {
    pub fn new(shape: Shape, publishers: u32, subscribers: u32, qos: QoS) -> Self {
        Self {
            shape,
            publishers,
            subscribers,
            qos,
            version: Version::V5,
            payload_bytes: 64,
            window: 100,
            ahead: if qos == QoS::AtMostOnce { 100 } else { 1000 },
            rate: None,
            durable: false,
            retain: false,
            counts_topics: false,
            count: u32::MAX,
            spins: false,
        }
    }

    fn topic(&self, tag: &str, publisher: u32) -> String {
        match self.shape {
            Shape::P2p if self.counts_topics => format!("bench/{tag}/{publisher}/{DIGITS}"),
            Shape::P2p | Shape::FanIn | Shape::Shared => format!("bench/{tag}/{publisher}"),
            Shape::FanOut => format!("bench/{tag}/all"),
        }
    }

    pub fn filter(&self, tag: &str, subscriber: u32) -> String {
        match self.shape {
            Shape::P2p => format!("bench/{tag}/{subscriber}"),
            Shape::FanOut => format!("bench/{tag}/all"),
            Shape::FanIn => format!("bench/{tag}/+"),
            Shape::Shared => format!("$share/bench/bench/{tag}/+"),
        }
    }

    /// The streams one subscriber gets.
    fn streams(&self, subscriber: u32) -> Range<u32> {
        match self.shape {
            Shape::P2p => subscriber..subscriber + 1,
            Shape::FanOut | Shape::FanIn | Shape::Shared => 0..self.publishers,
        }
    }

    /// Where the tallies of one subscriber's streams begin.
    fn tallies_at(&self, subscriber: u32) -> u32 {
        match self.shape {
            Shape::P2p => subscriber,
            Shape::FanOut | Shape::FanIn => subscriber * self.publishers,
            Shape::Shared => 0,
        }
    }

    /// The stream of each tally, in order.
    pub fn tally_streams(&self) -> Vec<u32> {
        match self.shape {
            Shape::P2p => (0..self.subscribers).collect(),
            Shape::Shared => (0..self.publishers).collect(),
            Shape::FanOut | Shape::FanIn => (0..self.subscribers).flat_map(|_| 0..self.publishers).collect(),
        }
    }

    /// Deliveries that one message becomes.
    pub fn copies(&self) -> u32 {
        match self.shape {
            Shape::P2p | Shape::Shared => self.subscribers.min(1),
            Shape::FanOut | Shape::FanIn => self.subscribers,
        }
    }

    /// An engine without clients.
    pub fn engine(&self) -> Tried<Engine> {
        let ledger = Ledger::new(self.publishers, self.tally_streams().len(), self.payload_bytes);
        Engine::new(ledger, self.payload_bytes)
    }

    /// Connects and subscribes all subscribers. With `resumes` their sessions and subscriptions are there already.
    pub fn open_subscribers(&self, engine: &mut Engine, address: SocketAddr, tag: &str, resumes: bool) -> Tried<()> {
        for number in 0..self.subscribers {
            let mut link = Link::open(address, &self.hello(&subscriber_name(tag, number), resumes))?;
            if !resumes {
                link.subscribe(&[self.filter(tag, number)], self.qos)?;
            }
            let subscriber =
                Subscriber::new(self.version, self.streams(number), self.tallies_at(number) as usize, true);
            engine.add_subscriber(link, subscriber)?;
        }
        Ok(())
    }

    pub fn open_publishers(&self, engine: &mut Engine, address: SocketAddr, tag: &str) -> Tried<()> {
        let filler = filler(self.payload_bytes);
        for number in 0..self.publishers {
            let hello = Hello { durable: false, ..self.hello(&format!("{tag}-p-{number}"), false) };
            let link = Link::open(address, &hello)?;
            let template = Template::new(&self.topic(tag, number), self.qos, self.retain, &filler, self.version);
            let publisher =
                Publisher::new(template, number, self.qos as u8, self.limits(link.receive_max), self.pace(number));
            engine.add_publisher(link, publisher)?;
        }
        Ok(())
    }

    fn limits(&self, receive_max: u16) -> Limits {
        let copies = u64::from(self.copies());
        // Without subscribers nothing arrives, so that nothing can be waited for.
        let ahead_max = if copies == 0 || self.rate.is_some() { u64::MAX } else { u64::from(self.ahead) * copies };
        // Identifiers come round after 65,535.
        let window = if self.rate.is_some() { 60_000 } else { self.window };
        let window = window.min(u32::from(receive_max));
        Limits { window, ahead_max, copies: copies.max(1), count: self.count }
    }

    fn pace(&self, publisher: u32) -> Pace {
        let Some(rate) = self.rate else { return Pace::Eager };
        let every_ns = 1e9 / rate * f64::from(self.publishers);
        Pace::Scheduled { first_ns: every_ns * f64::from(publisher) / f64::from(self.publishers), every_ns }
    }

    pub fn hello(&self, name: &str, resumes: bool) -> Hello {
        Hello { name: name.to_owned(), version: self.version, resumes, durable: self.durable }
    }
}

/// The Client Identifier of a subscriber.
pub fn subscriber_name(tag: &str, number: u32) -> String {
    format!("{tag}-s-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tally_belongs_to_the_stream_its_subscribers_expect_there() {
        for (shape, publishers, subscribers) in
            [(Shape::P2p, 3, 3), (Shape::FanOut, 1, 4), (Shape::FanIn, 4, 1), (Shape::Shared, 4, 2)]
        {
            let plan = Plan::new(shape, publishers, subscribers, QoS::AtMostOnce);
            let tallies = plan.tally_streams();
            for subscriber in 0..subscribers {
                let expected: Vec<u32> = plan.streams(subscriber).collect();
                let at = plan.tallies_at(subscriber) as usize;
                assert_eq!(tallies[at..at + expected.len()], expected, "{shape:?} {subscriber}");
            }
        }
    }

    #[test]
    fn a_rate_is_shared_out_evenly() {
        let plan = Plan { rate: Some(1000.0), ..Plan::new(Shape::P2p, 4, 4, QoS::AtMostOnce) };
        assert_eq!(plan.pace(2), Pace::Scheduled { first_ns: 2e6, every_ns: 4e6 });
    }
}
