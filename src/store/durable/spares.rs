//! The next segment of the log, made before it is needed and on a thread of its own: it is the slow part.
use crate::store::log::{Log, LogError, SpareDone};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

/// After a failure it is tried again, but not all the time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub struct Spares {
    is_apart: bool,
    under_way: Option<Receiver<SpareDone>>,
    not_before: Option<Instant>,
}

impl Spares {
    pub fn new(is_apart: bool) -> Self {
        Self { is_apart, under_way: None, not_before: None }
    }

    /// Takes the spare that was made, and has another one made if it is needed. A full disk is not an error here: the log
    /// says that it is short of space.
    pub fn tend(&mut self, log: &mut Log) -> Result<(), LogError> {
        if let Some(receiver) = &self.under_way {
            match receiver.try_recv() {
                Ok(done) => {
                    self.under_way = None;
                    let taken = log.take_spare(done);
                    return self.judge(taken);
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => self.under_way = None,
            }
        }
        if self.not_before.is_some_and(|moment| Instant::now() < moment) {
            return Ok(());
        }
        let Some(work) = log.spare_work() else { return Ok(()) };
        if !self.is_apart {
            let taken = log.take_spare(work.run());
            return self.judge(taken);
        }
        let (sender, receiver) = sync_channel(1);
        let work = std::sync::Arc::new(parking_lot::Mutex::new(Some(work)));
        let theirs = work.clone();
        let run = move || {
            let work = theirs.lock().take();
            // Nobody is there to take it if the store has been closed.
            work.into_iter().for_each(|work| drop(sender.send(work.run())));
        };
        match std::thread::Builder::new().name("spare".to_owned()).spawn(run) {
            Ok(_) => {
                self.under_way = Some(receiver);
                Ok(())
            }
            Err(_) => match work.lock().take() {
                // Without threads it is done here.
                Some(work) => {
                    let taken = log.take_spare(work.run());
                    self.judge(taken)
                }
                None => Ok(()),
            },
        }
    }

    fn judge(&mut self, taken: Result<(), LogError>) -> Result<(), LogError> {
        self.not_before = taken.is_err().then(|| Instant::now() + AGAIN_AFTER);
        match taken {
            Err(LogError::NoSpace { .. } | LogError::Io { doing: "prepare a log segment", .. }) => Ok(()),
            taken => taken,
        }
    }
}
