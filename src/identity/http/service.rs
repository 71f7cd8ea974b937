//! One request to the web service and its answer.
use crate::config;
use crate::identity::proof::is_user_name;
use crate::identity::source::{Change, Source};
use crate::identity::{Denial, Judgement, LoadError, Proof, Proved};
use crate::types::Text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::RwLock;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const ANSWER_BYTES_MAX: u64 = 64 << 10;

#[derive(Debug)]
pub(in crate::identity) struct Service {
    url: String,
    timeout: Duration,
    requests_max: usize,
    /// Users: requests (to read, for a moment) and reload.
    agent: RwLock<Agent>,
    authorities: Option<Source<Vec<Certificate<'static>>>>,
}

/// Why there is no answer; never with what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    #[error("{0}")]
    Request(#[from] Box<ureq::Error>),
    #[error("status {0} is not 200")]
    Status(u16),
    #[error("the answer is not {{\"result\": \"allow\", \"deny\" or \"ignore\", ...}}: line {line} column {column}")]
    Answer { line: usize, column: usize },
}

/// What the service may answer.
#[derive(Deserialize)]
struct Answer {
    result: Result,
    /// Who it is, if the client did not say.
    user: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Result {
    Allow,
    Deny,
    Ignore,
}

impl Service {
    pub fn open(settings: &config::Http) -> std::result::Result<Self, LoadError> {
        let authorities = match &settings.ca_file {
            Some(path) => Some(Source::open(path, parse_authorities)?),
            None => None,
        };
        let timeout = Duration::from_millis(settings.timeout_ms);
        let agent = agent(authorities.as_ref(), timeout, settings.requests_max);
        let (url, requests_max) = (settings.url.clone(), settings.requests_max);
        Ok(Self { url, timeout, requests_max, agent: RwLock::new(agent), authorities })
    }

    pub fn ca_file(&self) -> Option<&Path> {
        self.authorities.as_ref().map(Source::path)
    }

    /// Reads the file of authorities anew.
    pub fn refresh(&self) -> std::result::Result<Option<Change<'_>>, LoadError> {
        let Some(authorities) = &self.authorities else { return Ok(None) };
        Ok(authorities.refresh()?.map(|change| {
            let change: Change<'_> = Box::new(move || {
                change();
                *self.agent.write() = agent(Some(authorities), self.timeout, self.requests_max);
            });
            change
        }))
    }

    /// Blocks until the service has answered, or until it is too late.
    pub(super) fn ask(&self, proof: &Proof) -> std::result::Result<Judgement, ServiceError> {
        let agent = self.agent.read().clone();
        let request = agent.post(&self.url).header("content-type", "application/json");
        let mut response = request.send(question(proof)).map_err(Box::new)?;
        if response.status() != 200 {
            return Err(ServiceError::Status(response.status().as_u16()));
        }
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(Box::new)?;
        judge(&body, proof)
    }
}

fn question(proof: &Proof) -> String {
    // A password is bytes; one that is no text goes in base64.
    let text = proof.password.as_deref().and_then(|password| std::str::from_utf8(password).ok());
    let bytes = proof.password.as_ref().filter(|_| text.is_none()).map(|password| STANDARD.encode(password));
    serde_json::json!({
        "user": proof.user.as_ref().map(Text::as_str),
        "password": text,
        "password_base64": bytes,
        "client_id": proof.client_id.as_str(),
        "address": proof.address.map(|address| address.to_string()),
        "certificate": proof.certificate.as_ref().map(Text::as_str),
    })
    .to_string()
}

fn judge(body: &[u8], proof: &Proof) -> std::result::Result<Judgement, ServiceError> {
    // What does not fit is not shown: it may be what was asked.
    let no_answer = |line, column| ServiceError::Answer { line, column };
    let answer: Answer = serde_json::from_slice(body).map_err(|error| no_answer(error.line(), error.column()))?;
    let text = |text: &String| Text::try_from(text.as_str()).map_err(|_| no_answer(1, 1));
    match answer.result {
        Result::Deny => Ok(Judgement::Denied(Denial::Service)),
        Result::Ignore => Ok(Judgement::Unknown),
        Result::Allow => {
            let named = answer.user.as_ref().map(text).transpose()?;
            if named.as_ref().is_some_and(|named| !is_user_name(named.as_str())) {
                return Ok(Judgement::Denied(Denial::UserName));
            }
            if let (Some(named), Some(user)) = (&named, &proof.user)
                && named != user
            {
                return Ok(Judgement::Denied(Denial::OtherUser));
            }
            let user = proof.user.as_ref().map(Text::detached).or(named);
            let groups = answer.groups.iter().map(text).collect::<std::result::Result<Vec<_>, _>>()?;
            Ok(Judgement::Proved(Proved { user, groups, claims: answer.claims, expires_at_ms: None, voucher: None }))
        }
    }
}

