//! Deep queues of sessions that are away: memory and disk as they fill, starts after a crash and after an orderly end.
use super::broker::Broker;
use super::ledger::{Ledger, Sum};
use super::link::Life;
use super::payload::{BYTES_MIN, Number};
use super::probe::{Sample, Sampler, directory_bytes, memory, thinned};
use super::publisher::{Item, Publisher};
use super::subscriber::Subscriber;
use super::table::{Table, mebibytes, verdict};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Messages queued in all, counted once for each session
    #[arg(long, default_value_t = 10_000_000)]
    messages: u64,
    /// Sessions that are away
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    sessions: u32,
    /// Bytes of a payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// Publish each message once, to all sessions, instead of each to one of them
    #[arg(long)]
    fan_out: bool,
    /// Clients that publish
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    /// Messages each of them may have unacknowledged
    #[arg(long, default_value_t = 500)]
    window: usize,
    /// Sessions that are drained and checked after each start
    #[arg(long, default_value_t = 5)]
    drained: u32,
    /// Rows of the table while the queues fill
    #[arg(long, default_value_t = 20)]
    rows: usize,
}

const SETTINGS: &str = "[limits]\nqueued_messages_max = 1000000000\nqueued_bytes_max = 1000000000000\n\n\
                        [sys]\ninterval_s = 0\n";
const EVERY: Duration = Duration::from_secs(1);
const PEAK_TARGET: u64 = 700 << 20;
const START_AFTER_KILL_TARGET: Duration = Duration::from_secs(15);
const START_AFTER_STOP_TARGET: Duration = Duration::from_secs(3);
/// Clients that begin their sessions at the same time.
const AT_ONCE: u32 = 64;

/// Whether nothing was lost, doubled or disordered.
pub async fn run(arguments: &Arguments, directory: &Path) -> bool {
    let mut broker = Broker::start(directory, SETTINGS);
    begin_sessions(broker.address, arguments).await;
    let samples = fill(&broker, arguments).await;
    print_filling(arguments, &samples);
    let peak = memory(broker.pid()).peak;
    broker.kill();
    let mut table =
        Table::new(&["start", "to CONNACK s", "RSS MiB", "peak RSS MiB", "data MiB", "draining messages/s"]);
    let mut ledgers = BTreeMap::new();
    let mut drain_and_tell = async |broker: &Broker, what: &str, start: Duration, first: u32| {
        let (at_start, data) = (memory(broker.pid()), directory_bytes(&broker.data_dir()));
        let rate = drain(broker, arguments, first, &mut ledgers).await;
        let (resident, peak) = (mebibytes(at_start.resident), mebibytes(at_start.peak));
        let start = format!("{:.2}", start.as_secs_f64());
        table.row(vec![what.to_owned(), start, resident, peak, mebibytes(data), format!("{rate:.0}")]);
    };
    let after_kill = broker.start_again();
    drain_and_tell(&broker, "after kill -9", after_kill, 0).await;
    let stopping = broker.stop();
    let after_stop = broker.start_again();
    drain_and_tell(&broker, "after SIGTERM", after_stop, 1).await;
    look_again(&broker, arguments, &mut ledgers).await;
    table.print();
    println!("the orderly end took {:.2} s; all starts with warm page cache", stopping.as_secs_f64());
    println!("target: peak RSS below {} MiB: {}", mebibytes(PEAK_TARGET), verdict(peak < PEAK_TARGET));
    let is_met = after_kill < START_AFTER_KILL_TARGET;
    println!("target: start after kill -9 within {START_AFTER_KILL_TARGET:?}: {}", verdict(is_met));
    let is_met = after_stop < START_AFTER_STOP_TARGET;
    println!("target: start after an orderly end within {START_AFTER_STOP_TARGET:?}: {}", verdict(is_met));
    let mut sum = Sum::default();
    for (session, ledger) in &ledgers {
        sum.add(ledger.sum(arguments.streams_of(*session)));
    }
    println!("{} sessions drained: {sum}", ledgers.len());
    sum.is_sound()
}

fn session_name(session: u32) -> String {
    format!("bench-session-{session}")
}

fn topic(session: u32) -> String {
    format!("bench/queue/{session}")
}

const FAN_TOPIC: &str = "bench/fan";

