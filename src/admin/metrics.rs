//! The broker's numbers as OpenMetrics, taken when somebody asks.
//!
//! Labels have few values that are known beforehand (versions, QoS, reasons, listeners); no client can add any.
mod encode;

use super::health::hindrances;
use super::problem::{Problem, Ready};
use super::{Desk, Shared};
use crate::broker::{Broker, Census, Counters, Lag};
use crate::machine;
use crate::session::UnderWay;
use crate::tls::Life;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use encode::Page;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything at one moment.
#[derive(Debug)]
struct Scrape {
    broker: Arc<Broker>,
    is_ready: bool,
    started_s: f64,
    now_s: f64,
    census: Census,
    lag: Lag,
    resident_bytes: Option<u64>,
    open_files: Option<u64>,
    disk_bytes: Option<(u64, u64)>,
    log_files: (u64, u64),
    certificates: Vec<(String, Vec<Life>)>,
}

/// Metrics for Prometheus and its kin.
#[cfg_attr(test, utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String))))]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>, Ready(desk): Ready) -> Result<Response, Problem> {
    let is_ready = hindrances(shared.desk.get()).is_empty();
    // It looks at every session and at the disk, so that it does not belong on a thread that serves connections.
    let text = tokio::task::spawn_blocking(move || {
        let scrape = Scrape::take(&desk, is_ready);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    let failed = |why: String| Problem::unavailable(format!("the metrics could not be gathered: {why}"));
    let text = text.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

impl Scrape {
    fn take(desk: &Desk, is_ready: bool) -> Self {
        let (broker, directory) = (desk.broker.clone(), desk.data_dir.as_deref());
        Self {
            is_ready,
            started_s: desk.clock.started_at().as_millis() as f64 / 1000.0,
            now_s: desk.clock.now().as_millis() as f64 / 1000.0,
            certificates: (desk.certificates)(),
            census: broker.census(),
            lag: broker.lag(),
            resident_bytes: machine::resident_bytes(),
            open_files: machine::open_files(),
            disk_bytes: directory.and_then(machine::disk_bytes),
            log_files: directory.map(|directory| machine::files(directory, &["log", "free"])).unwrap_or_default(),
            broker,
        }
    }

    fn put_process(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge("process_start_time_seconds", "When the broker was started, since 1970", self.started_s)?;
        if let Some(bytes) = self.resident_bytes {
            page.gauge("process_resident_memory_bytes", "Main memory of the process", bytes as f64)?;
        }
        if let Some(files) = self.open_files {
            page.gauge("process_open_fds", "Files and sockets that are open", files as f64)?;
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        page.gauges("vowmq_build", "The version, as a label", [(version, 1.0)])?;
        page.gauge("vowmq_ready", "Whether clients can be served, as /readyz says", f64::from(u8::from(self.is_ready)))
    }

    fn put_clients(&self, page: &mut Page<'_>) -> fmt::Result {
        let census = &self.census;
        let v3 = census.connected - census.connected_v5;
        let connections = [([("version", "3")], v3 as f64), ([("version", "5")], census.connected_v5 as f64)];
        page.gauges("vowmq_connections", "Clients connected, by MQTT version", connections)?;
        let by_listener = census.by_listener.iter().map(|(name, count)| ([("listener", &**name)], *count as f64));
        page.gauges("vowmq_listener_connections", "Clients connected, by listener", by_listener)?;
        let away = census.sessions - census.connected;
        let sessions = [([("state", "connected")], census.connected as f64), ([("state", "away")], away as f64)];
        page.gauges("vowmq_sessions", "Sessions", sessions)?;
        page.gauge("vowmq_sessions_durable", "Sessions that outlive their connections", census.durable as f64)?;
        let forgotten = self.broker.abuse.forgotten();
        page.counter("vowmq_abuse_forgotten", "Entries given up, as abuse.remembered_max was reached", forgotten)?;
        let (retained, retained_bytes) = self.broker.retained_size();
        let held = self.broker.held_bytes() as f64;
        for (name, help, value) in [
            ("vowmq_queued_messages", "QoS 1 and 2 deliveries not finished", census.queued_messages as f64),
            ("vowmq_queued_bytes", "Bytes of them", census.queued_bytes as f64),
            ("vowmq_queue_longest_messages", "The longest queue of a session", census.longest_queue as f64),
            (
                "vowmq_handshakes_in_doubt",
                "QoS 1 and 2 exchanges under way, both directions",
                census.under_way.total() as f64,
            ),
            ("vowmq_subscriptions", "Subscriptions", self.broker.subscriptions() as f64),
            ("vowmq_shared_groups", "Groups of shared subscriptions", self.broker.groups() as f64),
            ("vowmq_retained_messages", "Retained messages", retained as f64),
            ("vowmq_retained_bytes", "Bytes of them", retained_bytes as f64),
            ("vowmq_queue_memory_bytes", "Bytes of stored deliveries that are in memory as well", held),
        ] {
            page.gauge(name, help, value)?;
        }
        let UnderWay { puback, pubrec, pubcomp, pubrel } = census.under_way;
        let states = [("puback", puback), ("pubrec", pubrec), ("pubcomp", pubcomp), ("pubrel", pubrel)];
        let states = states.map(|(packet, count)| ([("awaiting", packet)], count as f64));
        page.gauges(
            "vowmq_handshakes",
            "QoS 1 and 2 exchanges under way, by the packet that is due from the client",
            states,
        )
    }

    fn put_traffic(&self, page: &mut Page<'_>) -> fmt::Result {
        let traffic = &self.broker.counters.traffic;
        for (name, help, counts) in [
            ("vowmq_publishes_received", "PUBLISHes that came", &traffic.received),
            ("vowmq_deliveries_sent", "PUBLISHes that were written", &traffic.sent),
        ] {
            let by_kind = [("3", false), ("5", true)].into_iter().flat_map(|(version, is_v5)| {
                let by_qos = ["0", "1", "2"].into_iter().zip(counts.values(is_v5));
                by_qos.map(move |(qos, count)| ([("version", version), ("qos", qos)], count))
            });
            page.counters(name, help, by_kind)?;
        }
        for (name, help, counter) in [
            ("vowmq_packets_received", "Packets of any kind", &traffic.packets_received),
            ("vowmq_packets_sent", "Packets of any kind", &traffic.packets_sent),
            ("vowmq_received_bytes", "Bytes of packets", &traffic.bytes_received),
            ("vowmq_sent_bytes", "Bytes of packets", &traffic.bytes_sent),
            ("vowmq_payload_received_bytes", "Bytes of payloads of PUBLISHes", &traffic.payload_bytes_received),
            ("vowmq_payload_sent_bytes", "Bytes of payloads of PUBLISHes", &traffic.payload_bytes_sent),
        ] {
            page.counter(name, help, counter.value())?;
        }
        Ok(())
    }

    /// Below zero for those that have ended. A listener may have more than one of the same name, as of two kinds of key:
    /// the first to end is told.
    fn put_certificates(&self, page: &mut Page<'_>) -> fmt::Result {
        let mut ends: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for (listener, life) in
            self.certificates.iter().flat_map(|(name, lives)| lives.iter().map(move |life| (name, life)))
        {
            let end = ends.entry((listener, &life.subject)).or_insert(life.expires_at_s);
            *end = life.expires_at_s.min(*end);
        }
        let left = ends.into_iter().map(|((listener, subject), end)| {
            ([("listener", listener), ("subject", subject)], end as f64 - self.now_s)
        });
        page.gauges("vowmq_certificate_expiry_seconds", "How long until a listener's certificate ends", left)
    }

    fn put_store(&self, page: &mut Page<'_>) -> fmt::Result {
        page.histogram(
            "vowmq_delivery_seconds",
            "From a PUBLISH's arrival until it was written for a receiver that was there: one PUBLISH of each read",
            &self.broker.counters.deliveries.delivery_us.distribution(),
            1e6,
        )?;
        let commits = &self.broker.counters.commits;
        page.histogram(
            "vowmq_commit_seconds",
            "How long the store took to make a group durable",
            &commits.commit_us.distribution(),
            1e6,
        )?;
        page.histogram(
            "vowmq_commit_wait_seconds",
            "From the first submission of a group until all of it was handed on: what a publisher waits for, at most",
            &commits.wait_us.distribution(),
            1e6,
        )?;
        page.histogram("vowmq_commit_records", "Records of a group", &commits.records.distribution(), 1.0)?;
        let lag = self.lag;
        page.gauge("vowmq_commit_lag_seconds", "For how long the oldest submission waits", lag.oldest_us as f64 / 1e6)?;
        page.gauge("vowmq_commit_lag_submissions", "Submissions that wait", lag.submissions as f64)?;
        page.gauge("vowmq_commit_lag_bytes", "Bytes that wait", lag.bytes as f64)?;
        let is_full = f64::from(u8::from(self.broker.is_short_of_space()));
        page.gauge("vowmq_disk_full", "Whether new messages are refused as the disk is full", is_full)?;
        if let Some((free, all)) = self.disk_bytes {
            page.gauge("vowmq_disk_free_bytes", "Free on the disk of data_dir", free as f64)?;
            page.gauge("vowmq_disk_bytes", "Size of the disk of data_dir", all as f64)?;
        }
        let (segments, bytes) = self.log_files;
        page.gauge("vowmq_log_segments", "Files of the delivery log, those made in advance included", segments as f64)?;
        page.gauge("vowmq_log_bytes", "Bytes of them", bytes as f64)
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page::new(encoder);
        self.put_process(page)?;
        self.put_clients(page)?;
        self.put_traffic(page)?;
        self.put_store(page)?;
        self.put_certificates(page)?;
        put_counters(&self.broker.counters, page)
    }
}

/// Counters that tell one reason each become one metric with a label.
const BY_REASON: [(&str, &str, &str); 5] = [
    ("logins/refused/", "vowmq_logins_refused", "Logins refused"),
    ("connections/refused/", "vowmq_connections_refused", "Connections refused"),
    ("connections/closed/", "vowmq_connections_closed", "Connections that the broker closed"),
    ("publish/dropped/", "vowmq_deliveries_dropped", "Deliveries given up"),
    ("publish/refused/", "vowmq_publishes_refused", "PUBLISHes refused to their publishers"),
];
/// Counted by kind already.
const TOLD: [&str; 2] = ["publish/received", "publish/sent"];

fn put_counters(counters: &Counters, page: &mut Page<'_>) -> fmt::Result {
    for (prefix, name, help) in BY_REASON {
        let reasons = counters
            .all()
            .filter_map(|(topic, value)| topic.strip_prefix(prefix).map(|reason| ([("reason", reason)], value)));
        page.counters(name, help, reasons)?;
    }
    for (topic, value) in counters.all() {
        let is_told = TOLD.contains(&topic) || BY_REASON.iter().any(|(prefix, ..)| topic.starts_with(prefix));
        if !is_told {
            let name = format!("vowmq_{}", topic.trim_start_matches("vow/").replace('/', "_"));
            page.counter(&name, &format!("Since the start; $SYS/broker/{topic}"), value)?;
        }
    }
    Ok(())
}
