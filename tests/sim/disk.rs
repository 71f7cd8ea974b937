//! The store on a disk that forgets what was not synced, fails and fills up as the dice say.
use super::Dice;
use std::collections::BTreeSet;
use std::sync::Arc;
use vowmq::store::cold::{Cold, Failure, MemoryCold};
use vowmq::store::log::fault::{Fault, FaultFiles};
use vowmq::store::{Checkpointer, DurableStore, Options, Record, Restored, Store, StoreError};

/// What outlives the process.
pub struct Disk {
    files: Arc<FaultFiles>,
    cold: Arc<MemoryCold>,
    /// Payloads of all messages whose group was committed, or may have been.
    pub published: BTreeSet<String>,
}

/// The store of one life of the broker, remembering what is durable.
pub struct Kept<'a> {
    pub store: &'a mut DurableStore,
    pub published: &'a mut BTreeSet<String>,
}

impl Disk {
    pub fn new(dice: &mut Dice) -> Self {
        let page_bytes = if dice.one_in(2) { 512 } else { 4096 };
        let files = Arc::new(FaultFiles::new(dice.roll(), page_bytes));
        Self { files, cold: Arc::default(), published: BTreeSet::new() }
    }

    /// Starts a life.
    pub fn open(&self, dice: &mut Dice) -> (DurableStore, Checkpointer, Restored) {
        self.files.heal();
        self.files.limit_bytes(u64::MAX);
        self.cold.reopen().expect("memory opens");
        let options = Options {
            segment_bytes: 64 << 10,
            log_bytes_max: 4096 << dice.below(4),
            stride_bytes: 4096,
            spares_apart: false,
            ..Options::new(dice.roll())
        };
        let opened = DurableStore::open_with(self.files.clone(), self.cold.clone(), options);
        let (store, restored) = opened.expect("what is on disk is sound");
        let checkpointer = store.checkpointer();
        (store, checkpointer, restored)
    }

    /// Ends a life: the process is killed, or the power goes.
    pub fn crash(&self, dice: &mut Dice) {
        if dice.one_in(2) && self.files.has_power() {
            self.files.kill_process();
        } else {
            self.files.cut_power();
        }
    }

    /// Lets something go wrong soon.
    pub fn spoil(&self, dice: &mut Dice) {
        let faults =
            [Fault::WriteFails, Fault::WriteBreaks, Fault::WriteFallsShort, Fault::SyncFails, Fault::PowerFails];
        match dice.below(8) {
            0 => self.cold.fail(if dice.one_in(2) { Failure::With } else { Failure::Without }),
            1 | 2 => self.files.limit_bytes(192 << 10),
            3 => self.files.limit_bytes(u64::MAX),
            _ => self.files.fail_after(dice.below(6), faults[usize::try_from(dice.below(5)).expect("below 5")]),
        }
    }

    pub fn make_room(&self) {
        self.files.limit_bytes(u64::MAX);
    }
}

impl Store for Kept<'_> {
    fn commit(&mut self, group: &[Record]) -> Result<(), StoreError> {
        let committed = self.store.commit(group);
        // A group that failed may be on disk all the same, and the next life then knows its messages.
        if committed.as_ref().is_err_and(StoreError::is_full) {
            return committed;
        }
        for record in group {
            if let Record::Published { message, .. } = record {
                self.published.insert(String::from_utf8_lossy(&message.payload).into_owned());
            }
        }
        committed
    }
}