async fn begin_sessions(address: SocketAddr, arguments: &Arguments) {
    let begun = Instant::now();
    let (sessions, fan_out) = (arguments.sessions, arguments.fan_out);
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|first| {
            tokio::spawn(async move {
                for session in (first..sessions).step_by(AT_ONCE as usize) {
                    let filter = if fan_out { FAN_TOPIC.to_owned() } else { topic(session) };
                    let name = session_name(session);
                    Subscriber::begin(address, &name, &filter, QoS::AtLeastOnce).await.leave().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("sessions begin well");
    }
    println!("{sessions} sessions begun in {:.1} s", begun.elapsed().as_secs_f64());
}

impl Arguments {
    /// PUBLISH packets in all.
    fn publishes(&self) -> u64 {
        if self.fan_out { self.messages / u64::from(self.sessions) } else { self.messages }
    }

    /// What one publisher publishes: its share of the sessions in turns, or its share of what all get.
    fn items(&self, publisher: u32) -> impl Iterator<Item = Item> + use<> {
        let (publishers, sessions, fan_out) = (u64::from(self.publishers), u64::from(self.sessions), self.fan_out);
        let topics: Vec<Bytes> = if fan_out {
            vec![Bytes::from_static(FAN_TOPIC.as_bytes())]
        } else {
            (0..self.sessions).map(|session| Bytes::from(topic(session))).collect()
        };
        let all = 0..self.publishes();
        let of_session = move |message: u64| message % sessions;
        // A session's messages, and with --fan-out a stream's, all come from one publisher, so that they have an order.
        let is_own = move |message: &u64| {
            let part = if fan_out { *message } else { of_session(*message) };
            part % publishers == u64::from(publisher)
        };
        all.filter(is_own).map(move |message| {
            let (stream, number, topic) = if fan_out {
                (message % publishers, message / publishers, 0)
            } else {
                (of_session(message), message / sessions, of_session(message))
            };
            let stream = u32::try_from(stream).expect("fewer than there are publishers or sessions");
            let topic = topics[usize::try_from(topic).expect("a session's number")].clone();
            Item { topic, number: Number { stream, number }, qos: QoS::AtLeastOnce }
        })
    }

    /// The streams that a session gets, with their lengths.
    fn streams_of(&self, session: u32) -> Vec<(u32, u64)> {
        // How many of `all` numbers leave this remainder.
        let share = |all: u64, parts: u32, part: u32| (all + u64::from(parts - 1 - part)) / u64::from(parts);
        if self.fan_out {
            let streams = 0..self.publishers;
            streams.map(|stream| (stream, share(self.publishes(), self.publishers, stream))).collect()
        } else {
            vec![(session, share(self.messages, self.sessions, session))]
        }
    }
}

/// Publishes everything, watching the broker.
async fn fill(broker: &Broker, arguments: &Arguments) -> Vec<Sample> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let sampler = Sampler::start(broker.pid(), broker.data_dir(), acknowledged.clone(), EVERY);
    let payload = arguments.payload.max(BYTES_MIN);
    let mut tasks = Vec::new();
    for publisher in 0..arguments.publishers {
        let name = format!("bench-publisher-{publisher}");
        let acknowledged = acknowledged.clone();
        let open = Publisher::open(broker.address, &name, Life::Passing, arguments.window, payload, acknowledged);
        let (mut client, items) = (open.await, arguments.items(publisher));
        tasks.push(tokio::spawn(async move {
            client.publish(items).await;
            client.close().await;
        }));
    }
    for task in tasks {
        task.await.expect("a publisher ends well");
    }
    // The files are sampled on another thread, which must not keep this one's clients waiting.
    tokio::task::spawn_blocking(|| sampler.finish()).await.expect("the sampler ends well")
}

fn print_filling(arguments: &Arguments, samples: &[Sample]) {
    let each = if arguments.fan_out { u64::from(arguments.sessions) } else { 1 };
    let mut table = Table::new(&["s", "queued", "queued/s", "RSS MiB", "peak RSS MiB", "data MiB"]);
    let mut earlier: Option<Sample> = None;
    for sample in thinned(samples, arguments.rows) {
        let rate = earlier.map_or(0.0, |earlier| {
            ((sample.done - earlier.done) * each) as f64 / (sample.at - earlier.at).as_secs_f64()
        });
        table.row(vec![
            format!("{:.1}", sample.at.as_secs_f64()),
            (sample.done * each).to_string(),
            format!("{rate:.0}"),
            mebibytes(sample.memory.resident),
            mebibytes(sample.memory.peak),
            mebibytes(sample.directory_bytes),
        ]);
        earlier = Some(sample);
    }
    table.print();
}

/// Drains a few sessions, spread over all; `first` chooses others for another call. Returns messages per second.
async fn drain(broker: &Broker, arguments: &Arguments, first: u32, ledgers: &mut BTreeMap<u32, Ledger>) -> f64 {
    let step = (arguments.sessions / arguments.drained.max(1)).max(2);
    let (mut received, mut elapsed) = (0, Duration::ZERO);
    for session in (first..arguments.sessions).step_by(step as usize).take(arguments.drained as usize) {
        let ledger = ledgers.entry(session).or_default();
        let mut subscriber = Subscriber::resume(broker.address, &session_name(session)).await;
        let count = arguments.streams_of(session).iter().map(|(_, count)| count).sum();
        elapsed += subscriber.drain(ledger, count).await;
        subscriber.leave().await;
        received += ledger.received();
    }
    received as f64 / elapsed.as_secs_f64()
}

/// Comes back to sessions that have had everything: what they are given again is doubled.
async fn look_again(broker: &Broker, arguments: &Arguments, ledgers: &mut BTreeMap<u32, Ledger>) {
    for (session, ledger) in ledgers {
        let mut subscriber = Subscriber::resume(broker.address, &session_name(*session)).await;
        let count = arguments.streams_of(*session).iter().map(|(_, count)| count).sum();
        subscriber.drain(ledger, count).await;
        subscriber.leave().await;
    }
}
