//! How near acknowledged messages come to the bare disk: QoS 1 for a durable subscriber that is away.
use super::bare::{Bare, Exchange};
use super::broker::Broker;
use super::groups::{Counter, Groups};
use super::ledger::{Ledger, Sum};
use super::link::Life;
use super::payload::{BYTES_MIN, Number};
use super::publisher::{Item, Publisher};
use super::subscriber::Subscriber;
use super::table::{Table, median, verdict};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vowmq::packet::{PublishFrame, PublishQoS, Version};
use vowmq::types::{PacketId, QoS};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rounds of load and bare disk, one after the other; the medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Messages of one round by many publishers
    #[arg(long, default_value_t = 200_000)]
    messages: u64,
    /// Many publishers
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    /// Messages each of them may have unacknowledged
    #[arg(long, default_value_t = 20)]
    window: usize,
    /// Messages of one round by one publisher that waits for each acknowledgement
    #[arg(long, default_value_t = 3_000)]
    single_messages: u64,
    /// Bytes of a payload
    #[arg(long, default_value_t = 64)]
    payload: usize,
}

const SUBSCRIBER: &str = "bench-offline";
const TOPIC: &str = "bench/rate";
const SETTINGS: &str = "[limits]\nqueued_messages_max = 1000000000\nqueued_bytes_max = 1000000000000\n\n\
                        [sys]\ninterval_s = 1\n";
/// Rates as fractions of the bare disk's that count as good.
const MANY_TARGET: f64 = 0.5;
const SINGLE_TARGET: f64 = 0.8;

/// One load, and what the broker made of it.
struct Load {
    messages: u64,
    elapsed: Duration,
    groups: Groups,
}

/// The bare limits of a lone publisher, for one message.
struct Limits {
    sync: Duration,
    trip: Duration,
    /// Round trips to a peer that syncs before it answers.
    both: Duration,
}

struct Bench {
    broker: Broker,
    counter: Counter,
    bare: Bare,
    payload: usize,
    ledger: Ledger,
    /// Messages published so far by each stream.
    published: Vec<u64>,
}

/// Whether nothing was lost, doubled or disordered.
pub async fn run(arguments: &Arguments, directory: &Path) -> bool {
    let mut bench = Bench::start(arguments, directory).await;
    let mut many = Vec::new();
    let mut single = Vec::new();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let load = bench.load(1..arguments.publishers + 1, arguments.window, arguments.messages).await;
        let bare = bench.bare.append(load.groups.count, load.groups.mean_bytes());
        many.push((load, bare));
        bench.drain().await;
        let load = bench.load(0..1, 1, arguments.single_messages).await;
        let limits = bench.limits(&load);
        single.push((load, limits));
        bench.drain().await;
    }
    println!("{}\n", bench.counter.describe());
    print_many(arguments, &many);
    print_single(arguments, &single);
    let sum = bench.sum();
    println!("{sum}");
    sum.is_sound()
}

impl Bench {
    async fn start(arguments: &Arguments, directory: &Path) -> Self {
        let broker = Broker::start(directory, SETTINGS);
        let subscriber = Subscriber::begin(broker.address, SUBSCRIBER, TOPIC, QoS::AtLeastOnce).await;
        subscriber.leave().await;
        let counter = Counter::find(&broker).await;
        let bare = Bare::new(directory);
        let published = vec![0; arguments.publishers as usize + 1];
        let payload = arguments.payload.max(BYTES_MIN);
        Self { broker, counter, bare, payload, ledger: Ledger::default(), published }
    }

    /// Publishes for the subscriber that is away, each stream by a publisher of its own.
    async fn load(&mut self, streams: std::ops::Range<u32>, window: usize, messages: u64) -> Load {
        let mut publishers = Vec::new();
        let each = messages / u64::from(streams.end - streams.start);
        for stream in streams.clone() {
            let (address, name) = (self.broker.address, format!("bench-publisher-{stream}"));
            let publisher = Publisher::open(address, &name, Life::Passing, window, self.payload, Arc::default());
            let published = &mut self.published[stream as usize];
            let numbers = *published..*published + each;
            *published += each;
            let item =
                move |number| Item { topic: Bytes::from_static(TOPIC.as_bytes()), number, qos: QoS::AtLeastOnce };
            publishers.push((publisher.await, numbers.map(move |number| item(Number { stream, number }))));
        }
        let before = self.counter.read(&self.broker).await;
        let begun = Instant::now();
        let tasks: Vec<_> = publishers
            .into_iter()
            .map(|(mut publisher, items)| {
                tokio::spawn(async move {
                    publisher.publish(items).await;
                    publisher
                })
            })
            .collect();
        let mut finished = Vec::new();
        for task in tasks {
            finished.push(task.await.expect("a publisher ends well"));
        }
        let elapsed = begun.elapsed();
        let after = self.counter.read(&self.broker).await;
        for publisher in finished {
            publisher.close().await;
        }
        let messages = each * u64::from(streams.end - streams.start);
        let in_flight = window as u64 * u64::from(streams.end - streams.start);
        let groups = match (before, after) {
            (Some(before), Some(after)) => after.since(before),
            _ => Groups { count: messages.div_ceil(in_flight), bytes: messages * assumed_bytes(self.payload) },
        };
        Load { messages, elapsed, groups }
    }

