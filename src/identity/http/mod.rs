//! Asking a web service whether a client may come in. Whatever goes wrong, the answer is no.
mod cache;
mod service;

use super::pool::Pool;
use super::{Denial, Judgement, LoadError, Proof};
use crate::clock::Clock;
use crate::config;
use cache::{Cache, Key};
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use service::Service;
use sha2::Sha256;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Callout {
    pub service: Arc<Service>,
    /// Threads of its own: a service that hangs must not keep passwords from being checked.
    pool: Pool,
    /// Users: logins, for a look-up or an entry each.
    cache: Mutex<Cache>,
    /// Answers are found by a keyed hash, so that no password stays in memory.
    secret: Secret,
    clock: Clock,
}

struct Secret([u8; 32]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Callout {
    pub fn open(name: &str, settings: &config::Http, clock: Clock) -> Result<Self, LoadError> {
        let pool = Pool::start(name, settings.requests_max, settings.queued_logins_max);
        Ok(Self {
            service: Arc::new(Service::open(settings)?),
            pool: pool.map_err(LoadError::Threads)?,
            cache: Mutex::new(Cache::new(settings.cache_entries_max, settings.cache_ttl_s)),
            secret: Secret(crate::clock::random()),
            clock,
        })
    }

    pub async fn judge(&self, name: &str, proof: &Proof) -> Judgement {
        if !proof.is_given() && proof.certificate.is_none() {
            return Judgement::Unknown;
        }
        let key = self.key(proof);
        if let Some(proved) = self.cache.lock().find(&key, self.clock.now()) {
            return Judgement::Proved(proved);
        }
        let (service, asked) = (self.service.clone(), proof.clone());
        let judgement = match self.pool.run(move || service.ask(&asked)).await {
            Ok(Ok(judgement)) => judgement,
            Ok(Err(error)) => {
                tracing::warn!(authenticator = name, "the web service gave no answer: {error}");
                Judgement::Denied(Denial::ServiceFailed)
            }
            Err(_) => Judgement::Denied(Denial::Busy),
        };
        if let Judgement::Proved(proved) = &judgement {
            self.cache.lock().keep(key, proved.clone(), self.clock.now());
        }
        judgement
    }

    /// Everything that the answer may depend on.
    fn key(&self, proof: &Proof) -> Key {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret.0).expect("HMAC takes keys of any length");
        let mut add = |part: Option<&[u8]>| {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(part.unwrap_or_default());
        };
        add(proof.user.as_ref().map(|user| user.as_bytes().as_ref()));
        add(proof.password.as_deref());
        add(Some(proof.client_id.as_bytes()));
        add(proof.certificate.as_ref().map(|name| name.as_bytes().as_ref()));
        add(proof.address.map(|address| address.to_string()).as_deref().map(str::as_bytes));
        mac.finalize().into_bytes().into()
    }
}
