//! Who a client is: authenticators that look at what it shows, in an order that the configuration gives (floor 3).
//!
//! What parses and checks is pure; files are read by [`source`], threads are in [`pool`], and only `http` talks to
//! anybody. Nothing here knows a connection: the server asks a [`Chain`] between CONNECT and the session.
mod certificate;
mod chain;
pub mod command;
mod http;
mod jwt;
mod lines;
mod password;
mod pool;
mod proof;
mod scram;
mod source;

pub use chain::Chain;
pub use proof::{Denial, Judgement, Proof, Proved, Voucher, is_user_name};
pub use scram::{Exchange, Failed};

use crate::clock::Clock;
use crate::config::{self, Config, Kind};
use http::Callout;
use jwt::Tokens;
use password::PasswordFile;
use pool::Pool;
use scram::ScramFile;
use source::Change;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why an authenticator cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// `what` begins with the line, or with a blank.
    #[error("{}:{what}", path.display())]
    File { path: PathBuf, what: String },
    #[error("cannot start threads: {0}; lower authentication.threads or authenticator.requests_max")]
    Threads(std::io::Error),
}

/// What has gone wrong, with the authenticator's name.
#[derive(Debug, thiserror::Error)]
#[error("authenticator \"{name}\": {source}")]
pub struct IdentityError {
    name: String,
    source: LoadError,
}

/// All authenticators of the configuration.
#[derive(Debug)]
pub struct Authenticators {
    all: Vec<Arc<Authenticator>>,
    /// For what costs much computing.
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Authenticator {
    name: Arc<str>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    PasswordFile(PasswordFile),
    Certificate { user_must_match: bool },
    Jwt(Tokens),
    Http(Callout),
    Scram(ScramFile),
}

impl Authenticators {
    /// Reads every file that they are made from.
    pub fn load(config: &Config, clock: Clock) -> Result<Self, IdentityError> {
        let fail = |name: &str, source| IdentityError { name: name.to_owned(), source };
        let mut all = Vec::new();
        for one in &config.authenticators {
            let method = Method::open(one, clock).map_err(|error| fail(&one.name, error))?;
            all.push(Arc::new(Authenticator { name: one.name.as_str().into(), method }));
        }
        let needs_pool = all.iter().any(|one| matches!(one.method, Method::PasswordFile(_) | Method::Jwt(_)));
        let threads = if needs_pool { config.authentication.threads } else { 0 };
        let pool = Pool::start("logins", threads, config.authentication.queued_logins_max);
        let pool = pool.map_err(|error| fail("logins", LoadError::Threads(error)))?;
        Ok(Self { all, pool: Arc::new(pool) })
    }

    /// Those that one listener asks, in its order; without names all of them.
    pub fn chain(&self, names: Option<&[String]>) -> Chain {
        let find = |name: &String| self.all.iter().find(|one| *one.name == **name).cloned();
        let links = match names {
            Some(names) => names.iter().filter_map(find).collect(),
            None => self.all.clone(),
        };
        Chain::new(links, self.pool.clone())
    }

    /// Every file whose change asks for a reload.
    pub fn files(&self) -> Vec<PathBuf> {
        self.all.iter().filter_map(|one| one.method.file()).map(Path::to_owned).collect()
    }

    /// Reads all files anew. Either everything is good and in force from here on (true: something has changed), or all
    /// stays as it was. Clients that are connected stay so;
    /// whether they still should, [`Chain::vouches`] tells.
    pub fn reload(&self) -> Result<bool, String> {
        let fail = |name: &str, source| IdentityError { name: name.to_owned(), source };
        let mut changes = Vec::new();
        for one in &self.all {
            let change = one.method.refresh().map_err(|source| fail(&one.name, source));
            changes.extend(change.map_err(|error| error.to_string())?);
        }
        let has_changed = !changes.is_empty();
        changes.into_iter().for_each(|change| change());
        Ok(has_changed)
    }
}

impl Method {
    fn open(settings: &config::Authenticator, clock: Clock) -> Result<Self, LoadError> {
        Ok(match &settings.kind {
            Kind::PasswordFile { file } => Self::PasswordFile(PasswordFile::open(file)?),
            Kind::Certificate { user_must_match } => Self::Certificate { user_must_match: *user_must_match },
            Kind::Jwt(jwt) => Self::Jwt(Tokens::open(jwt)?),
            Kind::Http(http) => Self::Http(Callout::open(&settings.name, http, clock)?),
            Kind::Scram { file } => Self::Scram(ScramFile::open(file)?),
        })
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::PasswordFile(file) => Some(file.source.path()),
            Self::Certificate { .. } => None,
            Self::Jwt(tokens) => Some(tokens.source.path()),
            Self::Http(callout) => callout.service.ca_file(),
            Self::Scram(file) => Some(file.source.path()),
        }
    }

    fn refresh(&self) -> Result<Option<Change<'_>>, LoadError> {
        match self {
            Self::PasswordFile(file) => file.source.refresh(),
            Self::Certificate { .. } => Ok(None),
            Self::Jwt(tokens) => tokens.source.refresh(),
            Self::Http(callout) => callout.service.refresh(),
            Self::Scram(file) => file.source.refresh(),
        }
    }
}
