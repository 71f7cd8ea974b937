//! Subscriptions, session by session.
use super::listing::{Page, cursor, limit, place};
use super::sessions::{client_id, find, look_at};
use super::views::SubscriptionView;
use crate::admin::Desk;
use crate::admin::problem::{Asked, Problem, Ready};
use crate::broker::{Order, Slot};
use crate::session::Span;
use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::sync::Arc;

/// Sessions looked at for one page, so that a search that finds little ends soon; the cursor goes on.
const SESSIONS_MAX: usize = 2000;
const SESSIONS_AT_ONCE: usize = 100;

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    cursor: Option<String>,
    /// From 1 to 1000; 100 if left out.
    limit: Option<usize>,
    /// Only those of this client.
    client_id: Option<String>,
    /// A part of the Topic Filter.
    contains: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct ClientSubscription {
    pub client_id: String,
    pub connected: bool,
    #[serde(flatten)]
    pub subscription: SubscriptionView,
}

/// Where a page ends: a client, and the last of its filters that was shown; without one, all of them were.
type Place = (String, Option<String>);

/// Subscriptions by client and filter; a page may hold fewer than asked for, or none, and have a next one
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/subscriptions", tag = "sessions", params(Asks), responses((status = 200, body = Page<ClientSubscription>), (status = 400, body = Problem))))]
pub(super) async fn list_subscriptions(
    Ready(desk): Ready,
    Asked(asks): Asked<Asks>,
) -> Result<Json<Page<ClientSubscription>>, Problem> {
    let limit = limit(asks.limit)?;
    let mut at: Option<Place> = place(asks.cursor.as_deref())?;
    let mut items = Vec::new();
    if let Some(name) = &asks.client_id {
        let slot = find(&desk.broker, name)?;
        let after = at.and_then(|(_, filter)| filter);
        let next = add(&slot, after.as_deref(), &asks, limit, &mut items).await?;
        return Ok(Json(Page { items, next: next.map(|filter| cursor(&(name, Some(filter)))) }));
    }
    let mut looked = 0;
    while looked < SESSIONS_MAX {
        let slots = next_slots(&desk, at.as_ref()).await?;
        let is_last = slots.len() < SESSIONS_AT_ONCE;
        for slot in slots {
            looked += 1;
            let name = slot.client_id.to_string();
            let after = at.take().filter(|(client, _)| *client == name).and_then(|(_, filter)| filter);
            match add(&slot, after.as_deref(), &asks, limit, &mut items).await {
                Ok(Some(filter)) => return Ok(Json(Page { items, next: Some(cursor(&(name, Some(filter)))) })),
                Ok(None) => at = Some((name, None)),
                // It ended meanwhile.
                Err(problem) if problem.status == StatusCode::NOT_FOUND.as_u16() => at = Some((name, None)),
                Err(problem) => return Err(problem),
            }
        }
        if is_last {
            return Ok(Json(Page { items, next: None }));
        }
    }
    Ok(Json(Page { items, next: at.map(|at| cursor(&at)) }))
}

/// The sessions to look at next; the one at which the last page ended in the middle is the first.
async fn next_slots(desk: &Desk, at: Option<&Place>) -> Result<Vec<Arc<Slot>>, Problem> {
    let mut slots = Vec::new();
    let mut after = None;
    if let Some((name, filter)) = at {
        let name = client_id(name)?;
        slots.extend(desk.broker.slot(&name).filter(|_| filter.is_some()));
        after = Some((Reverse(0), name));
    }
    let (broker, room) = (desk.broker.clone(), SESSIONS_AT_ONCE - slots.len());
    let found = tokio::task::spawn_blocking(move || broker.list(Order::ClientId, after.as_ref(), room, |_| true)).await;
    let found = found.map_err(|error| Problem::unavailable(error.to_string()))?;
    slots.extend(found.into_iter().map(|(_, slot)| slot));
    Ok(slots)
}

/// Adds a session's subscriptions behind a filter; if not all have room, the last one that had.
async fn add(
    slot: &Slot,
    after: Option<&str>,
    asks: &Asks,
    limit: usize,
    items: &mut Vec<ClientSubscription>,
) -> Result<Option<String>, Problem> {
    let span = Span { from: u64::MAX, at_most: 0 };
    let look = look_at(slot, span).await?.look;
    let mut last = after.map(str::to_owned);
    for (filter, subscribed) in &look.subscriptions {
        let is_behind = after.is_none_or(|after| filter.as_str() > after);
        if !is_behind || asks.contains.as_ref().is_some_and(|part| !filter.as_str().contains(part.as_str())) {
            continue;
        }
        if items.len() >= limit {
            // Where nothing of this session was shown yet, all of it is behind the empty filter.
            return Ok(Some(last.unwrap_or_default()));
        }
        last = Some(filter.to_string());
        let subscription = SubscriptionView::of(filter, subscribed);
        let (client_id, connected) = (slot.client_id.to_string(), slot.is_live());
        items.push(ClientSubscription { client_id, connected, subscription });
    }
    Ok(None)
}
