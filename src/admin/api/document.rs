//! Makes the OpenAPI document from what stands at the routes, and holds both together.
use super::{
    DOCUMENT, backup, bans, drain, groups, handshakes, live, messages, operations, operator, retained, sessions,
    settings, status, subscriptions, trace,
};
use crate::admin::problem::Problem;
use crate::admin::{health, metrics};
use std::collections::BTreeSet;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

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
    paths(
        health::healthz,
        health::readyz,
        metrics::metrics,
        status::status,
        sessions::list_clients,
        sessions::show_client,
        sessions::list_sessions,
        sessions::show_session,
        handshakes::list_handshakes,
        subscriptions::list_subscriptions,
        groups::list_groups,
        groups::list_receivers,
        retained::list_retained,
        operator::show_operator,
        settings::list_settings,
        operations::show_log_level,
        drain::show_drain,
        bans::list_bans,
        trace::trace,
        live::live,
        sessions::kick_client,
        sessions::delete_session,
        messages::publish,
        retained::delete_retained,
        operations::set_log_level,
        operations::reload,
        drain::begin_drain,
        drain::end_drain,
        bans::ban,
        bans::unban,
        backup::backup,
    ),
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

#[test]
fn the_document_says_what_stands_at_the_routes() {
    let made = Document::openapi().to_pretty_json().expect("a document can be written") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/api/openapi.json");
    if std::env::var_os("WRITE_DOCUMENTS").is_some() {
        std::fs::write(path, made).expect("the document can be written");
    } else {
        assert!(made == DOCUMENT, "WRITE_DOCUMENTS=1 cargo test --lib admin makes src/admin/api/openapi.json anew");
    }
}

/// That every operation of the document is answered, and as it says, is a test with a running broker.
#[test]
fn every_route_is_in_the_document() {
    let document: serde_json::Value = serde_json::from_str(DOCUMENT).expect("JSON");
    let operations = document["paths"].as_object().expect("paths").iter();
    let documented: BTreeSet<_> = operations
        .flat_map(|(path, methods)| methods.as_object().expect("methods").keys().map(move |method| (path, method)))
        .map(|(path, method)| format!("{method} {path}"))
        .collect();
    let source: String = include_str!("mod.rs").split_whitespace().collect();
    let mut routed = BTreeSet::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, rest) = route.split_once('"').expect("a path");
        for method in ["get", "post", "put", "delete"] {
            if rest.split(".route(").next().is_some_and(|rest| rest.contains(&format!("{method}("))) {
                routed.insert(format!("{method} {path}"));
            }
        }
    }
    for apart in ["get /", "get /assets/{*path}", "get /api/v1/openapi.json"] {
        assert!(routed.remove(apart), "{apart}");
    }
    assert_eq!(routed, documented);
}
