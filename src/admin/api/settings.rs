//! The settings in force.
use crate::admin::problem::{Problem, Ready};
use crate::config::{Effect, InForce, Origin};
use axum::Json;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Setting {
    pub key: String,
    pub value: serde_json::Value,
    /// `default`; the file, variable or flag that sets it; or `earlier`: what the layers say now waits for a restart.
    pub source: String,
    /// When a change counts: `at_once`, `for_new_clients` or `at_restart`.
    pub effect: String,
}

/// Settings in force by key, each with its source; secrets are in files, and not shown
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/settings", tag = "operations", responses((status = 200, body = Vec<Setting>))))]
pub(super) async fn list_settings(Ready(desk): Ready) -> Result<Json<Vec<Setting>>, Problem> {
    // It reads the conf file.
    let read = tokio::task::spawn_blocking(move || (desk.settings)()).await;
    let settings = read.map_err(|error| Problem::unavailable(error.to_string()))?;
    let told: Result<Vec<_>, _> = settings.into_iter().map(Setting::of).collect();
    told.map(Json).map_err(|error| Problem::unavailable(error.to_string()))
}

impl Setting {
    fn of(setting: InForce) -> Result<Self, serde_json::Error> {
        let source = match setting.origin {
            Origin::Default => "default".to_owned(),
            Origin::Layer(name) => name,
            Origin::Earlier => "earlier".to_owned(),
        };
        let effect = match setting.effect {
            Effect::AtOnce => "at_once",
            Effect::ForNewClients => "for_new_clients",
            Effect::AtRestart => "at_restart",
        };
        Ok(Self { value: serde_json::to_value(&setting.value)?, key: setting.key, source, effect: effect.to_owned() })
    }
}
