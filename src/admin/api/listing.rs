//! Lists in pages.
use crate::admin::problem::Problem;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Entries of a page, unless asked for fewer or more.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// A part of a list.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Page<T> {
    pub items: Vec<T>,
    /// To be passed as `cursor` for what follows; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

pub(super) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked {
        None => Ok(LIMIT),
        Some(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::bad(format!("limit is from 1 to {LIMIT_MAX}"))),
    }
}

/// A place in a list, as the client passes it back. It says nothing to the client.
pub(super) fn cursor(place: &impl Serialize) -> String {
    let place = serde_json::to_vec(place).expect("places are plain texts and numbers");
    BASE64_URL_SAFE_NO_PAD.encode(place)
}

pub(super) fn place<T: DeserializeOwned>(cursor: Option<&str>) -> Result<Option<T>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let decoded = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let place = decoded.and_then(|decoded| serde_json::from_slice(&decoded).ok());
    place.map(Some).ok_or_else(|| Problem::bad("the cursor is not one of this list"))
}
