//! What is logged, and loading things anew.
use crate::admin::problem::{Input, Problem, Ready};
use axum::Json;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Level {
    /// error, warn, info, debug, trace or off; or with levels of parts, such as `info,vowmq::server=debug`.
    pub level: String,
}

/// What is logged
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/log-level", tag = "operations", responses((status = 200, body = Level), (status = 404, description = "the program logs by itself", body = Problem))))]
pub(super) async fn show_log_level(Ready(desk): Ready) -> Result<Json<Level>, Problem> {
    let log = desk.log_level.as_ref().ok_or_else(not_ours)?;
    Ok(Json(Level { level: log.level() }))
}

/// Changes what is logged, until the next start
#[cfg_attr(test, utoipa::path(put, path = "/api/v1/log-level", tag = "operations", request_body = Level, responses((status = 200, body = Level), (status = 400, body = Problem), (status = 404, body = Problem))))]
pub(super) async fn set_log_level(Ready(desk): Ready, Input(wanted): Input<Level>) -> Result<Json<Level>, Problem> {
    let log = desk.log_level.as_ref().ok_or_else(not_ours)?;
    log.set(&wanted.level).map_err(|why| Problem::bad(format!("level: {why}")))?;
    tracing::warn!(level = wanted.level, "an operator changed what is logged");
    Ok(Json(Level { level: log.level() }))
}

fn not_ours() -> Problem {
    Problem::not_found("the log of this broker is not its own")
}

/// What became of one thing.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Reloaded {
    /// A setting that changed, with both values; a listener; or a kind of files.
    pub name: String,
    pub changed: bool,
    /// Why what was there before stays in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Reads settings, listeners, certificates, users, rules and tokens again; what cannot be taken stays as it was
#[cfg_attr(test, utoipa::path(post, path = "/api/v1/reload", tag = "operations", responses((status = 200, body = Vec<Reloaded>))))]
pub(super) async fn reload(Ready(desk): Ready) -> Result<Json<Vec<Reloaded>>, Problem> {
    let reload = desk.reload.clone();
    let done = tokio::task::spawn_blocking(move || reload()).await;
    let done = done.map_err(|error| Problem::unavailable(error.to_string()))?;
    let told = done.into_iter().map(|reloaded| {
        let (changed, error) = match reloaded.result {
            Ok(changed) => (changed, None),
            Err(error) => (false, Some(error)),
        };
        Reloaded { name: reloaded.name, changed, error }
    });
    Ok(Json(told.collect()))
}
