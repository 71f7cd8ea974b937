//! The store behind the broker: opened before anything listens, written by one thread, closed after everything else.
use super::control::{Control, Exports};
use super::disk::{Disk, Room};
use super::{ServerError, settings};
use crate::broker::{AccessFile, Broker, Committer, MailboxLimits};
use crate::clock::{Clock, seed};
use crate::config::{Config, OnDamage};
use crate::dump;
use crate::store::{Checkpointer, DurableStore, ExportError, Restored, Shelf, StoreError, data_dir};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the store is asked for what has waited too long, and a full disk is tried again.
const TICK: Duration = Duration::from_secs(1);
/// How long an orderly end may take to put the log in order; the next start does what is left.
const WIND_UP: Duration = Duration::from_secs(20);
/// Checkpoints in a row that may fail for other reasons than a full disk.
const FAILURES_MAX: u32 = 5;
/// Deliveries given up at once.
const DUE_MAX: usize = 1000;

pub(super) struct Engine {
    broker: Arc<Broker>,
    committer: Arc<Committer>,
    threads: Vec<JoinHandle<()>>,
    /// Left by the threads as they end, to close the store with.
    remains: Arc<Mutex<Remains>>,
    is_stopping: Arc<AtomicBool>,
    exports: Exports,
    control: Option<Control>,
}

#[derive(Default)]
struct Remains {
    store: Option<DurableStore>,
    checkpointer: Option<Checkpointer>,
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
        let broker = Broker::new(settings, committer.clone());
        open_access(&broker, config)?;
        return Ok((broker.clone(), Engine::of(broker, committer)));
    }
    let limits = settings.mailbox_limits;
    let (store, restored, salvaged) = open(config)?;
    let committer = Arc::new(Committer::durable(config.storage.memory_mib << 20));
    let broker = Broker::new(settings, committer.clone());
    // Before the sessions are there, so that none of them gets what it may not have.
    open_access(&broker, config)?;
    broker.counters.pieces_salvaged.add(salvaged);
    let Restored { sessions, last_session, discarded, records } = restored;
    if let Some(discarded) = discarded {
        tracing::warn!("{discarded}; nothing that was acknowledged was in it");
    }
    let shelf = store.shelf();
    broker.set_shelf(shelf.clone());
    broker.restore(sessions, last_session, &*shelf, clock.now())?;
    store.each_retained(|message| broker.restore_retained(&message))?;
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
    let mut engine = Engine::of(broker.clone(), committer);
    let checkpointer = store.checkpointer();
    let wake = checkpointer.waker();
    let disk = Disk::of(config, engine.committer.clone());
    engine.spawn_threads(store, checkpointer, shelf, limits, clock, disk)?;
    engine.control = Control::open(&config.data_dir, engine.exports.clone(), wake);
    Ok((broker, engine))
}

fn open_access(broker: &Broker, config: &Config) -> Result<(), ServerError> {
    AccessFile::configured(&config.access).map_or(Ok(()), |file| broker.open_access(file))?;
    Ok(())
}

/// Opens the store; the number is of the pieces that had to be given up for it.
fn open(config: &Config) -> Result<(DurableStore, Restored, u64), StoreError> {
    let directory = &config.data_dir;
    let open = || DurableStore::open(directory, settings::store(config));
    let damage = match (open(), config.storage.on_damage) {
        (Err(error), OnDamage::Salvage) if error.is_damage() => error,
        (opened, OnDamage::Stop | OnDamage::Salvage) => return opened.map(|(store, restored)| (store, restored, 0)),
    };
    tracing::warn!(%damage, "storage.on_damage is salvage: the data directory is repaired before the start");
    let repaired = data_dir::repair(directory, &settings::store(config))?;
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
    if repaired.has_lost_state {
        tracing::warn!("given up: the state beside the log, which could not be read");
    }
    Ok((store, restored, repaired.given_up()))
}

impl Engine {
    fn of(broker: Arc<Broker>, committer: Arc<Committer>) -> Self {
        let (threads, remains, is_stopping) = (Vec::new(), Arc::default(), Arc::default());
        Self { broker, committer, threads, remains, is_stopping, exports: Exports::default(), control: None }
    }

