//! Spans on their way to an OpenTelemetry collector, by OTLP over HTTP (floor 4).
//!
//! One thread takes them from a bounded queue and posts them in batches. Nobody waits for it: a span that finds the queue
//! full is counted and gone, and so is a batch that the collector does not take.
mod client;
mod translate;

use crate::broker::{Broker, Span, Spans};
use crate::clock::{Clock, Stopwatch};
use crate::config::{Ratio, Traces};
use client::Client;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long a span waits for others of its batch.
const GATHER: Duration = Duration::from_secs(1);
/// Between complaints about a collector that does not answer.
const COMPLAIN_EVERY_US: u64 = 60_000_000;

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    #[error("traces.{key}: {path}: {why}; {fix}")]
    File { key: &'static str, path: String, why: String, fix: &'static str },
    #[error("traces.endpoint: {0}")]
    Exporter(String),
    #[error("traces: cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// Ready to take spans, once there is a broker that makes them.
pub struct Ready {
    exporter: SpanExporter,
    runtime: Runtime,
    settings: Traces,
}

/// At work.
pub struct Exporting {
    queue: SyncSender<Item>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

enum Item {
    Span(Span),
    /// Wakes the thread up at the end.
    Over,
}

/// Reads the files that are needed, if spans are to be sent.
pub fn open(settings: &Traces) -> Result<Option<Ready>, TracesError> {
    if !settings.is_on() {
        return Ok(None);
    }
    let timeout = Duration::from_millis(settings.timeout_ms);
    let builder = SpanExporter::builder().with_http().with_http_client(Client::open(&settings.ca_file, timeout)?);
    let builder = builder.with_headers(headers(&settings.headers_file)?);
    let builder = builder.with_protocol(Protocol::HttpBinary).with_endpoint(&settings.endpoint).with_timeout(timeout);
    let mut exporter = builder.build().map_err(|error| TracesError::Exporter(error.to_string()))?;
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder_empty().with_service_name(settings.service_name.clone()).with_attribute(version);
    exporter.set_resource(&resource.build());
    // The exporter is written for one; its requests wait where they are made.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(Some(Ready { exporter, runtime, settings: settings.clone() }))
}

impl Ready {
    /// Takes the broker's spans from now on.
    pub fn begin(self, broker: &Arc<Broker>, clock: Clock) -> Result<Exporting, TracesError> {
        let (queue, spans) = sync_channel(self.settings.queue_spans_max);
        let is_over = Arc::new(AtomicBool::new(false));
        let Ratio(ratio) = self.settings.sample_ratio;
        tracing::info!(endpoint = self.settings.endpoint, sample_ratio = ratio, "spans are sent");
        let sender =
            Sender { ready: self, broker: broker.clone(), spans, is_over: is_over.clone(), since_complaint: None };
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(move || sender.run())?;
        let (counters, sink) = (broker.counters.clone(), queue.clone());
        let sink = move |span: Option<Span>| {
            let is_taken = span.is_some_and(|span| match sink.try_send(Item::Span(span)) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            });
            counters.spans_dropped.add(u64::from(!is_taken));
        };
        broker.counters.tracer.span(Spans::new(ratio, clock.now(), Box::new(sink)));
        Ok(Exporting { queue, is_over, thread })
    }
}

impl Exporting {
    /// Sends what is there, as long as the collector takes it.
    pub async fn stop(self) {
        self.is_over.store(true, Ordering::Relaxed);
        // With a full queue the thread is awake.
        let _ = self.queue.try_send(Item::Over);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread that sends spans was lost");
        }
    }
}

struct Sender {
    ready: Ready,
    broker: Arc<Broker>,
    spans: Receiver<Item>,
    is_over: Arc<AtomicBool>,
    since_complaint: Option<Stopwatch>,
}

impl Sender {
    fn run(mut self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let batch = self.gather();
            self.send(batch);
        }
        // Together no longer than one request may take.
        let (began, patience_us) = (Stopwatch::start(), self.ready.settings.timeout_ms.saturating_mul(1000));
        loop {
            let batch: Vec<_> = self.spans.try_iter().take(BATCH_MAX).filter_map(span).collect();
            if batch.is_empty() {
                return;
            }
            if began.elapsed_us() >= patience_us || !self.send(batch) {
                let left = self.spans.try_iter().filter_map(span).count();
                self.broker.counters.spans_dropped.add(left as u64);
                return tracing::warn!(left, "not all spans could be sent before the end");
            }
        }
    }

    /// Waits for a batch, or for what has come of it within a second.
    fn gather(&self) -> Vec<Span> {
        let (began, mut batch) = (Stopwatch::start(), Vec::new());
        while batch.len() < BATCH_MAX {
            let left = GATHER.saturating_sub(Duration::from_micros(began.elapsed_us()));
            match self.spans.recv_timeout(left) {
                Ok(Item::Span(span)) => batch.push(span),
                Ok(Item::Over) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        batch
    }

    fn send(&mut self, batch: Vec<Span>) -> bool {
        if batch.is_empty() {
            return true;
        }
        let count = batch.len() as u64;
        let batch = batch.into_iter().map(translate::translate).collect();
        match self.ready.runtime.block_on(self.ready.exporter.export(batch)) {
            Ok(()) => {
                self.broker.counters.spans_sent.add(count);
                true
            }
            Err(error) => {
                self.broker.counters.spans_dropped.add(count);
                self.complain(&error.to_string(), count);
                false
            }
        }
    }

    fn complain(&mut self, error: &str, spans: u64) {
        if self.since_complaint.is_none_or(|since| since.elapsed_us() >= COMPLAIN_EVERY_US) {
            self.since_complaint = Some(Stopwatch::start());
            tracing::warn!(spans, error, "the collector did not take spans; traces.endpoint says where it should be");
        }
    }
}

fn span(item: Item) -> Option<Span> {
    match item {
        Item::Span(span) => Some(span),
        Item::Over => None,
    }
}

/// Lines of `Name: value`; empty ones, and those that begin with #, say nothing.
fn headers(file: &Path) -> Result<std::collections::HashMap<String, String>, TracesError> {
    if file.as_os_str().is_empty() {
        return Ok(std::collections::HashMap::new());
    }
    let fail = |why: String| TracesError::File {
        key: "headers_file",
        path: file.display().to_string(),
        why,
        fix: "write lines of `Name: value`",
    };
    let text = std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    // A value may be a secret: it is not shown.
    let header = |(index, line): (usize, &str)| match line.split_once(':') {
        Some((name, value)) if is_name(name) => Ok((name.to_owned(), value.trim().to_owned())),
        _ => Err(fail(format!("line {} is no header", index + 1))),
    };
    lines.map(header).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
