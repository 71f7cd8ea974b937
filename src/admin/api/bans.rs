//! Who is kept out, by failed logins or by an operator.
use crate::abuse::{Ban, MANUAL_MAX, Offender, TooManyBans};
use crate::admin::problem::{Asked, Input, Problem, Ready};
use crate::types::Text;
use axum::Json;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A week: a ban without an end would be forgotten.
const SECONDS_MAX: u32 = 604_800;

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct BanView {
    /// An address; IPv6 addresses stand for their /64.
    pub address: String,
    /// The one user that is kept out from there; everybody from there if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    pub until_ms: u64,
    /// Whether an operator set it.
    pub manual: bool,
}

impl From<Ban> for BanView {
    fn from(ban: Ban) -> Self {
        let (address, user) = match ban.offender {
            Offender::Address(address) => (address, None),
            Offender::Login(address, user) => (address, Some(user.to_string())),
        };
        Self { address: address.to_string(), user, until_ms: ban.until.as_millis(), manual: ban.is_manual }
    }
}

/// Whom to keep out.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct BanRequest {
    address: String,
    /// Only this user from there.
    user: Option<String>,
    /// For how long, at most a week.
    seconds: u32,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub(super) struct Whom {
    /// An address.
    address: String,
    /// The one user that is kept out from there.
    user: Option<String>,
}

/// Who is kept out now, the longest first
#[cfg_attr(test, utoipa::path(get, path = "/api/v1/bans", tag = "operations", responses((status = 200, body = Vec<BanView>))))]
pub(super) async fn list_bans(Ready(desk): Ready) -> Json<Vec<BanView>> {
    Json(desk.broker.abuse.bans(desk.clock.now()).into_iter().map(BanView::from).collect())
}

/// Keeps an address, or one user from there, out; who is connected stays
#[cfg_attr(test, utoipa::path(post, path = "/api/v1/bans", tag = "operations", request_body = BanRequest, responses((status = 200, body = Vec<BanView>), (status = 400, body = Problem), (status = 409, body = Problem))))]
pub(super) async fn ban(Ready(desk): Ready, Input(asked): Input<BanRequest>) -> Result<Json<Vec<BanView>>, Problem> {
    let offender = offender(&asked.address, asked.user.as_deref())?;
    let (Offender::Address(address) | Offender::Login(address, _)) = &offender;
    if desk.broker.abuse.is_exempt(*address) {
        return Err(Problem::bad("address: it is within abuse.exempt, and never kept out; take it from there first"));
    }
    let now = desk.clock.now();
    let whom = offender.to_string().escape_debug().to_string();
    let until = now.plus_seconds(asked.seconds.min(SECONDS_MAX));
    desk.broker.abuse.ban(offender, until, now).map_err(|TooManyBans| {
        Problem::conflict(format!("there are {MANUAL_MAX} bans of operators; lift some of them first"))
    })?;
    tracing::warn!(offender = %whom, seconds = asked.seconds, "an operator keeps somebody out");
    Ok(list_bans(Ready(desk)).await)
}

/// Lets somebody in again, with nothing on record
#[cfg_attr(test, utoipa::path(delete, path = "/api/v1/bans", tag = "operations", params(Whom), responses((status = 200, body = Vec<BanView>), (status = 400, body = Problem), (status = 404, body = Problem))))]
pub(super) async fn unban(Ready(desk): Ready, Asked(asked): Asked<Whom>) -> Result<Json<Vec<BanView>>, Problem> {
    let offender = offender(&asked.address, asked.user.as_deref())?;
    if !desk.broker.abuse.lift(&offender, desk.clock.now()) {
        return Err(Problem::not_found("they are not kept out; see /api/v1/bans"));
    }
    tracing::warn!(offender = %offender.to_string().escape_debug(), "an operator lets somebody in again");
    Ok(list_bans(Ready(desk)).await)
}

fn offender(address: &str, user: Option<&str>) -> Result<Offender, Problem> {
    let address: IpAddr = address.parse().map_err(|_| Problem::bad("address: write e.g. 192.0.2.1 or 2001:db8::1"))?;
    let user = user.map(Text::try_from).transpose().map_err(|violation| Problem::bad(violation.why))?;
    Ok(user.map_or_else(|| Offender::address(address), |user| Offender::login(address, &user)))
}
