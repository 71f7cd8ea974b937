//! The store behind the broker: opened before anything listens, written by one thread, closed after everything else.
use super::{ServerError, settings};
use crate::broker::{Broker, Committer, MailboxLimits};
use crate::clock::{Clock, seed};
use crate::config::{Config, OnDamage};
use crate::store::{DurableStore, Restored, StoreError, data_dir};
use std::sync::Arc;
use std::thread::JoinHandle;

/// Log bytes beyond twice the live state, after which the log is written anew.
const LOG_BYTES_MAX: u64 = 256 << 20;

pub(super) struct Engine {
    committer: Arc<Committer>,
    writer: Option<JoinHandle<()>>,
}

/// Opens the store, if there is to be one, and brings the broker to where it was.
pub(super) fn start(config: &Config, clock: Clock) -> Result<(Arc<Broker>, Engine), ServerError> {
    let settings = settings::broker(config, seed());
    let version = env!("CARGO_PKG_VERSION");
    if !config.persistence {
        let committer = Arc::new(Committer::memory());
        tracing::warn!(
            version,
            durability = "memory",
            "persistence is off: sessions and messages end with this process"
        );
        return Ok((Broker::new(settings, committer.clone()), Engine { committer, writer: None }));
    }
    let limits = settings.mailbox_limits;
    let (store, restored, salvaged) = open(config)?;
    let committer = Arc::new(Committer::durable());
    let broker = Broker::new(settings, committer.clone());
    broker.counters.pieces_salvaged.add(salvaged);
    let Restored { image, discarded, records } = restored;
    if let Some(discarded) = discarded {
        tracing::warn!("{discarded}; nothing that was acknowledged was in it");
    }
    broker.restore(image, clock.now());
    let data_dir = config.data_dir.display().to_string();
    let (sessions, subscriptions) = (broker.sessions(), broker.subscriptions());
    tracing::info!(
        version,
        durability = "fsync",
        data_dir,
        sessions,
        subscriptions,
        records,
        "acknowledged means synced to disk"
    );
    let writer = write(store, broker.clone(), committer.clone(), limits)?;
    Ok((broker, Engine { committer, writer: Some(writer) }))
}

/// Opens the store; the number is of the pieces that had to be given up for it.
fn open(config: &Config) -> Result<(DurableStore, Restored, u64), StoreError> {
    let directory = &config.data_dir;
    let open = || {
        data_dir::replay_from(directory)?;
        DurableStore::open(directory, seed(), LOG_BYTES_MAX)
    };
    let damage = match (open(), config.storage.on_damage) {
        (Err(error), OnDamage::Salvage) if error.is_damage() => error,
        (opened, OnDamage::Stop | OnDamage::Salvage) => return opened.map(|(store, restored)| (store, restored, 0)),
    };
    tracing::warn!(%damage, "storage.on_damage is salvage: the data directory is repaired before the start");
    let repaired = data_dir::repair(directory, seed())?;
    for mended in &repaired.log.mended {
        tracing::warn!("mended: {mended}");
    }
    for piece in &repaired.log.given_up {
        tracing::warn!(records = piece.records, bytes = piece.bytes(), "given up: {piece}");
    }
    for quarantine in &repaired.quarantines {
        tracing::warn!("what was there before the repair is in {}", quarantine.display());
    }
    let (store, restored) = open()?;
    Ok((store, restored, repaired.log.given_up.len() as u64))
}

fn write(
    mut store: DurableStore,
    broker: Arc<Broker>,
    committer: Arc<Committer>,
    limits: MailboxLimits,
) -> Result<JoinHandle<()>, ServerError> {
    let thread = std::thread::Builder::new().name("committer".to_owned());
    let work = move || {
        let result = committer.run(&mut store, limits, &broker.counters).and_then(|()| store.close());
        if let Err(error) = result {
            // IMPORTANT: what is on disk is not known any more. Nothing may be acknowledged; the next start finds out.
            tracing::error!(%error, "the store failed; the broker ends, and recovers what was acknowledged when started again");
            eprintln!("vowmq: {error}");
            std::process::exit(1);
        }
    };
    thread.spawn(work).map_err(|source| ServerError::Store(StoreError::Io(source)))
}

impl Engine {
    /// Writes what is left and closes the store.
    pub async fn stop(self) {
        self.committer.close();
        let Some(writer) = self.writer else { return };
        if tokio::task::spawn_blocking(move || writer.join()).await.is_err() {
            tracing::error!("the committer's thread was lost");
        }
    }
}
