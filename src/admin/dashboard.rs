//! The dashboard's pages: files inside the program, the same for whoever asks.
//!
//! They hold no secret, so that they need no token: what they show they ask of the API, with the token of the one who
//! looks. A debug build reads them from `src/admin/pages` at each request, so that they can be worked on without building.
use super::problem::{Named, Problem};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What is below `/assets/`; the first page is at `/`.
#[derive(RustEmbed)]
#[folder = "src/admin/pages"]
struct Pages;

const FIRST: &str = "index.html";

/// As strict as the API's own, but that a page may talk MQTT to a WebSocket listener, which is another origin: its address
/// is for the operator to say. No text ever becomes markup or a script: browsers that know Trusted Types see to it.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self' ws: wss:; object-src 'none'; form-action 'none'; frame-ancestors 'none'; \
                      base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The page itself.
pub(super) async fn first(headers: HeaderMap) -> Response {
    answer(FIRST, &headers)
}

/// What the page is made of.
pub(super) async fn asset(Named(path): Named, headers: HeaderMap) -> Response {
    answer(&path, &headers)
}

fn answer(path: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Pages::get(path) else {
        return Problem::not_found("the dashboard has no such file").into_response();
    };
    let tag = tag(&file);
    let is_known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type(path))], Body::from(file.data.into_owned())).into_response()
    };
    let kept = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        kept.insert(header::ETAG, tag);
    }
    // Kept, but asked for again each time: another version of the broker may answer.
    kept.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    kept.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn tag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_type_of_its_own() {
        let files: Vec<_> = Pages::iter().collect();
        assert!(files.iter().any(|path| path == FIRST), "{files:?}");
        for path in files {
            let is_licence = path.starts_with("vendor/") && path.ends_with(".txt");
            assert!(is_licence || !content_type(&path).starts_with("text/plain"), "{path}");
        }
    }

    #[test]
    fn nothing_outside_is_given_away() {
        for path in ["../mod.rs", "/etc/passwd", "views/../../mod.rs", ""] {
            assert_eq!(answer(path, &HeaderMap::new()).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let answered = answer(FIRST, &HeaderMap::new());
        let tag = answered.headers()[header::ETAG].clone();
        let again = answer(FIRST, &HeaderMap::from_iter([(header::IF_NONE_MATCH, tag)]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }
}
