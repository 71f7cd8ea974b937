//! Clients and sessions: who is there, what each has in hand, and sending them away.
use super::listing::{Page, cursor, limit, place};
use super::views::{SessionDetail, SessionSummary};
use crate::admin::Desk;
use crate::admin::problem::{Asked, Named, Problem, Ready};
use crate::broker::{Broker, Inspecting, Inspection, ListKey, Order, Slot};
use crate::session::Span;
use crate::types::{ClientId, ReasonCode, Text};
use axum::Json;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

/// How long a connection may take to go.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a connection may take to answer, and how often it is asked.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Sort {
    #[default]
    ClientId,
    /// The longest queues first.
    Backlog,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Connected,
    /// Waiting for its client.
    Away,
}

#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    cursor: Option<String>,
    /// From 1 to 1000; 100 if left out.
    limit: Option<usize>,
    /// A part of the Client Identifier.
    contains: Option<String>,
    /// The user that the client has proved to be.
    user: Option<String>,
    #[serde(default)]
    #[cfg_attr(test, param(inline))]
    sort: Sort,
    #[cfg_attr(test, param(inline))]
    state: Option<State>,
    /// Only sessions with at least so many deliveries not finished.
    queued_min: Option<u64>,
}

/// Sessions, with and without a connection
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", params(Asks), responses((status = 200, body = Page<SessionSummary>), (status = 400, body = Problem))))]
pub(super) async fn list_sessions(
    Ready(desk): Ready,
    Asked(asks): Asked<Asks>,
) -> Result<Json<Page<SessionSummary>>, Problem> {
    list(desk, asks).await.map(Json)
}

/// Clients that are connected
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/clients", tag = "sessions", params(Asks), responses((status = 200, body = Page<SessionSummary>), (status = 400, body = Problem))))]
pub(super) async fn list_clients(
    Ready(desk): Ready,
    Asked(asks): Asked<Asks>,
) -> Result<Json<Page<SessionSummary>>, Problem> {
    list(desk, Asks { state: Some(State::Connected), ..asks }).await.map(Json)
}

async fn list(desk: Desk, asks: Asks) -> Result<Page<SessionSummary>, Problem> {
    let limit = limit(asks.limit)?;
    let after: Option<(u64, String)> = place(asks.cursor.as_deref())?;
    let after = after.map(|(first, name)| client_id(&name).map(|name| (Reverse(first), name))).transpose()?;
    let order = match asks.sort {
        Sort::ClientId => Order::ClientId,
        Sort::Backlog => Order::Backlog,
    };
    // It looks at every session.
    let found = move || {
        let found = desk.broker.list(order, after.as_ref(), limit, |slot| asks.wants(slot));
        let last = found.last().filter(|_| found.len() == limit).map(|(key, _)| key_cursor(key));
        Page { items: found.iter().map(|(_, slot)| SessionSummary::of(slot)).collect(), next: last }
    };
    tokio::task::spawn_blocking(found).await.map_err(|error| Problem::unavailable(error.to_string()))
}

impl Asks {
    fn wants(&self, slot: &Slot) -> bool {
        let is_state = match self.state {
            None => true,
            Some(State::Connected) => slot.is_live(),
            Some(State::Away) => !slot.is_live(),
        };
        is_state
            && self.contains.as_ref().is_none_or(|part| slot.client_id.as_str().contains(part.as_str()))
            && self.queued_min.is_none_or(|least| slot.backlog().messages >= least)
            && self.user.as_ref().is_none_or(|wanted| {
                let visit = slot.visit_notes().0;
                let user = visit.as_ref().and_then(|visit| visit.identity.user.as_ref());
                user.is_some_and(|user| user.as_str() == wanted)
            })
    }
}