    fn spawn_threads(
        &mut self,
        mut store: DurableStore,
        mut checkpointer: Checkpointer,
        shelf: Arc<dyn Shelf>,
        limits: MailboxLimits,
        clock: Clock,
        disk: Disk,
    ) -> Result<(), ServerError> {
        let wake = checkpointer.waker();
        let (broker, committer, remains) = (self.broker.clone(), self.committer.clone(), self.remains.clone());
        self.spawn("committer", move || {
            committer.run(&mut store, limits, &broker.counters)?;
            wake();
            remains.lock().store = Some(store);
            Ok(())
        })?;
        let broker = self.broker.clone();
        self.spawn("loader", move || broker.run_loads(&*shelf))?;
        let (broker, remains, is_stopping) = (self.broker.clone(), self.remains.clone(), self.is_stopping.clone());
        let exports = self.exports.clone();
        self.spawn("checkpointer", move || {
            let mut failures = 0;
            while !is_stopping.load(Ordering::Relaxed) {
                match checkpoint(&mut checkpointer, &broker, clock, &disk) {
                    Ok(()) => failures = 0,
                    // The log still has everything, so that it can be tried again; without room, for as long as it takes.
                    Err(error) if error.is_full() || failures < FAILURES_MAX => {
                        failures += u32::from(!error.is_full());
                        tracing::error!(%error, "the delivery log cannot be shortened; it is tried again");
                        std::thread::sleep(TICK);
                    }
                    Err(error) => return Err(error),
                }
                serve_exports(&mut checkpointer, &exports)?;
                broker.shelve_retained();
                broker.release_waiting();
            }
            remains.lock().checkpointer = Some(checkpointer);
            Ok(())
        })
    }

    fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), ServerError> {
        let run = move || {
            let _fatal = FatalPanic;
            if let Err(error) = work() {
                end_with(&error);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.map_err(|source| ServerError::Store(StoreError::Io(source)))?);
        Ok(())
    }

    /// Writes what is left, puts it in order so that the next start is quick, and closes the store.
    pub async fn stop(mut self) {
        drop(self.control.take());
        self.is_stopping.store(true, Ordering::Relaxed);
        self.committer.close();
        self.broker.close_loads();
        let work = move || {
            let all_ended = self.threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok());
            let Remains { store, checkpointer } = std::mem::take(&mut *self.remains.lock());
            let finished = checkpointer.map_or(Ok(()), wind_up);
            let finished = match finished {
                // The next start replays the log instead.
                Err(error) if error.is_full() => Ok(()),
                finished => finished,
            };
            let closed = finished.and_then(|()| store.map_or(Ok(()), DurableStore::close));
            (all_ended, closed)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok((true, Ok(()))) => {}
            Ok((_, Err(error))) => end_with(&error),
            Ok((false, _)) | Err(_) => tracing::error!("a thread of the store was lost"),
        }
    }
}

/// Puts the log in order, so that the next start is quick.
fn wind_up(mut checkpointer: Checkpointer) -> Result<(), StoreError> {
    let began = Instant::now();
    while checkpointer.wind_up()? && began.elapsed() < WIND_UP {}
    Ok(())
}

/// Writes the exports that were asked for.
fn serve_exports(checkpointer: &mut Checkpointer, exports: &Exports) -> Result<(), StoreError> {
    let waiting = std::mem::take(&mut *exports.lock());
    for stream in waiting {
        match dump::write(checkpointer, stream) {
            Ok(()) => tracing::info!("everything was exported through the control socket"),
            Err(ExportError::Sink(error)) => tracing::warn!(%error, "whoever asked for an export did not take it"),
            Err(ExportError::Store(error)) if error.is_full() => {
                tracing::warn!(%error, "no export while the disk is full");
            }
            Err(ExportError::Store(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Keeps the log short, and looks for what has waited too long.
fn checkpoint(checkpointer: &mut Checkpointer, broker: &Broker, clock: Clock, disk: &Disk) -> Result<(), StoreError> {
    // Whatever it would free, it needs room first.
    if matches!(disk.look(), Room::None) {
        std::thread::sleep(TICK);
        return Ok(());
    }
    let stepped = checkpointer.step().and_then(|stepped| {
        let now = clock.now();
        let due = checkpointer.take_due(now, DUE_MAX)?;
        broker.give_up(due, &*checkpointer.shelf(), now)?;
        Ok(stepped)
    });
    if !stepped? {
        checkpointer.wait(TICK);
    }
    Ok(())
}

/// Ends the process if the thread that holds it panics: without one of the store's threads nothing would ever be
/// acknowledged again, and nobody would be told.
struct FatalPanic;

impl Drop for FatalPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("a thread of the store failed; the broker ends, and recovers when started again");
            std::process::exit(1);
        }
    }
}

fn end_with(error: &StoreError) {
    // IMPORTANT: what is on disk is not known any more. Nothing may be acknowledged; the next start finds out.
    tracing::error!(%error, "the store failed; the broker ends, and recovers what was acknowledged when started again");
    eprintln!("vowmq: {error}");
    std::process::exit(1);
}
