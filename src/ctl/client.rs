//! Requests to the admin API.
use super::Options;
use crate::admin::{ADDRESS_FILE, TOKEN_FILE};
use crate::config::Config;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, RequestBuilder};

/// How long the broker may take to begin an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that is no stream.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{detail}")]
    Refused { status: u16, detail: String },
    #[error("{0}")]
    Usage(String),
    #[error("{url}: {why}; is the broker running, and is this its admin.address?")]
    Silent { url: String, why: String },
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    #[error("{0}")]
    Incomplete(String),
}

pub(super) struct Client {
    agent: Agent,
    url: String,
    token: Option<String>,
}

/// Names and values behind the `?`; what is `None` stays out.
pub(super) type Query<'a> = &'a [(&'a str, Option<String>)];

impl Client {
    pub fn new(options: &Options, config: &Config) -> Result<Self, Failure> {
        let token_file = options.token_file.clone().unwrap_or_else(|| config.data_dir.join(TOKEN_FILE));
        let token = match std::fs::read_to_string(&token_file) {
            Ok(token) => Some(token.trim().to_owned()),
            Err(error) if options.token_file.is_some() => {
                return Err(Failure::Usage(format!("{}: {error}", token_file.display())));
            }
            // The broker says what may be asked without.
            Err(_) => None,
        };
        let url = match &options.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => address(config)?,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .proxy(None)
            .tls_config(trust(options, config)?)
            .build();
        Ok(Self { agent: agent.new_agent(), url, token })
    }

    pub fn read(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        answer(self.open(path, query)?)
    }

    /// An answer that is read as it comes.
    pub fn stream(&self, path: &str, query: Query<'_>) -> Result<Box<dyn Read>, Failure> {
        let response = self.open(path, query)?;
        Ok(Box::new(accepted(response)?.into_body().into_reader()))
    }

    pub fn delete(&self, path: &str, query: Query<'_>) -> Result<Value, Failure> {
        let mut request = self.agent.delete(format!("{}{path}", self.url));
        for (name, value) in query {
            request = request.query_pairs(value.iter().map(|value| (*name, value.as_str())));
        }
        answer(self.signed(request).call().map_err(|error| self.silent(&error))?)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}{path}", self.url));
        answer(self.signed(request).send_json(body).map_err(|error| self.silent(&error))?)
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.put(format!("{}{path}", self.url));
        answer(self.signed(request).send_json(body).map_err(|error| self.silent(&error))?)
    }

    fn open(&self, path: &str, query: Query<'_>) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        for (name, value) in query {
            request = request.query_pairs(value.iter().map(|value| (*name, value.as_str())));
        }
        self.signed(request).call().map_err(|error| self.silent(&error))
    }

    fn signed<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn silent(&self, error: &ureq::Error) -> Failure {
        Failure::Silent { url: self.url.clone(), why: error.to_string() }
    }
}

/// A name as one part of a path.
pub(super) fn part(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

/// Where the broker listens: what it wrote down, else what the configuration says.
fn address(config: &Config) -> Result<String, Failure> {
    if let Ok(address) = std::fs::read_to_string(config.data_dir.join(ADDRESS_FILE)) {
        return Ok(with_scheme(address.trim(), "http"));
    }
    let off = || Failure::Usage("admin.address is \"\", so that nobody answers; set it, or name a --url".to_owned());
    let scheme = if config.admin.tls.is_some() { "https" } else { "http" };
    config.admin.listens_on().map(|address| with_scheme(&address.to_string(), scheme)).ok_or_else(off)
}

/// The broker's file names the scheme if it is not this one.
fn with_scheme(address: &str, scheme: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("{scheme}://{address}") }
}

/// Whose signature under the broker's certificate counts.
fn trust(options: &Options, config: &Config) -> Result<TlsConfig, Failure> {
    let own = config.admin.tls.as_ref().filter(|_| options.url.is_none()).map(|tls| &tls.certificate);
    let roots = match options.ca_file.as_ref().or(own) {
        None => RootCerts::WebPki,
        Some(file) => RootCerts::new_with_certs(&certificates(file)?),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build())
}

fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let unusable = |why: &dyn std::fmt::Display| {
        Failure::Usage(format!("{}: {why}; name a PEM file with certificates by --ca-file", file.display()))
    };
    let bytes = std::fs::read(file).map_err(|error| unusable(&error))?;
    let items = parse_pem(&bytes).collect::<Result<Vec<_>, _>>().map_err(|error| unusable(&error))?;
    let found: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() { Err(unusable(&"there is no certificate in it")) } else { Ok(found) }
}

fn answer(response: Response<Body>) -> Result<Value, Failure> {
    let mut response = accepted(response)?;
    parse(&mut response)
}

fn parse(response: &mut Response<Body>) -> Result<Value, Failure> {
    let read = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_json();
    read.map_err(|error| Failure::Incomplete(format!("the answer cannot be read: {error}")))
}

fn accepted(mut response: Response<Body>) -> Result<Response<Body>, Failure> {
    let status = response.status().as_u16();
    if response.status().is_success() {
        return Ok(response);
    }
    let told = parse(&mut response).unwrap_or_default();
    let detail = told.get("detail").and_then(Value::as_str).map(str::to_owned);
    let reasons = told.get("reasons").map(|reasons| format!("not ready: {}", super::print::text(reasons)));
    Err(Failure::Refused { status, detail: detail.or(reasons).unwrap_or_else(|| format!("answered {status}")) })
}