fn key_cursor((Reverse(first), client_id): &ListKey) -> String {
    cursor(&(first, client_id.as_str()))
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Part {
    /// The position to begin at: `next` of the part before.
    #[serde(default)]
    from: u64,
    /// Deliveries, from 1 to 1000; 100 if left out.
    limit: Option<usize>,
    /// Whether payloads are shown.
    #[serde(default)]
    payload: bool,
}

/// A session and what it has in hand
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/sessions/{client_id}", tag = "sessions", params(("client_id" = String, Path), Part), responses((status = 200, body = SessionDetail), (status = 404, body = Problem))))]
pub(super) async fn show_session(
    Ready(desk): Ready,
    Named(name): Named,
    Asked(part): Asked<Part>,
) -> Result<Json<SessionDetail>, Problem> {
    let slot = find(&desk.broker, &name)?;
    let span = Span { from: part.from, at_most: limit(part.limit)? };
    let inspection = inspect(&desk.broker, &slot, span).await?;
    Ok(Json(SessionDetail::of(&slot, inspection, part.payload)))
}

/// A client that is connected
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/clients/{client_id}", tag = "sessions", params(("client_id" = String, Path)), responses((status = 200, body = SessionSummary), (status = 404, body = Problem))))]
pub(super) async fn show_client(Ready(desk): Ready, Named(name): Named) -> Result<Json<SessionSummary>, Problem> {
    let slot = find(&desk.broker, &name)?;
    if !slot.is_live() {
        return Err(Problem::not_found("this client is not connected; its session is there"));
    }
    Ok(Json(SessionSummary::of(&slot)))
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Gone {
    pub client_id: String,
}

/// Ends a client's connection with 0x98 (Administrative action); its session stays
#[cfg_attr(test, utoipa::path(delete, path = "/api/v1/clients/{client_id}", tag = "operations", params(("client_id" = String, Path)), responses((status = 200, body = Gone), (status = 404, body = Problem))))]
pub(super) async fn kick_client(Ready(desk): Ready, Named(name): Named) -> Result<Json<Gone>, Problem> {
    let slot = find(&desk.broker, &name)?;
    if !send_away(&desk.broker, &slot).await? {
        return Err(Problem::not_found("this client is not connected"));
    }
    tracing::info!(client_id = name, "an operator ended the connection");
    Ok(Json(Gone { client_id: name }))
}

/// Ends a session with all it holds; its client is disconnected
#[cfg_attr(test, utoipa::path(delete, path = "/api/v1/sessions/{client_id}", tag = "operations", params(("client_id" = String, Path)), responses((status = 200, body = Gone), (status = 404, body = Problem), (status = 409, description = "the client came back at once", body = Problem))))]
pub(super) async fn delete_session(Ready(desk): Ready, Named(name): Named) -> Result<Json<Gone>, Problem> {
    let slot = find(&desk.broker, &name)?;
    send_away(&desk.broker, &slot).await?;
    let (broker, now) = (desk.broker.clone(), desk.clock.now());
    let is_deleted = broker.delete_session(&slot, now);
    // One that lives with its connection is gone with it.
    if !is_deleted && find(&desk.broker, &name).is_ok_and(|found| Arc::ptr_eq(&found, &slot)) {
        return Err(Problem::conflict("the client came back at once; try again, or keep it out first"));
    }
    tracing::info!(client_id = name, "an operator ended the session");
    Ok(Json(Gone { client_id: name }))
}

/// Asks a connection to end, and waits until it has; false if there is none.
async fn send_away(broker: &Broker, slot: &Slot) -> Result<bool, Problem> {
    if !broker.kick(slot, ReasonCode::AdministrativeAction) {
        return Ok(false);
    }
    let gone = tokio::time::timeout(PATIENCE, poll_fn(|context| slot.poll_vacated(context))).await;
    gone.map_err(|_| Problem::unavailable("the connection was told to end, and has not yet"))?;
    Ok(true)
}

pub(super) fn client_id(name: &str) -> Result<ClientId, Problem> {
    let text = Text::try_from(name).ok().and_then(|text| ClientId::new(&text));
    text.ok_or_else(|| Problem::bad("this is no Client Identifier"))
}

pub(super) fn find(broker: &Broker, name: &str) -> Result<Arc<Slot>, Problem> {
    let missing = || Problem::not_found("no session has this Client Identifier");
    broker.slot(&client_id(name)?).ok_or_else(missing)
}

/// What a session has in hand, wherever it is kept.
async fn inspect(broker: &Arc<Broker>, slot: &Arc<Slot>, span: Span) -> Result<Inspection, Problem> {
    let inspection = look_at(slot, span).await?;
    add_shelved(broker, slot, inspection, span).await
}

/// A session as it is in memory.
pub(super) async fn look_at(slot: &Slot, span: Span) -> Result<Inspection, Problem> {
    for _ in 0..ATTEMPTS_MAX {
        match slot.inspect(span) {
            Inspecting::Now(inspection) => return Ok(*inspection),
            Inspecting::Later(answer) => match tokio::time::timeout(ANSWER_PATIENCE, answer).await {
                Ok(Ok(inspection)) => return Ok(*inspection),
                // The connection ended before it could answer.
                Ok(Err(_)) => {}
                Err(_) => return Err(Problem::unavailable("the session's connection is too busy to answer")),
            },
            Inspecting::Busy => return Err(Problem::unavailable("too many ask about this session at once")),
            Inspecting::Gone => return Err(Problem::not_found("the session has ended")),
        }
    }
    Err(Problem::unavailable("the client comes and goes; try again"))
}

/// Adds what of the part asked for is on the store's shelf.
pub(super) async fn add_shelved(
    broker: &Arc<Broker>,
    slot: &Arc<Slot>,
    mut inspection: Inspection,
    span: Span,
) -> Result<Inspection, Problem> {
    if inspection.look.next.is_none() || inspection.look.deliveries.len() >= span.at_most {
        return Ok(inspection);
    }
    let (broker, slot) = (broker.clone(), slot.clone());
    let read = tokio::task::spawn_blocking(move || {
        broker.look_on_shelf(&slot, &mut inspection.look, span.at_most).map(|()| inspection)
    });
    let read = read.await.map_err(|error| Problem::unavailable(error.to_string()))?;
    read.map_err(|error| Problem::store(&error))
}
