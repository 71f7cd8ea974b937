//! The authenticators of one listener, one after the other: the first that says yes or no decides.
use super::pool::Pool;
use super::scram::{self, Exchange, ScramFile};
use super::{Authenticator, Denial, Judgement, Method, Proof, Voucher, is_user_name};
use std::sync::Arc;

#[derive(Debug, Clone)]
pub struct Chain {
    links: Arc<[Arc<Authenticator>]>,
    pool: Arc<Pool>,
}

impl Chain {
    pub(super) fn new(links: Vec<Arc<Authenticator>>, pool: Arc<Pool>) -> Self {
        Self { links: links.into(), pool }
    }

    /// Whether there is nobody to ask.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Asks one after the other. `Unknown` is for a client that shows nothing, and about which nobody says anything.
    pub async fn judge(&self, proof: &Proof) -> Judgement {
        if proof.user.as_ref().is_some_and(|user| !is_user_name(user.as_str())) {
            return Judgement::Denied(Denial::UserName);
        }
        for link in self.links.iter() {
            match link.judge(proof, &self.pool).await {
                Judgement::Unknown => {}
                decided => return decided,
            }
        }
        if proof.is_given() { Judgement::Denied(self.pretend(proof).await) } else { Judgement::Unknown }
    }

    /// Begins an exchange by the method that CONNECT names; the second part is the challenge for the client.
    pub fn begin(&self, method: &str, message: &[u8]) -> Result<(Exchange, String), Denial> {
        let files = self.links.iter().filter_map(|link| match &link.method {
            Method::Scram(file) => Some(file),
            Method::PasswordFile(_) | Method::Certificate { .. } | Method::Jwt(_) | Method::Http(_) => None,
        });
        if method != scram::METHOD || files.clone().next().is_none() {
            return Err(Denial::Method);
        }
        ScramFile::begin(files, message).map_err(|_| Denial::Exchange)
    }

    /// Whether whoever vouched for a user still would.
    pub fn vouches(&self, voucher: &Voucher, user: &str) -> bool {
        self.links.iter().any(|link| match &link.method {
            Method::PasswordFile(file) => {
                *voucher == Voucher::PasswordFile(link.name.clone()) && file.source.current().find(user).is_some()
            }
            Method::Scram(file) => *voucher == Voucher::Exchange && file.knows(user),
            Method::Certificate { .. } | Method::Jwt(_) | Method::Http(_) => false,
        })
    }

    /// Takes as long to refuse an unknown user as it would take for a known one with a wrong password.
    async fn pretend(&self, proof: &Proof) -> Denial {
        let files = self.links.iter().filter_map(|link| match &link.method {
            Method::PasswordFile(file) => Some(file),
            Method::Certificate { .. } | Method::Jwt(_) | Method::Http(_) | Method::Scram(_) => None,
        });
        match files.max_by_key(|file| file.source.current().len()) {
            Some(file) => file.pretend(proof, &self.pool).await,
            None => Denial::UnknownUser,
        }
    }
}

impl Authenticator {
    async fn judge(&self, proof: &Proof, pool: &Pool) -> Judgement {
        match &self.method {
            Method::PasswordFile(file) => file.judge(&self.name, proof, pool).await,
            Method::Certificate { user_must_match } => super::certificate::judge(*user_must_match, proof),
            Method::Jwt(tokens) => tokens.judge(proof, pool).await,
            Method::Http(callout) => callout.judge(&self.name, proof).await,
            // It speaks in exchanges only.
            Method::Scram(_) => Judgement::Unknown,
        }
    }
}
