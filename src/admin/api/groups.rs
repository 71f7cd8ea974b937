//! Shared subscriptions, and who gets what.
use super::listing::{Page, cursor, limit, place};
use super::views::qos;
use crate::admin::problem::{Asked, Problem, Ready};
use crate::broker;
use crate::types::{TopicFilter, TopicName};
use axum::Json;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    cursor: Option<String>,
    /// From 1 to 1000; 100 if left out.
    limit: Option<usize>,
}

/// A shared subscription and its members.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Group {
    /// `$share/name/filter`.
    pub filter: String,
    pub members: Vec<Receiver>,
}

/// Who gets messages, and how.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Receiver {
    pub client_id: String,
    pub connected: bool,
    /// The highest QoS that it gets a message with.
    pub qos: u8,
    /// The shared subscription it is a member of: one of its members gets the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// QoS 1 and 2 deliveries not finished.
    pub queued_messages: u64,
}

impl From<broker::Receiver> for Receiver {
    fn from(receiver: broker::Receiver) -> Self {
        Self {
            client_id: receiver.client_id.to_string(),
            connected: receiver.is_connected,
            qos: qos(receiver.qos),
            share: receiver.share.map(|filter| filter.to_string()),
            queued_messages: receiver.backlog,
        }
    }
}

/// Shared subscriptions with their members
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/groups", tag = "sessions", params(Asks), responses((status = 200, body = Page<Group>), (status = 400, body = Problem))))]
pub(super) async fn list_groups(Ready(desk): Ready, Asked(asks): Asked<Asks>) -> Result<Json<Page<Group>>, Problem> {
    let limit = limit(asks.limit)?;
    let after: Option<String> = place(asks.cursor.as_deref())?;
    let after = after.map(|filter| TopicFilter::try_from(filter.as_str())).transpose();
    let after = after.map_err(|_| Problem::bad("the cursor is not one of this list"))?;
    let groups = desk.broker.shared_groups(after.as_ref(), limit);
    let next = groups.last().filter(|_| groups.len() == limit).map(|(filter, _)| cursor(&filter.as_str()));
    let items = groups.into_iter().map(|(filter, members)| Group {
        filter: filter.to_string(),
        members: members.into_iter().map(Receiver::from).collect(),
    });
    Ok(Json(Page { items: items.collect(), next }))
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Topic {
    /// A Topic Name.
    topic: String,
}

/// Who would get a message on a topic now
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/receivers", tag = "messages", params(Topic), responses((status = 200, body = Vec<Receiver>), (status = 400, body = Problem))))]
pub(super) async fn list_receivers(
    Ready(desk): Ready,
    Asked(asks): Asked<Topic>,
) -> Result<Json<Vec<Receiver>>, Problem> {
    let topic = topic_name(&asks.topic)?;
    Ok(Json(desk.broker.receivers(&topic).into_iter().map(Receiver::from).collect()))
}

pub(super) fn topic_name(text: &str) -> Result<TopicName, Problem> {
    TopicName::try_from(text).map_err(|violation| Problem::bad(format!("topic: {}", violation.why)))
}
