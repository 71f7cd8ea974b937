//! Draining: nobody new is let in, and clients are sent elsewhere, some at a time.
use crate::admin::problem::{Input, Problem, Ready};
use crate::admin::{Desk, Shared};
use crate::broker::Drain;
use crate::types::Text;
use axum::Json;
use axum::extract::State;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

/// Steps in a second.
const STEPS_PER_S: usize = 10;
const CLIENTS_PER_S: usize = 1000;
const GRACE_MS: u64 = 5000;
const GRACE_MS_MAX: u64 = 3_600_000;

/// The drain at work. Users: requests that begin and end one.
#[derive(Debug, Default)]
pub(in crate::admin) struct Drains(Mutex<Option<JoinHandle<()>>>);

/// How to drain. Everything may be left out.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(default)]
pub(super) struct DrainRequest {
    /// Another broker, as MQTT 5.0 clients are told it, e.g. `other.example.com:1883`.
    server_reference: Option<String>,
    /// Whether clients shall go there from now on (0x9D, Server moved) or just for now (0x9C, Use another server).
    for_good: bool,
    /// Clients asked to leave in one second; 1000 if left out.
    clients_per_s: Option<usize>,
    /// How long exchanges under way may take before a connection ends nevertheless; 5000 if left out.
    grace_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct DrainState {
    pub draining: bool,
    /// Clients that are still connected.
    pub connected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_reference: Option<String>,
}

/// Whether the broker is being drained
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/drain", tag = "operations", responses((status = 200, body = DrainState))))]
pub(super) async fn show_drain(Ready(desk): Ready) -> Json<DrainState> {
    Json(state(&desk))
}

/// Refuses new clients with 0x9C or 0x9D, and sends those that are there away, each once its exchanges are done
#[cfg_attr(test, utoipa::path(post, path = "/api/v1/drain", tag = "operations", request_body = DrainRequest, responses((status = 200, body = DrainState), (status = 400, body = Problem))))]
pub(super) async fn begin_drain(
    State(shared): State<Arc<Shared>>,
    Ready(desk): Ready,
    Input(asked): Input<DrainRequest>,
) -> Result<Json<DrainState>, Problem> {
    let reference = asked.server_reference.as_deref().filter(|reference| !reference.is_empty());
    let server_reference =
        reference.map(Text::try_from).transpose().map_err(|violation| Problem::bad(violation.why))?;
    let clients_per_s = asked.clients_per_s.unwrap_or(CLIENTS_PER_S).max(1);
    let grace_ms = asked.grace_ms.unwrap_or(GRACE_MS).min(GRACE_MS_MAX);
    desk.broker.draining.begin(Drain { is_for_good: asked.for_good, server_reference, grace_ms });
    tracing::warn!(clients_per_s, grace_ms, "an operator drains the broker: clients are sent elsewhere");
    // The first of them before the answer, so that a broker with few clients begins nothing more after it.
    let at_once = clients_per_s.div_ceil(STEPS_PER_S);
    desk.broker.drain_some(at_once, desk.clock.now());
    let at_work = tokio::spawn(drain(desk.clone(), at_once));
    shared.draining.replace(Some(at_work));
    Ok(Json(state(&desk)))
}

/// Lets clients in again
#[cfg_attr(test, utoipa::path(delete, path = "/api/v1/drain", tag = "operations", responses((status = 200, body = DrainState))))]
pub(super) async fn end_drain(State(shared): State<Arc<Shared>>, Ready(desk): Ready) -> Json<DrainState> {
    shared.draining.replace(None);
    desk.broker.draining.end();
    tracing::warn!("an operator ended the drain: clients are let in");
    Json(state(&desk))
}

impl Drains {
    fn replace(&self, next: Option<JoinHandle<()>>) {
        if let Some(before) = std::mem::replace(&mut *self.0.lock(), next) {
            before.abort();
        }
    }
}

impl Drop for Drains {
    fn drop(&mut self) {
        self.replace(None);
    }
}

fn state(desk: &Desk) -> DrainState {
    let drain = desk.broker.draining.drain();
    DrainState {
        draining: drain.is_some(),
        connected: desk.broker.census().connected,
        server_reference: drain.and_then(|drain| drain.server_reference.as_ref().map(ToString::to_string)),
    }
}

async fn drain(desk: Desk, at_once: usize) {
    let period = Duration::from_secs(1) / u32::try_from(STEPS_PER_S).unwrap_or(1);
    let mut steps = interval(period);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // That of now has been taken.
    steps.tick().await;
    loop {
        steps.tick().await;
        let (_, there) = desk.broker.drain_some(at_once, desk.clock.now());
        if there == 0 {
            tracing::info!("the broker is drained: no client is connected");
            return;
        }
    }
}
