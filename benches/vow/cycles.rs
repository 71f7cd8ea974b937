//! Disk space while messages come, are delivered and acknowledged: it must not grow with what has passed.
use super::broker::Broker;
use super::ledger::Ledger;
use super::link::Life;
use super::payload::{BYTES_MIN, Number};
use super::probe::{Sample, Sampler, thinned};
use super::publisher::{Item, Pace, Publisher};
use super::subscriber::Subscriber;
use super::svg;
use super::table::{Table, mebibytes};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use vowmq::types::QoS;

#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Messages in all
    #[arg(long, default_value_t = 5_000_000)]
    messages: u64,
    /// Bytes of a payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
    /// One message in so many is of QoS 2; 0 sends none
    #[arg(long, default_value_t = 10)]
    qos2_every: u64,
    /// Clients that publish
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    publishers: u32,
    /// Messages each of them may have unacknowledged
    #[arg(long, default_value_t = 200)]
    window: usize,
    /// Messages the publishers may be ahead of the subscriber
    #[arg(long, default_value_t = 20_000)]
    ahead_max: u64,
    /// Milliseconds between samples
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    every_ms: u64,
    /// Rows of the table
    #[arg(long, default_value_t = 30)]
    rows: usize,
    /// Where to draw the curve
    #[arg(long, value_name = "PATH")]
    svg: Option<PathBuf>,
}

const SETTINGS: &str = "[sys]\ninterval_s = 0\n";
const TOPIC: &str = "bench/cycles";

/// Whether nothing was lost, doubled or disordered.
pub async fn run(arguments: &Arguments, directory: &Path) -> bool {
    let broker = Broker::start(directory, SETTINGS);
    let mut subscriber = Subscriber::begin(broker.address, "bench-live", TOPIC, QoS::ExactlyOnce).await;
    let (published, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (tell, received) = watch::channel(0);
    let every = Duration::from_millis(arguments.every_ms);
    let sampler = Sampler::start(broker.pid(), broker.data_dir(), acknowledged.clone(), every);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..arguments.publishers {
        let name = format!("bench-publisher-{number}");
        let payload = arguments.payload.max(BYTES_MIN);
        let (address, window, acknowledged) = (broker.address, arguments.window, acknowledged.clone());
        let publisher = Publisher::open(address, &name, Life::Durable, window, payload, acknowledged).await;
        let pace =
            Pace { published: published.clone(), received: received.clone(), ahead_max: arguments.ahead_max.max(1) };
        let (mut publisher, items) = (publisher.paced(pace), arguments.items(number));
        tasks.push(tokio::spawn(async move {
            publisher.publish(items).await;
            publisher.close().await;
        }));
    }
    let mut ledger = Ledger::default();
    while ledger.received() < arguments.messages {
        subscriber.receive(&mut ledger).await;
        tell.send_replace(ledger.received());
    }
    for task in tasks {
        task.await.expect("a publisher ends well");
    }
    let elapsed = begun.elapsed();
    // Whatever is doubled would come now.
    subscriber.drain(&mut ledger, arguments.messages).await;
    subscriber.leave().await;
    let samples = tokio::task::spawn_blocking(|| sampler.finish()).await.expect("the sampler ends well");
    print_curve(arguments, &samples, elapsed);
    let sum = ledger.sum((0..arguments.publishers).flat_map(|publisher| arguments.streams_of(publisher)));
    println!("{sum}");
    sum.is_sound()
}

impl Arguments {
    /// Messages of one publisher; the first takes what is left over.
    fn share(&self, publisher: u32) -> u64 {
        let publishers = u64::from(self.publishers);
        self.messages / publishers + if publisher == 0 { self.messages % publishers } else { 0 }
    }

    /// One stream for each QoS, since each has its own order.
    fn streams_of(&self, publisher: u32) -> [(u32, u64); 2] {
        let all = self.share(publisher);
        let exactly_once = all.checked_div(self.qos2_every).unwrap_or(0);
        [(2 * publisher, all - exactly_once), (2 * publisher + 1, exactly_once)]
    }

    fn items(&self, publisher: u32) -> impl Iterator<Item = Item> + use<> {
        let every = self.qos2_every;
        (0..self.share(publisher)).map(move |message| {
            let before = message.checked_div(every).unwrap_or(0);
            let is_exactly_once = every > 0 && message % every == every - 1;
            let (qos, stream, number) = if is_exactly_once {
                (QoS::ExactlyOnce, 2 * publisher + 1, before)
            } else {
                (QoS::AtLeastOnce, 2 * publisher, message - before)
            };
            Item { topic: Bytes::from_static(TOPIC.as_bytes()), number: Number { stream, number }, qos }
        })
    }
}

fn print_curve(arguments: &Arguments, samples: &[Sample], elapsed: Duration) {
    let Arguments { messages, payload, publishers, window, .. } = arguments;
    println!(
        "{messages} messages of {payload} bytes by {publishers} publishers (window {window}), one live durable subscriber: \
         {:.0}/s",
        *messages as f64 / elapsed.as_secs_f64()
    );
    let mut table = Table::new(&["s", "acknowledged", "data MiB", "RSS MiB"]);
    for sample in thinned(samples, arguments.rows) {
        table.row(vec![
            format!("{:.1}", sample.at.as_secs_f64()),
            sample.done.to_string(),
            mebibytes(sample.directory_bytes),
            mebibytes(sample.memory.resident),
        ]);
    }
    table.print();
    let maximum = samples.iter().map(|sample| sample.directory_bytes).max().unwrap_or(0);
    let last = samples.last().map_or(0, |sample| sample.directory_bytes);
    println!("data directory: {} MiB at most, {} MiB at the end", mebibytes(maximum), mebibytes(last));
    if let Some(path) = &arguments.svg {
        let points = samples.iter().map(|sample| (sample.done as f64 / 1e6, mebi(sample.directory_bytes)));
        let drawing =
            svg::curve("millions of messages acknowledged", "data directory, MiB", &points.collect::<Vec<_>>());
        std::fs::write(path, drawing).expect("--svg can be written");
    }
}

fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
