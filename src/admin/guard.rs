//! What every request passes: is it meant for us, does it come from a page of ours, and who asks.
//!
//! There are no cookies, so that a foreign page cannot borrow anybody's rights; the checks of `Host`, `Origin` and
//! `Sec-Fetch-Site` keep it from those of the machine's own address and of passwords that browsers remember.
use super::Shared;
use super::credentials::Operator;
use super::problem::Problem;
use crate::config::{AdminRole, Anonymous};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub SocketAddr);

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    Metrics,
    Read,
    Admin,
}

/// Scripts, styles and requests from this address alone; no framing; no referrer.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// A reverse proxy says that the request is not from this machine itself.
const PROXIED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Refuses what is not meant for us, and marks every answer.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&shared, request.headers(), request.uri()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(shared: &Shared, headers: &HeaderMap, uri: &Uri) -> Option<Problem> {
    let Some(host) = host(headers, uri) else {
        return Some(Problem::bad("the request names no host"));
    };
    if !is_ours(&shared.settings.hosts, &host) {
        let detail = "this name is not known here; add it to admin.hosts if it is meant";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    // A link from elsewhere to the dashboard's page is followed: it holds nothing, and acts on nothing.
    let is_link = uri.path() == "/" && headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode.as_bytes() == b"navigate");
    let is_foreign_site = !is_link
        && headers.get(SEC_FETCH_SITE).is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"));
    let is_foreign_origin = headers.get(header::ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        origin.is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(&host))
    });
    (is_foreign_site || is_foreign_origin)
        .then(|| Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask here"))
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = hosts.next().and_then(|host| host.to_str().ok());
    if hosts.next().is_some() {
        return None;
    }
    named.or_else(|| uri.authority().map(|authority| authority.as_str())).map(str::to_owned)
}

/// An address cannot be rebound to another machine; a name can, so that only known ones are taken.
fn is_ours(known: &[String], host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bracketed.is_some_and(|address| address.parse::<IpAddr>().is_ok()) {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Lets through who may use a route.
pub(super) async fn authorize(shared: Arc<Shared>, needs: Needs, request: Request, next: Next) -> Response {
    match check(&shared, needs, &request) {
        Ok(operator) => {
            let mut request = request;
            if let Some(operator) = operator {
                request.extensions_mut().insert(operator);
            }
            next.run(request).await
        }
        Err(problem) => {
            let is_unknown = problem.status == StatusCode::UNAUTHORIZED.as_u16();
            let mut response = problem.into_response();
            if is_unknown {
                // Not Basic, so that no browser asks for a password and sends it with whatever follows.
                let challenge = HeaderValue::from_static("Bearer realm=\"vowmq\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

fn check(shared: &Shared, needs: Needs, request: &Request) -> Result<Option<Operator>, Problem> {
    let unknown = |detail| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let Some(authorization) = request.headers().get(header::AUTHORIZATION) else {
        let detail = "a token is needed: Authorization: Bearer TOKEN; the broker's own is in data_dir/admin.token";
        return if is_open_to_anybody_here(shared, needs, request) { Ok(None) } else { Err(unknown(detail)) };
    };
    let operator = authorization.to_str().ok().and_then(|text| shared.credentials.operator(text));
    let Some(operator) = operator else { return Err(unknown("this token is not known here")) };
    let may = match needs {
        Needs::Metrics | Needs::Read => true,
        Needs::Admin => operator.role == AdminRole::Admin,
    };
    let detail = "this token may only read; use one whose role is admin";
    if may { Ok(Some(operator)) } else { Err(Problem::new(StatusCode::FORBIDDEN, detail)) }
}

/// Whether the one who asks without a token is on this machine, and may see this.
fn is_open_to_anybody_here(shared: &Shared, needs: Needs, request: &Request) -> bool {
    let may = match shared.settings.anonymous {
        Anonymous::Nothing => false,
        Anonymous::Metrics => needs == Needs::Metrics,
        Anonymous::Read => matches!(needs, Needs::Metrics | Needs::Read),
    };
    let is_here = request.extensions().get::<Peer>().is_some_and(|peer| peer.0.ip().is_loopback());
    let is_proxied = PROXIED.iter().any(|name| request.headers().contains_key(*name));
    may && is_here && !is_proxied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_are_ours() {
        let known = ["Broker.example.com".to_owned()];
        for host in
            ["127.0.0.1", "127.0.0.1:18883", "[::1]:18883", "[::1]", "localhost:18883", "broker.example.com:443"]
        {
            assert!(is_ours(&known, host), "{host}");
        }
        for host in ["evil.example.com", "localhost.evil.com", "127.0.0.1.nip.io:18883", "", "broker.example.com.evil"]
        {
            assert!(!is_ours(&known, host), "{host}");
        }
    }
}
