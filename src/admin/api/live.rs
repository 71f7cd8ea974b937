//! The broker's pulse: one sample a second, for whoever draws it.
use super::trace::json;
use crate::admin::problem::{Problem, Ready};
use crate::admin::{Desk, Shared};
use crate::broker::Distribution;
use crate::machine;
use axum::extract::State;
use axum::response::sse::{self, Sse};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

const PERIOD: Duration = Duration::from_secs(1);

/// One second.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Sample {
    pub at_ms: u64,
    pub connections: u64,
    pub sessions: u64,
    pub queued_messages: u64,
    pub queued_bytes: u64,
    /// QoS 1 and 2 exchanges under way.
    pub handshakes: u64,
    /// Since the sample before, for each second.
    pub publishes_received_per_s: f64,
    pub deliveries_sent_per_s: f64,
    pub deliveries_dropped_per_s: f64,
    pub bytes_received_per_s: f64,
    pub bytes_sent_per_s: f64,
    pub commits_per_s: f64,
    /// Of the commits since the sample before, in microseconds; absent if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_us_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_us_p99: Option<u64>,
    /// From a submission until it was durable and on its way to its receivers, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_us_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_us_p99: Option<u64>,
    /// From a PUBLISH's arrival until it was written for a receiver that was there, likewise; of one PUBLISH in each read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_us_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_us_p99: Option<u64>,
    pub commit_lag_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    /// Whether the broker is ready, as /readyz says.
    pub ready: bool,
}

/// The counts that rates are made from.
struct Counts {
    at_ms: u64,
    values: [u64; 5],
    commits: Distribution,
    waits: Distribution,
    deliveries: Distribution,
}

/// One sample a second as Server-Sent Events of type `sample`, the first at once
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/live", tag = "health", responses((status = 200, description = "a stream of Sample", content_type = "text/event-stream", body = Sample), (status = 503, body = Problem))))]
pub(super) async fn live(
    State(shared): State<Arc<Shared>>,
    Ready(desk): Ready,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let place = shared.streams.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable("too many streams are open; end one of them first"))?;
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut before = Counts::of(&desk);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = sender.closed() => break,
            }
            let from = desk.clone();
            // It looks at every session.
            let Ok((sample, counts)) = tokio::task::spawn_blocking(move || Sample::take(&from, &before)).await else {
                break;
            };
            before = counts;
            if sender.send(Ok(sse::Event::default().event("sample").data(json(&sample)))).await.is_err() {
                break;
            }
        }
        drop(place);
    });
    Ok(Sse::new(ReceiverStream::new(receiver)))
}

impl Counts {
    fn of(desk: &Desk) -> Self {
        let (counters, traffic) = (&desk.broker.counters, &desk.broker.counters.traffic);
        let values = [
            counters.publishes_received.value(),
            counters.deliveries_sent.value(),
            counters.dropped_in_all(),
            traffic.bytes_received.value(),
            traffic.bytes_sent.value(),
        ];
        let (commits, waits) = (&counters.commits.commit_us, &counters.commits.wait_us);
        let (commits, waits) = (commits.distribution(), waits.distribution());
        let deliveries = counters.deliveries.delivery_us.distribution();
        Self { at_ms: desk.clock.now().as_millis(), values, commits, waits, deliveries }
    }
}

impl Sample {
    fn take(desk: &Desk, before: &Counts) -> (Self, Counts) {
        let (census, counts) = (desk.broker.census(), Counts::of(desk));
        let seconds = counts.at_ms.saturating_sub(before.at_ms).max(1) as f64 / 1000.0;
        let mut rates = [0.0; 5];
        for (rate, (now, then)) in rates.iter_mut().zip(counts.values.iter().zip(before.values)) {
            *rate = now.saturating_sub(then) as f64 / seconds;
        }
        let [received, sent, dropped, bytes_received, bytes_sent] = rates;
        let (commits, waits) = (counts.commits.since(&before.commits), counts.waits.since(&before.waits));
        let deliveries = counts.deliveries.since(&before.deliveries);
        let sample = Self {
            at_ms: counts.at_ms,
            connections: census.connected,
            sessions: census.sessions,
            queued_messages: census.queued_messages,
            queued_bytes: census.queued_bytes,
            handshakes: census.under_way.total(),
            publishes_received_per_s: received,
            deliveries_sent_per_s: sent,
            deliveries_dropped_per_s: dropped,
            bytes_received_per_s: bytes_received,
            bytes_sent_per_s: bytes_sent,
            commits_per_s: commits.count() as f64 / seconds,
            commit_us_p50: commits.quantile(0.5),
            commit_us_p99: commits.quantile(0.99),
            wait_us_p50: waits.quantile(0.5),
            wait_us_p99: waits.quantile(0.99),
            delivery_us_p50: deliveries.quantile(0.5),
            delivery_us_p99: deliveries.quantile(0.99),
            commit_lag_us: desk.broker.lag().oldest_us,
            resident_bytes: machine::resident_bytes(),
            ready: crate::admin::health::hindrances(Some(desk)).is_empty(),
        };
        (sample, counts)
    }
}
