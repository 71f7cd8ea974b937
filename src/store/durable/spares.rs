//! The next segment of the log, made before it is needed and on a thread of its own: it is the slow part.
use crate::store::log::{Log, LogError, SpareDone};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

/// After a failure it is tried again, but not all the time.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

pub struct Spares {
    is_apart: bool,
    under_way: Option<Receiver<SpareDone>>,
}

impl Spares {
    pub fn new(is_apart: bool) -> Self {
        Self { is_apart, under_way: None }
    }

    /// Takes the spare that was made, and has another one made if it is needed. A full disk is not an error here: the log
    /// says that it is short of space.
    pub fn tend(&mut self, log: &mut Log) -> Result<(), LogError> {
        if let Some(receiver) = &self.under_way {
            match receiver.try_recv() {
                Ok(done) => {
                    // After a failure the thread pauses before it is gone, so that no other is asked for at once.
                    if !done.has_failed() {
                        self.under_way = None;
                    }
                    return judge(log.take_spare(done));
                }
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => self.under_way = None,
            }
        }
        let Some(work) = log.spare_work() else { return Ok(()) };
        if !self.is_apart {
            return judge(log.take_spare(work.run()));
        }
        let (sender, receiver) = sync_channel(1);
        let work = std::sync::Arc::new(parking_lot::Mutex::new(Some(work)));
        let theirs = work.clone();
        let run = move || {
            let Some(work) = theirs.lock().take() else { return };
            let done = work.run();
            let has_failed = done.has_failed();
            // IMPORTANT: told at once, while what is in flight still fits in the present segment. Nobody is there to take
            // it if the store has been closed.
            let is_taken = sender.send(done).is_ok();
            if has_failed && is_taken {
                std::thread::sleep(AGAIN_AFTER);
            }
            drop(sender);
        };
        match std::thread::Builder::new().name("spare".to_owned()).spawn(run) {
            Ok(_) => {
                self.under_way = Some(receiver);
                Ok(())
            }
            Err(_) => match work.lock().take() {
                // Without threads it is done here.
                Some(work) => judge(log.take_spare(work.run())),
                None => Ok(()),
            },
        }
    }
}

fn judge(taken: Result<(), LogError>) -> Result<(), LogError> {
    match taken {
        Err(LogError::NoSpace { .. } | LogError::Io { doing: "prepare a log segment", .. }) => Ok(()),
        taken => taken,
    }
}
