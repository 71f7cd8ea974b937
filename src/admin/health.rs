//! Whether the broker is alive, and whether it is ready for clients.
use super::{Desk, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Microseconds after which what waits for the disk counts as stuck.
const STUCK_US: u64 = 10_000_000;

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Health {
    /// `ok`, or what is not.
    pub status: String,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<String>,
}

/// Why clients should be sent elsewhere; nothing if they need not.
pub(super) fn hindrances(desk: Option<&Desk>) -> Vec<&'static str> {
    let Some(desk) = desk else { return vec!["recovering"] };
    let broker = &desk.broker;
    let is_stuck = broker.lag().oldest_us > STUCK_US;
    let all = [
        (desk.is_stopping.load(Ordering::Relaxed), "stopping"),
        (broker.draining.drain().is_some(), "draining"),
        (broker.is_short_of_space(), "disk_full"),
        (broker.pressure.refuses(), "memory_full"),
        (is_stuck, "not_committing"),
    ];
    all.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
}

/// Answers as long as the process does.
#[cfg_attr(test, utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health))))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok".to_owned(), reasons: Vec::new() })
}

/// Whether clients can be served: the data is read, commits go through, the disk has room, nobody drains it.
#[cfg_attr(test, utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = 200, description = "ready", body = Health),
    (status = 503, description = "not ready; `reasons` says why: recovering, stopping, draining, disk_full, memory_full, not_committing", body = Health),
)))]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let reasons: Vec<_> = hindrances(shared.desk.get()).into_iter().map(str::to_owned).collect();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let told = if reasons.is_empty() { "ok" } else { "not ready" };
    (status, Json(Health { status: told.to_owned(), reasons })).into_response()
}
