//! JSON Web Tokens in place of passwords (RFC 7519).
mod keys;
mod signatures;

use super::pool::Pool;
use super::proof::is_user_name;
use super::source::Source;
use super::{Denial, Judgement, LoadError, Proof, Proved};
use crate::config;
use crate::types::Text;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, decode, decode_header};
use keys::Keys;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Tokens {
    pub source: Source<Keys>,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    settings: config::Jwt,
    validation: Validation,
}

type Claims = Map<String, Value>;

impl Tokens {
    pub fn open(settings: &config::Jwt) -> Result<Self, LoadError> {
        signatures::install();
        let algorithm = settings.algorithm;
        let source = match (&settings.key_file, &settings.jwks_file) {
            (_, Some(path)) => Source::open(path, move |bytes| Keys::from_set(bytes, algorithm))?,
            (path, None) => {
                let path = path.as_deref().unwrap_or_else(|| "".as_ref());
                Source::open(path, move |bytes| Keys::from_file(bytes, algorithm))?
            }
        };
        let rules = Rules { settings: settings.clone(), validation: validation(settings) };
        Ok(Self { source, rules: Arc::new(rules) })
    }

    pub async fn judge(&self, proof: &Proof, pool: &Pool) -> Judgement {
        let Some(password) = &proof.password else { return Judgement::Unknown };
        if !self.rules.is_ours(password) {
            return Judgement::Unknown;
        }
        let (keys, rules, proof) = (self.source.current(), self.rules.clone(), proof.clone());
        let check = move || rules.judge(&keys, &proof);
        pool.run(check).await.unwrap_or(Judgement::Denied(Denial::Busy))
    }
}

/// One algorithm, whatever a token asks for; and what has to be in it.
fn validation(settings: &config::Jwt) -> Validation {
    let mut validation = Validation::new(keys::algorithm(settings.algorithm));
    validation.leeway = settings.leeway_s;
    validation.validate_nbf = true;
    // RFC 7519 section 4.1.4: in the second of `exp` it is over.
    validation.reject_tokens_expiring_in_less_than = 1;
    validation.validate_aud = !settings.audiences.is_empty();
    let mut required = Vec::new();
    if settings.expiry_required {
        required.push("exp");
    }
    if !settings.audiences.is_empty() {
        required.push("aud");
        validation.set_audience(&settings.audiences);
    }
    if !settings.issuers.is_empty() {
        required.push("iss");
        validation.set_issuer(&settings.issuers);
    }
    validation.set_required_spec_claims(&required);
    validation
}

impl Rules {
    /// Whether this is a token of our kind, so that the answer is ours to give. Nothing in it is proved yet.
    fn is_ours(&self, token: &[u8]) -> bool {
        let Ok(header) = decode_header(token) else { return false };
        if !self.validation.algorithms.contains(&header.alg) {
            return false;
        }
        let issuers = &self.settings.issuers;
        let Ok(claims) = insecure_decode_claims::<Claims>(token) else { return false };
        let issuer = claims.get("iss").and_then(Value::as_str);
        issuers.is_empty() || issuer.is_some_and(|issuer| issuers.iter().any(|ours| ours == issuer))
    }

    fn judge(&self, keys: &Keys, proof: &Proof) -> Judgement {
        let token = proof.password.clone().unwrap_or_default();
        let id = decode_header(&token).ok().and_then(|header| header.kid);
        let mut denial = Denial::Token;
        for key in keys.for_id(id.as_deref()) {
            match decode::<Claims>(&token, key, &self.validation) {
                Ok(data) => return self.accept(&data.claims, proof),
                Err(error) => match error.kind() {
                    ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => denial = Denial::TokenTime,
                    _ => {}
                },
            }
        }
        Judgement::Denied(denial)
    }

    /// The token is good: who is its bearer?
    fn accept(&self, claims: &Claims, proof: &Proof) -> Judgement {
        let user = claims.get(&self.settings.user_claim).and_then(Value::as_str);
        let Some(user) = user.filter(|user| is_user_name(user)).and_then(|user| Text::try_from(user).ok()) else {
            return Judgement::Denied(Denial::Token);
        };
        if proof.user.as_ref().is_some_and(|named| *named != user) {
            return Judgement::Denied(Denial::OtherUser);
        }
        let Some(groups) = texts(claims.get(&self.settings.groups_claim)) else {
            return Judgement::Denied(Denial::Token);
        };
        let chosen = self.settings.claims.iter().filter_map(|name| Some((name.clone(), plain(claims.get(name)?)?)));
        let claims_kept: BTreeMap<_, _> = chosen.collect();
        let expiry = claims.get("exp").and_then(Value::as_f64).filter(|_| self.settings.disconnect_at_expiry);
        let expires_at_ms = expiry.map(|seconds| milliseconds(seconds, self.settings.leeway_s));
        Judgement::Proved(Proved { user: Some(user), groups, claims: claims_kept, expires_at_ms, voucher: None })
    }
}

/// A token counts until its leeway has passed; one that is taken in that time must not be cut at once.
fn milliseconds(seconds: f64, leeway_s: u64) -> u64 {
    // More than fits lasts for ever, and less than nothing is over.
    let whole =
        if seconds >= 1e15 { u64::MAX } else { format!("{:.0}", seconds.max(0.0) * 1000.0).parse().unwrap_or(0) };
    whole.saturating_add(leeway_s.saturating_mul(1000))
}

/// One text or a list of them; `None` if it is something else.
fn texts(value: Option<&Value>) -> Option<Vec<Text>> {
    match value {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(text)) => Some(vec![Text::try_from(text.as_str()).ok()?]),
        Some(Value::Array(values)) => {
            values.iter().map(|value| Text::try_from(value.as_str()?).ok()).collect::<Option<Vec<_>>>()
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => None,
    }
}

/// A value that can stand in a rule.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
