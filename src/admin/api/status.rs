//! The broker in one look.
use crate::admin::Desk;
use crate::admin::health::hindrances;
use crate::admin::problem::{Problem, Ready};
use crate::machine;
use axum::Json;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Status {
    pub version: String,
    /// What an acknowledgement is worth: `fsync` or `memory`.
    pub durability: String,
    pub ready: bool,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    pub started_at_ms: u64,
    pub uptime_s: u64,
    pub connections: u64,
    pub connections_by_listener: BTreeMap<String, u64>,
    pub sessions: u64,
    pub sessions_durable: u64,
    pub subscriptions: u64,
    pub shared_groups: u64,
    pub retained_messages: u64,
    pub retained_bytes: u64,
    pub queued_messages: u64,
    pub queued_bytes: u64,
    /// QoS 1 and 2 exchanges under way, in both directions.
    pub handshakes: u64,
    pub publishes_received: u64,
    pub deliveries_sent: u64,
    pub deliveries_dropped: u64,
    pub commits: u64,
    /// Below these, in microseconds, 50 and 99 of 100 commits were done; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_us_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_us_p99: Option<u64>,
    /// The same of the time from a PUBLISH's arrival until it was written for a receiver that was there; of one PUBLISH
    /// in each read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_us_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_us_p99: Option<u64>,
    /// For how long the oldest submission waits, in microseconds.
    pub commit_lag_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free_bytes: Option<u64>,
    /// Every counter since the start, by its name below `$SYS/broker/`.
    pub counters: BTreeMap<String, u64>,
}

/// The broker in one look
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/status", tag = "health", responses((status = 200, body = Status))))]
pub(super) async fn status(Ready(desk): Ready) -> Result<Json<Status>, Problem> {
    let look = tokio::task::spawn_blocking(move || look(&desk)).await;
    look.map(Json).map_err(|error| Problem::unavailable(error.to_string()))
}

fn look(desk: &Desk) -> Status {
    let Desk { broker, clock, data_dir, .. } = desk;
    let (census, counters) = (broker.census(), &broker.counters);
    let (retained, retained_bytes) = broker.retained_size();
    let reasons: Vec<_> = hindrances(Some(desk)).into_iter().map(str::to_owned).collect();
    let commit = counters.commits.commit_us.distribution();
    let delivery = counters.deliveries.delivery_us.distribution();
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        durability: if broker.is_durable() { "fsync" } else { "memory" }.to_owned(),
        ready: reasons.is_empty(),
        reasons,
        started_at_ms: clock.started_at().as_millis(),
        uptime_s: clock.started_at().millis_until(clock.now()) / 1000,
        connections: census.connected,
        connections_by_listener: census.by_listener.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
        sessions: census.sessions,
        sessions_durable: census.durable,
        subscriptions: broker.subscriptions() as u64,
        shared_groups: broker.groups() as u64,
        retained_messages: retained as u64,
        retained_bytes: retained_bytes as u64,
        queued_messages: census.queued_messages,
        queued_bytes: census.queued_bytes,
        handshakes: census.under_way.total(),
        publishes_received: counters.publishes_received.value(),
        deliveries_sent: counters.deliveries_sent.value(),
        deliveries_dropped: counters.dropped_in_all(),
        commits: commit.count(),
        commit_us_p50: commit.quantile(0.5),
        commit_us_p99: commit.quantile(0.99),
        delivery_us_p50: delivery.quantile(0.5),
        delivery_us_p99: delivery.quantile(0.99),
        commit_lag_us: broker.lag().oldest_us,
        resident_bytes: machine::resident_bytes(),
        disk_free_bytes: data_dir.as_deref().and_then(machine::disk_bytes).map(|(free, _)| free),
        counters: counters.all().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}
