//! Exchanges that have not come to their end, across sessions: where a message is stuck.
use super::listing::{Page, cursor, limit, place};
use super::sessions::{add_shelved, client_id, look_at};
use super::views::{DeliveryState, DeliveryView, MessageView};
use crate::admin::problem::{Asked, Problem, Ready};
use crate::broker::{Broker, Inspection, Order, Slot};
use crate::session::{Span, Stage};
use axum::Json;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Sessions asked for one page. Each answers between two turns of its own.
const SESSIONS_MAX: usize = 1000;
/// Exchanges taken of one session: its oldest.
const EXCHANGES_MAX: usize = 100;

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Asks {
    cursor: Option<String>,
    /// From 1 to 1000; 100 if left out.
    limit: Option<usize>,
    /// Only those under way for at least so long; those whose beginning is not known are always there.
    #[serde(default)]
    older_ms: u64,
}

/// What an exchange waits for, from whom it waits: always the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Awaited {
    Puback,
    Pubrec,
    Pubcomp,
    /// Of a message that came from the client.
    Pubrel,
}

/// One exchange of QoS 1 or 2 under way.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Handshake {
    pub client_id: String,
    pub connected: bool,
    pub awaited: Awaited,
    pub packet_id: u16,
    /// Since when; absent if that was before the broker's start, and for PUBREL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<u64>,
    pub resent: u16,
    /// The place in the session's queue; absent for PUBREL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// Absent once the client has the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageView>,
}

/// A part of the sessions, looked at.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Handshakes {
    #[serde(flatten)]
    pub page: Page<Handshake>,
    /// Sessions whose connections were too busy to answer.
    pub unanswered: usize,
}

/// QoS 1 and 2 exchanges under way, the oldest first; a page looks at 1000 sessions, and gives the oldest of theirs
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/handshakes", tag = "sessions", params(Asks), responses((status = 200, body = Handshakes), (status = 400, body = Problem))))]
pub(super) async fn list_handshakes(Ready(desk): Ready, Asked(asks): Asked<Asks>) -> Result<Json<Handshakes>, Problem> {
    let limit = limit(asks.limit)?;
    let after: Option<String> = place(asks.cursor.as_deref())?;
    let after = after.map(|name| client_id(&name)).transpose()?.map(|name| (Reverse(0), name));
    let broker = desk.broker.clone();
    let find = move || broker.list(Order::ClientId, after.as_ref(), SESSIONS_MAX, may_wait);
    let found = tokio::task::spawn_blocking(find).await.map_err(|error| Problem::unavailable(error.to_string()))?;
    let next = found.last().filter(|_| found.len() == SESSIONS_MAX).map(|((_, name), _)| cursor(&name.as_str()));
    let mut asked = JoinSet::new();
    for (_, slot) in found {
        let broker = desk.broker.clone();
        asked.spawn(async move { look(&broker, &slot).await });
    }
    let (mut items, mut unanswered) = (Vec::new(), 0);
    while let Some(answered) = asked.join_next().await {
        match answered {
            Ok(Ok(handshakes)) => items.extend(handshakes),
            // It ended meanwhile.
            Ok(Err(problem)) if problem.status == StatusCode::NOT_FOUND.as_u16() => {}
            Ok(Err(_)) | Err(_) => unanswered += 1,
        }
    }
    let began_by = desk.clock.now().as_millis().saturating_sub(asks.older_ms);
    items.retain(|handshake| handshake.since_ms.is_none_or(|since| since <= began_by));
    items.sort_by(|a, b| a.age_key().cmp(&b.age_key()));
    items.truncate(limit);
    Ok(Json(Handshakes { page: Page { items, next }, unanswered }))
}

/// Whether a session may have an exchange under way: a connected one counts them.
fn may_wait(slot: &Slot) -> bool {
    !slot.is_live() || slot.in_doubt() > 0
}

async fn look(broker: &Arc<Broker>, slot: &Arc<Slot>) -> Result<Vec<Handshake>, Problem> {
    let span = Span { from: 0, at_most: EXCHANGES_MAX };
    let mut inspection = look_at(slot, span).await?;
    let has_sent_more = inspection.look.next.is_some_and(|next| next < inspection.look.sent_below);
    if has_sent_more {
        inspection = add_shelved(broker, slot, inspection, span).await?;
    }
    Ok(handshakes(slot, &inspection))
}

fn handshakes(slot: &Slot, inspection: &Inspection) -> Vec<Handshake> {
    let (client_id, connected) = (slot.client_id.to_string(), slot.is_live());
    let sent = inspection.look.deliveries.iter().filter(|in_hand| in_hand.stage != Stage::Queued);
    let to_client = sent.filter_map(|in_hand| {
        let delivery = DeliveryView::of(in_hand, false);
        let awaited = match delivery.state {
            DeliveryState::Queued => return None,
            DeliveryState::AwaitingPuback => Awaited::Puback,
            DeliveryState::AwaitingPubrec => Awaited::Pubrec,
            DeliveryState::AwaitingPubcomp => Awaited::Pubcomp,
        };
        Some(Handshake {
            client_id: client_id.clone(),
            connected,
            awaited,
            packet_id: delivery.packet_id.unwrap_or_default(),
            since_ms: delivery.since_ms,
            resent: delivery.resent,
            position: Some(delivery.position),
            message: delivery.message,
        })
    });
    let from_client = inspection.look.inbound.iter().map(|id| Handshake {
        client_id: client_id.clone(),
        connected,
        awaited: Awaited::Pubrel,
        packet_id: id.value(),
        since_ms: None,
        resent: 0,
        position: None,
        message: None,
    });
    to_client.chain(from_client).collect()
}

impl Handshake {
    /// What was sent before the broker's start is the oldest; of what came from clients no time is known.
    fn age_key(&self) -> (u64, &str, u16) {
        let unknown = if self.awaited == Awaited::Pubrel { u64::MAX } else { 0 };
        (self.since_ms.unwrap_or(unknown), &self.client_id, self.packet_id)
    }
}