    /// What a lone publisher could have at best, with the same groups.
    fn limits(&mut self, load: &Load) -> Limits {
        let bytes = Exchange { request: packet_bytes(self.payload), answer: PUBACK_BYTES };
        let group_bytes = load.groups.mean_bytes();
        let sync = self.bare.append(load.groups.count, group_bytes);
        let trip = self.bare.round_trip(load.messages, bytes, None);
        let both = self.bare.round_trip(load.messages, bytes, Some(group_bytes));
        Limits { sync, trip, both }
    }

    /// Fetches everything that was published.
    async fn drain(&mut self) {
        let mut subscriber = Subscriber::resume(self.broker.address, SUBSCRIBER).await;
        subscriber.drain(&mut self.ledger, self.published.iter().sum()).await;
        subscriber.leave().await;
    }

    fn sum(&self) -> Sum {
        let streams = self.published.iter().enumerate();
        self.ledger.sum(streams.map(|(stream, count)| (u32::try_from(stream).expect("as many as publishers"), *count)))
    }
}

impl Load {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    fn messages_per_group(&self) -> f64 {
        self.messages as f64 / self.groups.count.max(1) as f64
    }
}

/// A PUBACK without a reason code.
const PUBACK_BYTES: usize = 4;

/// Bytes of the PUBLISH that is measured.
fn packet_bytes(payload: usize) -> usize {
    let frame = PublishFrame {
        dup: false,
        qos: PublishQoS::AtLeastOnce(PacketId::of_position(0)),
        retain: false,
        topic: TOPIC.as_bytes(),
        topic_alias: None,
        expiry_s: None,
        subscription_ids: &[],
        forward: &[],
        payload: &vec![0; payload],
    };
    frame.packet_len(Version::V5)
}

/// Bytes of a message in a group, where the broker does not tell: its packet, and as much again for a record's rest.
fn assumed_bytes(payload: usize) -> u64 {
    const RECORD_BYTES: usize = 64;
    (packet_bytes(payload) + RECORD_BYTES) as u64
}

fn print_many(arguments: &Arguments, rounds: &[(Load, Duration)]) {
    let Arguments { publishers, window, payload, .. } = arguments;
    println!("(a) {publishers} publishers, window {window}, payloads of {payload} bytes, QoS 1, subscriber away");
    let mut table = Table::new(&[
        "round",
        "messages/s",
        "groups",
        "messages/group",
        "bytes/group",
        "bare append+fdatasync us",
        "bare messages/s",
        "of bare",
    ]);
    let mut ratios = Vec::new();
    for (round, (load, bare)) in rounds.iter().enumerate() {
        let bare_rate = load.messages_per_group() / bare.as_secs_f64();
        ratios.push(load.rate() / bare_rate);
        table.row(vec![
            (round + 1).to_string(),
            format!("{:.0}", load.rate()),
            load.groups.count.to_string(),
            format!("{:.1}", load.messages_per_group()),
            load.groups.mean_bytes().to_string(),
            micros(*bare),
            format!("{bare_rate:.0}"),
            format!("{:.2}", load.rate() / bare_rate),
        ]);
    }
    table.print();
    let (rate, ratio) = (median(rounds.iter().map(|(load, _)| load.rate())), median(ratios));
    println!("median {rate:.0} messages/s, {ratio:.2} of the bare disk with the same groups");
    println!("target {MANY_TARGET}: {}\n", verdict(ratio >= MANY_TARGET));
}

fn print_single(arguments: &Arguments, rounds: &[(Load, Limits)]) {
    println!("(b) 1 publisher, window 1, payloads of {} bytes, QoS 1, subscriber away", arguments.payload);
    let mut table = Table::new(&[
        "round",
        "messages/s",
        "us/message",
        "groups",
        "bytes/group",
        "bare sync us",
        "round trip us",
        "trip with sync us",
        "of sync",
        "of sync + trip",
        "of trip with sync",
    ]);
    let mut ratios = [Vec::new(), Vec::new(), Vec::new()];
    for (round, (load, limits)) in rounds.iter().enumerate() {
        let each = load.elapsed.div_f64(load.messages as f64);
        let of = |limit: Duration| limit.as_secs_f64() / each.as_secs_f64();
        let found = [of(limits.sync), of(limits.sync + limits.trip), of(limits.both)];
        let mut row = vec![
            (round + 1).to_string(),
            format!("{:.0}", load.rate()),
            micros(each),
            load.groups.count.to_string(),
            load.groups.mean_bytes().to_string(),
            micros(limits.sync),
            micros(limits.trip),
            micros(limits.both),
        ];
        for (ratios, ratio) in ratios.iter_mut().zip(found) {
            ratios.push(ratio);
            row.push(format!("{ratio:.2}"));
        }
        table.row(row);
    }
    table.print();
    let rate = median(rounds.iter().map(|(load, _)| load.rate()));
    let [sync, sync_and_trip, both] = ratios.map(median);
    println!("median {rate:.0} messages/s");
    println!("{sync:.2} of bare append+fdatasync of one message: target {SINGLE_TARGET} {}", {
        verdict(sync >= SINGLE_TARGET)
    });
    println!(
        "{sync_and_trip:.2} of the same and a loopback round trip between two threads: target {SINGLE_TARGET} {}",
        { verdict(sync_and_trip >= SINGLE_TARGET) }
    );
    println!("{both:.2} of round trips to a thread that syncs before it answers\n");
}

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