fn parse_authorities(bytes: &[u8]) -> std::result::Result<Vec<Certificate<'static>>, String> {
    let mut found = Vec::new();
    for item in parse_pem(bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(format!(" {error}")),
        }
    }
    if found.is_empty() { Err(" this is no PEM file with certificates".to_owned()) } else { Ok(found) }
}

fn agent(authorities: Option<&Source<Vec<Certificate<'static>>>>, timeout: Duration, requests_max: usize) -> Agent {
    let roots = authorities.map_or(RootCerts::WebPki, |source| RootCerts::new_with_certs(&source.current()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
    // Neither another place nor a proxy that the environment names is told anybody's password.
    let config = Agent::config_builder().proxy(None).max_redirects(0).max_redirects_will_error(false);
    let config = config.timeout_global(Some(timeout)).max_idle_connections_per_host(requests_max);
    config.http_status_as_error(false).tls_config(tls).build().new_agent()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn proof(user: Option<&str>, password: &'static [u8]) -> Proof {
        let user = user.map(|user| Text::try_from(user).expect("legal text"));
        Proof { user, password: Some(Bytes::from_static(password)), ..Proof::default() }
    }

    fn judged(body: &str, user: Option<&str>) -> Option<Judgement> {
        judge(body.as_bytes(), &proof(user, b"p")).ok()
    }

    #[test]
    fn answers_mean_what_they_say() {
        let ann = Proved::user(&Text::from_static("ann"));
        assert_eq!(judged(r#"{"result":"allow"}"#, Some("ann")), Some(Judgement::Proved(ann.clone())));
        assert_eq!(judged(r#"{"result":"allow","user":"ann"}"#, None), Some(Judgement::Proved(ann.clone())));
        assert_eq!(
            judged(r#"{"result":"allow","user":"ann"}"#, Some("bob")),
            Some(Judgement::Denied(Denial::OtherUser))
        );
        assert_eq!(judged(r#"{"result":"allow","user":"a\nb"}"#, None), Some(Judgement::Denied(Denial::UserName)));
        assert_eq!(judged(r#"{"result":"deny"}"#, Some("ann")), Some(Judgement::Denied(Denial::Service)));
        assert_eq!(judged(r#"{"result":"ignore"}"#, Some("ann")), Some(Judgement::Unknown));
        let more = r#"{"result":"allow","groups":["g"],"claims":{"site":"7"},"further":1}"#;
        let claims = BTreeMap::from([("site".to_owned(), "7".to_owned())]);
        let proved = Proved { groups: vec![Text::from_static("g")], claims, ..ann };
        assert_eq!(judged(more, Some("ann")), Some(Judgement::Proved(proved)));
    }

    #[test]
    fn what_is_no_answer_lets_nobody_in() {
        for body in ["", "allow", "{}", r#"{"result":"yes"}"#, r#"{"result":true}"#, r#"{"result":"allow","groups":1}"#]
        {
            assert_eq!(judged(body, Some("ann")), None, "{body}");
        }
    }

    #[test]
    fn a_password_that_is_no_text_is_asked_about_in_base64() {
        let asked: serde_json::Value = serde_json::from_str(&question(&proof(None, b"\xff"))).expect("JSON");
        assert_eq!((asked["password"].as_str(), asked["password_base64"].as_str()), (None, Some("/w==")));
        let asked: serde_json::Value = serde_json::from_str(&question(&proof(Some("a"), b"\"x"))).expect("JSON");
        assert_eq!((asked["password"].as_str(), asked["user"].as_str()), (Some("\"x"), Some("a")));
    }
}
