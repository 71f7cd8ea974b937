//! The routes, and the OpenAPI document that is made from them.
mod backup;
mod bans;
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
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What goes before the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "VowMQ admin API",
        description = "How operators see and steer a VowMQ broker. Times are milliseconds since 1970. Lists come in \
                       pages: pass `next` as `cursor` for the next one. Errors are RFC 9457 problems.",
    ),
    security(("bearer" = []), ("basic" = [])),
    modifiers(&Schemes),
    components(schemas(Problem)),
    tags(
        (name = "health", description = "For probes and monitors"),
        (name = "sessions", description = "Clients, sessions and what they have in hand"),
        (name = "messages", description = "Topics, retained messages, and where messages go"),
        (name = "operations", description = "Steering the broker; needs a token whose role is admin"),
    ),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [("bearer", HttpAuthScheme::Bearer), ("basic", HttpAuthScheme::Basic)] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
    }
}

/// All routes, each behind what it needs.
pub(super) fn router(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let open = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz));
    let numbers = OpenApiRouter::new().routes(routes!(metrics::metrics));
    let read = OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(sessions::list_clients))
        .routes(routes!(sessions::show_client))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::show_session))
        .routes(routes!(handshakes::list_handshakes))
        .routes(routes!(subscriptions::list_subscriptions))
        .routes(routes!(groups::list_groups))
        .routes(routes!(groups::list_receivers))
        .routes(routes!(retained::list_retained))
        .routes(routes!(operator::show_operator))
        .routes(routes!(settings::list_settings))
        .routes(routes!(operations::show_log_level))
        .routes(routes!(drain::show_drain))
        .routes(routes!(bans::list_bans))
        .routes(routes!(trace::trace))
        .routes(routes!(live::live));
    let steer = OpenApiRouter::new()
        .routes(routes!(sessions::kick_client))
        .routes(routes!(sessions::delete_session))
        .routes(routes!(messages::publish))
        .routes(routes!(retained::delete_retained))
        .routes(routes!(operations::set_log_level))
        .routes(routes!(operations::reload))
        .routes(routes!(drain::begin_drain, drain::end_drain))
        .routes(routes!(bans::ban, bans::unban))
        .routes(routes!(backup::backup));
    let (router, document) = open
        .merge(guarded(shared, Needs::Metrics, numbers))
        .merge(guarded(shared, Needs::Read, read))
        .merge(guarded(shared, Needs::Admin, steer))
        .split_for_parts();
    router
        .route("/api/v1/openapi.json", get(move || async move { Json(document) }))
        .route("/", get(dashboard::first))
        .route("/assets/{*path}", get(dashboard::asset))
        .fallback(|| async { Problem::not_found("there is nothing here; see /api/v1/openapi.json") })
        .method_not_allowed_fallback(not_allowed)
}

fn guarded(shared: &Arc<Shared>, needs: Needs, router: OpenApiRouter<Arc<Shared>>) -> OpenApiRouter<Arc<Shared>> {
    let shared = shared.clone();
    router.route_layer(from_fn(move |request: Request, next: Next| authorize(shared.clone(), needs, request, next)))
}

async fn not_allowed() -> Response {
    let detail = "this is not how it is asked; see /api/v1/openapi.json";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
}
