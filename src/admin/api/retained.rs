//! Retained messages.
use super::groups::topic_name;
use super::listing::{Page, cursor, limit, place};
use super::messages::wait;
use super::views::MessageView;
use crate::admin::problem::{Asked, Problem, Ready};
use crate::types::{TopicFilter, TopicName};
use axum::Json;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    /// A Topic Filter; `#` if left out. Topics that begin with `$` have to be asked for, as in `$SYS/#`.
    filter: Option<String>,
    cursor: Option<String>,
    /// From 1 to 1000; 100 if left out.
    limit: Option<usize>,
    /// Whether payloads are shown.
    #[serde(default)]
    payload: bool,
}

/// Retained messages by topic; a page may hold fewer than asked for, or none, and have a next one
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/retained", tag = "messages", params(Asks), responses((status = 200, body = Page<MessageView>), (status = 400, body = Problem))))]
pub(super) async fn list_retained(
    Ready(desk): Ready,
    Asked(asks): Asked<Asks>,
) -> Result<Json<Page<MessageView>>, Problem> {
    let limit = limit(asks.limit)?;
    let filter = TopicFilter::try_from(asks.filter.as_deref().unwrap_or("#"))
        .map_err(|violation| Problem::bad(format!("filter: {}", violation.why)))?;
    let after: Option<String> = place(asks.cursor.as_deref())?;
    let after = after.map(|topic| TopicName::try_from(topic.as_str())).transpose();
    let after = after.map_err(|_| Problem::bad("the cursor is not one of this list"))?;
    let now = desk.clock.now();
    let read = move || desk.broker.retained_page(&filter, after.as_ref(), limit, now);
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let (messages, last) = read.map_err(|error| Problem::store(&error))?;
    Ok(Json(Page {
        items: messages.iter().map(|message| MessageView::of(message, asks.payload)).collect(),
        next: last.map(|topic| cursor(&topic.as_str())),
    }))
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Topic {
    /// A Topic Name.
    topic: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Deleted {
    pub topic: String,
}

/// Deletes the retained message of a topic, as an empty one does; answered once that is durable
#[cfg_attr(test, utoipa::path(delete, path = "/api/v1/retained", tag = "operations", params(Topic), responses((status = 200, body = Deleted), (status = 404, body = Problem))))]
pub(super) async fn delete_retained(Ready(desk): Ready, Asked(asks): Asked<Topic>) -> Result<Json<Deleted>, Problem> {
    let topic = topic_name(&asks.topic)?;
    let (was_there, submitted) = desk.broker.delete_retained(topic, desk.clock.now());
    if !was_there {
        return Err(Problem::not_found("this topic has no retained message"));
    }
    wait(submitted).await;
    tracing::info!(topic = asks.topic, "an operator deleted a retained message");
    Ok(Json(Deleted { topic: asks.topic }))
}
