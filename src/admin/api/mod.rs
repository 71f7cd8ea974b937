//! The routes, and the OpenAPI document of them.
mod backup;
mod bans;
#[cfg(test)]
mod document;
mod drain;
mod groups;
mod handshakes;
mod listing;
mod live;
mod messages;
mod operations;
mod operator;
mod retained;
mod sessions;
mod settings;
mod status;
mod subscriptions;
mod trace;
mod views;

pub(super) use drain::Drains;

use super::guard::{Needs, authorize};
use super::problem::Problem;
use super::{Shared, dashboard, health, metrics};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use std::sync::Arc;

/// What the routes are and answer, made by a test: to make it takes a program half a megabyte of code.
const DOCUMENT: &str = include_str!("openapi.json");

/// All routes, each behind what it needs. The document names them once more, and a test holds the two together.
pub(super) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let open = Router::new().route("/healthz", get(health::healthz)).route("/readyz", get(health::readyz));
    let numbers = Router::new().route("/metrics", get(metrics::metrics));
    let read = Router::new()
        .route("/api/v1/status", get(status::status))
        .route("/api/v1/clients", get(sessions::list_clients))
        .route("/api/v1/clients/{client_id}", get(sessions::show_client))
        .route("/api/v1/sessions", get(sessions::list_sessions))
        .route("/api/v1/sessions/{client_id}", get(sessions::show_session))
        .route("/api/v1/handshakes", get(handshakes::list_handshakes))
        .route("/api/v1/subscriptions", get(subscriptions::list_subscriptions))
        .route("/api/v1/groups", get(groups::list_groups))
        .route("/api/v1/receivers", get(groups::list_receivers))
        .route("/api/v1/retained", get(retained::list_retained))
        .route("/api/v1/operator", get(operator::show_operator))
        .route("/api/v1/settings", get(settings::list_settings))
        .route("/api/v1/log-level", get(operations::show_log_level))
        .route("/api/v1/drain", get(drain::show_drain))
        .route("/api/v1/bans", get(bans::list_bans))
        .route("/api/v1/trace", get(trace::trace))
        .route("/api/v1/live", get(live::live));
    let steer = Router::new()
        .route("/api/v1/clients/{client_id}", delete(sessions::kick_client))
        .route("/api/v1/sessions/{client_id}", delete(sessions::delete_session))
        .route("/api/v1/publish", post(messages::publish))
        .route("/api/v1/retained", delete(retained::delete_retained))
        .route("/api/v1/log-level", put(operations::set_log_level))
        .route("/api/v1/reload", post(operations::reload))
        .route("/api/v1/drain", post(drain::begin_drain).delete(drain::end_drain))
        .route("/api/v1/bans", post(bans::ban).delete(bans::unban))
        .route("/api/v1/backup", get(backup::backup));
    open.merge(guarded(shared, Needs::Metrics, numbers))
        .merge(guarded(shared, Needs::Read, read))
        .merge(guarded(shared, Needs::Admin, steer))
        .route("/api/v1/openapi.json", get(|| async { ([(CONTENT_TYPE, "application/json")], DOCUMENT) }))
        .route("/", get(dashboard::first))
        .route("/assets/{*path}", get(dashboard::asset))
        .fallback(|| async { Problem::not_found("there is nothing here; see /api/v1/openapi.json") })
        .method_not_allowed_fallback(not_allowed)
}

fn guarded(shared: &Arc<Shared>, needs: Needs, router: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    let shared = shared.clone();
    router.route_layer(from_fn(move |request: Request, next: Next| authorize(shared.clone(), needs, request, next)))
}

async fn not_allowed() -> Response {
    let detail = "this is not how it is asked; see /api/v1/openapi.json";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}
