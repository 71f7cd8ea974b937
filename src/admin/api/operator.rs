//! Who asks: for pages that show only what their reader may do.
use crate::admin::credentials::Operator;
use crate::config::AdminRole;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Who {
    /// The token's name; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `read` or `admin`.
    pub role: String,
}

/// Whose token this is, and what it may do
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/operator", tag = "operations", responses((status = 200, body = Who))))]
pub(super) async fn show_operator(operator: Option<Extension<Operator>>) -> Json<Who> {
    let operator = operator.map(|Extension(operator)| operator);
    let role = match operator.as_ref().map(|operator| operator.role) {
        Some(AdminRole::Admin) => "admin",
        Some(AdminRole::Read) | None => "read",
    };
    Json(Who { name: operator.map(|operator| operator.name), role: role.to_owned() })
}
