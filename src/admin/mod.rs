//! How operators see and steer the broker: health, metrics and an API over HTTP (floor 4, beside `server`).
//!
//! It asks the broker; it never reaches into it. [`open`] listens before the broker has read its data, so that a probe is
//! told "not ready" rather than nothing; [`Opened::begin`] hands over the broker once it serves.
mod api;
mod credentials;
mod dashboard;
mod guard;
mod health;
mod listener;
mod metrics;
mod problem;

pub use credentials::Credentials;
pub use listener::Opened;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{self, Config, InForce};
use crate::tls::{Guard, Life, Place};
use credentials::CredentialsError;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;

/// The file in the data directory with the token that `vowmq ctl` uses, and the one that says where to ask.
pub const TOKEN_FILE: &str = "admin.token";
pub const ADDRESS_FILE: &str = "admin.address";

/// What the admin side steers.
#[derive(Clone)]
pub struct Desk {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    /// Where the broker keeps its state; `None` if it keeps none.
    pub data_dir: Option<PathBuf>,
    /// Changes what is logged; `None` if whoever embeds the broker logs by itself.
    pub log_level: Option<Arc<dyn LogLevel>>,
    /// Set when the broker begins to end.
    pub is_stopping: Arc<AtomicBool>,
    /// The settings in force. May wait for the disk.
    pub settings: Arc<dyn Fn() -> Vec<InForce> + Send + Sync>,
    /// Until when the certificates of each listener are good, by its name.
    pub certificates: Arc<dyn Fn() -> Vec<(String, Vec<Life>)> + Send + Sync>,
    /// Loads certificates, rules and the like anew.
    pub reload: Arc<dyn Fn() -> Vec<Reloaded> + Send + Sync>,
}

/// What is logged, to be changed while the broker runs.
pub trait LogLevel: Send + Sync {
    fn level(&self) -> String;
    /// Puts a level or directives in force; the text says what is wrong with them.
    fn set(&self, level: &str) -> Result<(), String>;
}

/// What became of one thing that can be loaded anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    pub name: String,
    /// Whether it changed; if it could not be loaded, what was there before stays in force.
    pub result: Result<bool, String>,
}

/// Why there is no admin listener.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("admin.address: {address}: {source}; stop the other program, or choose another address or \"\" for none")]
    Bind { address: SocketAddr, source: std::io::Error },
    /// Its certificate cannot be used; the text says why, and what to do.
    #[error("{0}")]
    Tls(String),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

/// What all requests share.
struct Shared {
    desk: OnceLock<Desk>,
    credentials: Arc<Credentials>,
    guard: Option<Arc<Guard>>,
    settings: config::Admin,
    data_dir: PathBuf,
    address: SocketAddr,
    /// Streams (traces, live values, backups) at once; they may last, so that they have a limit of their own.
    streams: Arc<Semaphore>,
    draining: api::Drains,
}

/// Traces, live values and backups at once.
const STREAMS_MAX: usize = 16;

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Listens, if it is to.
pub fn open(config: &Config) -> Result<Option<Opened>, AdminError> {
    let Some(wanted) = config.admin.listens_on() else { return Ok(None) };
    let is_default = config.admin.address == config::Admin::DEFAULT_ADDRESS;
    let socket = match std::net::TcpListener::bind(wanted) {
        Ok(socket) => socket,
        Err(error) if is_default => {
            tracing::warn!(address = %wanted, %error, "no admin listener; set admin.address to have one elsewhere");
            return Ok(None);
        }
        Err(source) => return Err(AdminError::Bind { address: wanted, source }),
    };
    let bound = |source| AdminError::Bind { address: wanted, source };
    let address = socket.local_addr().map_err(bound)?;
    socket.set_nonblocking(true).map_err(bound)?;
    let credentials = Arc::new(Credentials::load(&config.admin)?);
    let guard = config.admin.tls.as_ref().map(|tls| Guard::open(tls, Place::Admin)).transpose();
    let guard = guard.map_err(AdminError::Tls)?.map(Arc::new);
    let shared = Arc::new(Shared {
        desk: OnceLock::new(),
        credentials,
        guard,
        settings: config.admin.clone(),
        data_dir: config.data_dir.clone(),
        address,
        streams: Arc::new(Semaphore::new(STREAMS_MAX)),
        draining: api::Drains::default(),
    });
    listener::start(shared, socket).map(Some).map_err(bound)
}

/// Makes the broker's own token at the first start, and writes down where to ask, as port 0 is any. Not before the data
/// directory is known to be ours: another broker may be at work in it.
fn leave_word(shared: &Shared) -> std::io::Result<()> {
    let Shared { data_dir, address, credentials, guard, .. } = shared;
    if !data_dir.exists() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)?;
    }
    credentials.set_own(&credentials::own_token(data_dir)?);
    let scheme = if guard.is_some() { "https://" } else { "" };
    std::fs::write(data_dir.join(ADDRESS_FILE), format!("{scheme}{address}\n"))
}
