//! How near acknowledged messages come to the bare disk: QoS 1 for a durable subscriber that is away.
use super::bare::{Bare, Exchange};
use super::broker::Broker;
use super::groups::{Counter, Groups};
use super::ledger::{Ledger, Sum};
use super::link::Life;
use super::payload::{BYTES_MIN, Number};
use super::probe::{processor_time, processor_time_here, wait_until_at_rest};
use super::publisher::{Item, Publisher};
use super::subscriber::Subscriber;
use super::table::{Table, median, verdict};
use bytes::Bytes;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vowmq::packet::{PublishFrame, PublishQoS, Version};
use vowmq::types::{PacketId, QoS};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Rounds; the medians count. One more before them, to warm up and to learn the groups' size, does not
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Parts of a round: after each part of the load the bare disk does its part, so that both meet the same disk.
    /// With 1 the load is not interrupted, and the broker has no time to make room ahead
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    slices: u32,
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

/// One round: a load in slices, what the broker made of it, and what the bare limits took in between.
struct Round<Bare> {
    messages: u64,
    taken: Taken,
    groups: Groups,
    bare: Bare,
}

/// Time by the clock, and processor time.
#[derive(Default, Clone, Copy)]
struct Taken {
    elapsed: Duration,
    broker: Duration,
    load: Duration,
}

/// Mean times of a lone publisher's bare limits, for one message.
#[derive(Default)]
struct Limits {
    sync: Duration,
    trip: Duration,
    /// Round trips to a peer that syncs before it answers.
    both: Duration,
}

