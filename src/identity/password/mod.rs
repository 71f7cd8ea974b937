//! Users and passwords in a file, as mosquitto_passwd or `vowmq passwd` writes it.
pub(super) mod hash;
mod users;

use super::pool::Pool;
use super::source::{Source, text};
use super::{Denial, Judgement, LoadError, Proof, Proved, Voucher};
use std::hash::RandomState;
use std::path::Path;
use std::sync::Arc;
pub(super) use users::Users;

#[derive(Debug)]
pub(super) struct PasswordFile {
    pub source: Source<Users>,
    seed: RandomState,
}

impl PasswordFile {
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let parse = |bytes: &[u8]| Users::parse(text(bytes)?).map_err(|fault| fault.to_string());
        Ok(Self { source: Source::open(path, parse)?, seed: RandomState::new() })
    }

    pub async fn judge(&self, own_name: &Arc<str>, proof: &Proof, pool: &Pool) -> Judgement {
        let Some(user) = &proof.user else { return Judgement::Unknown };
        let users = self.source.current();
        if users.find(user.as_str()).is_none() {
            return Judgement::Unknown;
        }
        // A known user without a password has proved nothing.
        let Some(password) = proof.password.clone() else { return Judgement::Denied(Denial::NoPassword) };
        let name = user.clone();
        let check = move || users.find(name.as_str()).is_some_and(|hash| hash.matches(&password));
        match pool.run(check).await {
            Ok(true) => {
                let voucher = Some(Voucher::PasswordFile(own_name.clone()));
                Judgement::Proved(Proved { voucher, ..Proved::user(user) })
            }
            Ok(false) => Judgement::Denied(Denial::WrongPassword),
            Err(_) => Judgement::Denied(Denial::Busy),
        }
    }

    /// Does for a user that nobody knows what would be done for a known one, and takes the same time.
    pub async fn pretend(&self, proof: &Proof, pool: &Pool) -> Denial {
        let (Some(user), Some(password)) = (proof.user.clone(), proof.password.clone()) else {
            return Denial::UnknownUser;
        };
        let (users, seed) = (self.source.current(), self.seed.clone());
        let check = move || users.stand_in(user.as_str(), &seed).is_some_and(|hash| hash.matches(&password));
        match pool.run(check).await {
            Ok(_) => Denial::UnknownUser,
            Err(_) => Denial::Busy,
        }
    }
}
