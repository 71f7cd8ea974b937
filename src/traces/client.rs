//! The HTTP client that the exporter posts with: the one that the rest of the program uses.
use super::TracesError;
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

const ANSWER_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    /// Trusts who is in the file, or without one whom Mozilla trusts.
    pub fn open(ca_file: &Path, timeout: Duration) -> Result<Self, TracesError> {
        let roots = match ca_file.as_os_str().is_empty() {
            true => RootCerts::WebPki,
            false => RootCerts::new_with_certs(&authorities(ca_file)?),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(roots).unversioned_rustls_crypto_provider(provider).build();
        let config = Agent::config_builder().proxy(None).max_redirects(0).max_redirects_will_error(false);
        let config = config.timeout_global(Some(timeout)).http_status_as_error(false).tls_config(tls);
        Ok(Self { agent: config.build().new_agent() })
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Waits where it is: the exporter has a thread of its own.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut response = self.agent.run(Request::from_parts(head, &body[..]))?;
        let answer = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        let (head, _) = response.into_parts();
        Ok(Response::from_parts(head, Bytes::from(answer)))
    }
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>, TracesError> {
    let fail = |why: String| TracesError::File {
        key: "ca_file",
        path: file.display().to_string(),
        why,
        fix: "name a PEM file with certificates",
    };
    let bytes = std::fs::read(file).map_err(|error| fail(error.to_string()))?;
    let items = parse_pem(&bytes).collect::<Result<Vec<_>, _>>().map_err(|error| fail(error.to_string()))?;
    let found = items.into_iter().filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() { Err(fail("there is no certificate in it".to_owned())) } else { Ok(found) }
}