/// The groups to expect, from the round before.
#[derive(Clone, Copy)]
struct Shape {
    messages: f64,
    bytes: u64,
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
    let in_flight = f64::from(arguments.publishers) * arguments.window as f64;
    let mut many_shape = Shape { messages: in_flight, bytes: in_flight as u64 * assumed_bytes(bench.payload) };
    let mut single_shape = Shape { messages: 1.0, bytes: assumed_bytes(bench.payload) };
    let (mut many, mut single) = (Vec::new(), Vec::new());
    for round in 0..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        let found = bench.many(arguments, many_shape).await;
        many_shape = found.shape();
        many.push(found);
        bench.drain().await;
        let found = bench.single(arguments, single_shape).await;
        single_shape = found.shape();
        single.push(found);
        bench.drain().await;
    }
    println!("{}\n", bench.counter.describe());
    print_many(arguments, &many[1..]);
    print_single(arguments, &single[1..]);
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

    /// Many publishers with wide windows; the bare time is of one group.
    async fn many(&mut self, arguments: &Arguments, shape: Shape) -> Round<Duration> {
        let slice = arguments.messages / u64::from(arguments.slices);
        let each = slice / u64::from(arguments.publishers);
        let groups = (slice as f64 / shape.messages).ceil() as u64;
        let mut crew = self.crew(1..arguments.publishers + 1, arguments.window).await;
        let before = self.counter.read(&self.broker).await;
        let (mut taken, mut bare) = (Taken::default(), Duration::ZERO);
        for _ in 0..arguments.slices {
            taken.add(self.publish(&mut crew, each).await);
            bare += self.bare.append(groups, shape.bytes);
        }
        let after = self.counter.read(&self.broker).await;
        let messages = each * u64::from(arguments.publishers) * u64::from(arguments.slices);
        let groups = groups_between(before, after, messages, shape);
        dismiss(crew).await;
        Round { messages, taken, groups, bare: bare / arguments.slices }
    }

    /// One publisher that waits for each acknowledgement.
    async fn single(&mut self, arguments: &Arguments, shape: Shape) -> Round<Limits> {
        let slice = arguments.single_messages / u64::from(arguments.slices);
        let exchange = Exchange { request: packet_bytes(self.payload), answer: PUBACK_BYTES };
        let mut crew = self.crew(0..1, 1).await;
        let before = self.counter.read(&self.broker).await;
        let (mut taken, mut limits) = (Taken::default(), Limits::default());
        for _ in 0..arguments.slices {
            taken.add(self.publish(&mut crew, slice).await);
            limits.sync += self.bare.append(slice, shape.bytes) / arguments.slices;
            limits.trip += self.bare.round_trip(slice, exchange, None) / arguments.slices;
            limits.both += self.bare.round_trip(slice, exchange, Some(shape.bytes)) / arguments.slices;
        }
        let after = self.counter.read(&self.broker).await;
        let messages = slice * u64::from(arguments.slices);
        let groups = groups_between(before, after, messages, shape);
        dismiss(crew).await;
        Round { messages, taken, groups, bare: limits }
    }

    /// Connects a publisher for each stream.
    async fn crew(&self, streams: Range<u32>, window: usize) -> Vec<(u32, Publisher)> {
        let mut crew = Vec::new();
        for stream in streams {
            let (address, name) = (self.broker.address, format!("bench-publisher-{stream}"));
            let publisher = Publisher::open(address, &name, Life::Passing, window, self.payload, Arc::default());
            crew.push((stream, publisher.await));
        }
        crew
    }

    /// Publishes for the subscriber that is away, all publishers at once; how long until the last acknowledgement.
    async fn publish(&mut self, crew: &mut Vec<(u32, Publisher)>, each: u64) -> Taken {
        let (broker, load) = (processor_time(self.broker.pid()), processor_time_here());
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for (stream, mut publisher) in crew.drain(..) {
            let published = &mut self.published[stream as usize];
            let numbers = *published..*published + each;
            *published += each;
            let items = numbers.map(move |number| Item {
                topic: Bytes::from_static(TOPIC.as_bytes()),
                number: Number { stream, number },
                qos: QoS::AtLeastOnce,
            });
            tasks.push(tokio::spawn(async move {
                publisher.publish(items).await;
                (stream, publisher)
            }));
        }
        for task in tasks {
            crew.push(task.await.expect("a publisher ends well"));
        }
        let elapsed = begun.elapsed();
        // A thread that ended meanwhile took its time with it.
        let broker = processor_time(self.broker.pid()).saturating_sub(broker);
        let taken = Taken { elapsed, broker, load: processor_time_here() - load };
        // The bare disk's turn is next, and the broker must not make room ahead meanwhile.
        wait_until_at_rest(self.broker.pid()).await;
        taken
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

impl Taken {
    fn add(&mut self, other: Self) {
        self.elapsed += other.elapsed;
        self.broker += other.broker;
        self.load += other.load;
    }
}

async fn dismiss(crew: Vec<(u32, Publisher)>) {
    for (_, publisher) in crew {
        publisher.close().await;
    }
}

fn groups_between(before: Option<Groups>, after: Option<Groups>, messages: u64, assumed: Shape) -> Groups {
    match (before, after) {
        (Some(before), Some(after)) => after.since(before),
        _ => {
            let count = (messages as f64 / assumed.messages).ceil() as u64;
            Groups { count, bytes: count * assumed.bytes }
        }
    }
}

impl<Bare> Round<Bare> {
    fn rate(&self) -> f64 {
        self.messages as f64 / self.taken.elapsed.as_secs_f64()
    }

    fn shape(&self) -> Shape {
        let messages = self.messages as f64 / self.groups.count.max(1) as f64;
        Shape { messages, bytes: self.groups.mean_bytes() }
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

fn print_many(arguments: &Arguments, rounds: &[Round<Duration>]) {
    let Arguments { publishers, window, payload, .. } = arguments;
    println!("(a) {publishers} publishers, window {window}, payloads of {payload} bytes, QoS 1, subscriber away");
    let mut table = Table::new(&[
        "round",
        "messages/s",
        "groups",
        "messages/group",
        "bytes/group",
        "bare sync us",
        "bare messages/s",
        "of bare",
        "CPU us/message: broker",
        "load",
    ]);
    let mut ratios = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        let bare_rate = round.shape().messages / round.bare.as_secs_f64();
        ratios.push(round.rate() / bare_rate);
        table.row(vec![
            (number + 1).to_string(),
            format!("{:.0}", round.rate()),
            round.groups.count.to_string(),
            format!("{:.1}", round.shape().messages),
            round.groups.mean_bytes().to_string(),
            micros(round.bare),
            format!("{bare_rate:.0}"),
            format!("{:.2}", round.rate() / bare_rate),
            format!("{:.2}", round.taken.broker.as_secs_f64() * 1e6 / round.messages as f64),
            format!("{:.2}", round.taken.load.as_secs_f64() * 1e6 / round.messages as f64),
        ]);
    }
    table.print();
    let (rate, ratio) = (median(rounds.iter().map(Round::rate)), median(ratios));
    println!("median {rate:.0} messages/s, {ratio:.2} of the bare disk with the same groups");
    println!("target {MANY_TARGET}: {}\n", verdict(ratio >= MANY_TARGET));
}

fn print_single(arguments: &Arguments, rounds: &[Round<Limits>]) {
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
    for (number, round) in rounds.iter().enumerate() {
        let limits = &round.bare;
        let each = round.taken.elapsed.div_f64(round.messages as f64);
        let of = |limit: Duration| limit.as_secs_f64() / each.as_secs_f64();
        let found = [of(limits.sync), of(limits.sync + limits.trip), of(limits.both)];
        let mut row = vec![
            (number + 1).to_string(),
            format!("{:.0}", round.rate()),
            micros(each),
            round.groups.count.to_string(),
            round.groups.mean_bytes().to_string(),
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
    let rate = median(rounds.iter().map(Round::rate));
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
