//! How much memory the process takes, and what that means for those who want to bring more.
use super::{Broker, Slot};
use crate::types::{ReasonCode, Violation};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of the process above which something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// Publishers are not read from.
    pub slow_publishers_at: u64,
    /// New clients are refused.
    pub refuse_connects_at: u64,
}

impl Default for Marks {
    fn default() -> Self {
        Self { slow_publishers_at: u64::MAX, refuse_connects_at: u64::MAX }
    }
}

#[derive(Debug, Default)]
pub struct Pressure {
    marks: Marks,
    slows: AtomicBool,
    refuses: AtomicBool,
    /// Users: the timer. Held for a look.
    shortage: Mutex<Option<Shortage>>,
}

/// Memory has been short since the process was last well below the mark.
#[derive(Debug, Clone, Copy)]
struct Shortage {
    /// Bytes of messages in memory when it began: what can be got rid of.
    held_bytes: u64,
    /// The most that the process took.
    peak_bytes: u64,
}

impl Pressure {
    pub fn new(marks: Marks) -> Self {
        Self { marks, ..Self::default() }
    }

    /// Whether those who publish have to wait.
    pub fn slows(&self) -> bool {
        self.slows.load(Ordering::Relaxed)
    }

    /// Whether new clients are refused.
    pub fn refuses(&self) -> bool {
        self.refuses.load(Ordering::Relaxed)
    }

    /// Notes how much the process takes, and how much of it are messages; gives whether publishers had to wait before.
    ///
    /// What is freed the process uses again, and may not give back to the system for long. So publishers go on, too,
    /// once half of the messages have gone, until there are as many again or the process grows; and where messages are not
    /// what takes the memory, they are not held up at all.
    pub fn note(&self, resident_bytes: u64, held_bytes: impl FnOnce() -> u64) -> bool {
        let had_slowed = self.slows();
        let mut shortage = self.shortage.lock();
        if shortage.is_none() && resident_bytes <= self.marks.slow_publishers_at {
            return had_slowed;
        }
        let held_bytes = held_bytes();
        let is_new = shortage.is_none();
        let began = shortage.get_or_insert(Shortage { held_bytes, peak_bytes: resident_bytes });
        let is_over = resident_bytes <= well_below(self.marks.slow_publishers_at);
        let worth_while = self.marks.slow_publishers_at / 32;
        let is_first = is_new || began.held_bytes < worth_while;
        let is_short = if had_slowed {
            held_bytes >= began.held_bytes / 2
        } else {
            is_first || held_bytes >= began.held_bytes || resident_bytes > began.peak_bytes
        };
        let slows = !is_over && is_short && held_bytes >= worth_while;
        if slows && !had_slowed {
            began.held_bytes = held_bytes;
        }
        began.peak_bytes = began.peak_bytes.max(resident_bytes);
        if is_over {
            *shortage = None;
        }
        drop(shortage);
        let mark = self.marks.refuse_connects_at;
        // Where it is not messages that take the memory, it may be clients.
        let is_theirs = !is_over && is_first;
        let refuses = (slows || is_theirs) && resident_bytes > if self.refuses() { well_below(mark) } else { mark };
        self.tell(slows, refuses, resident_bytes >> 20);
        had_slowed
    }

    fn tell(&self, slows: bool, refuses: bool, mib: u64) {
        match (self.slows.swap(slows, Ordering::Relaxed), slows) {
            (false, true) => {
                tracing::warn!(mib, "memory runs short: publishers are slowed; see memory.slow_publishers_at_mib");
            }
            (true, false) => tracing::info!(mib, "there is memory again: publishers go on"),
            _ => {}
        }
        match (self.refuses.swap(refuses, Ordering::Relaxed), refuses) {
            (false, true) => {
                tracing::error!(mib, "memory runs out: new clients are refused; see memory.refuse_connects_at_mib");
            }
            (true, false) => tracing::info!(mib, "there is memory again: new clients are let in"),
            _ => {}
        }
    }
}

/// What was above a mark is so until it is well below it.
const fn well_below(mark: u64) -> u64 {
    mark / 20 * 19
}

impl Broker {
    /// Notes how much memory the process takes, and wakes those who may go on.
    pub fn note_memory(&self, resident_bytes: u64) {
        let had_slowed = self.pressure.note(resident_bytes, || self.messages_in_memory_bytes());
        if !had_slowed && self.pressure.slows() {
            self.counters.memory_shortages.add(1);
        }
        if had_slowed && !self.pressure.slows() {
            for entry in &self.registry {
                entry.value().nudge();
            }
        }
    }

    /// Bytes of queued messages that are in memory: of sessions that no store keeps, and of the others what is loaded.
    fn messages_in_memory_bytes(&self) -> u64 {
        let is_shelved = |slot: &Slot| slot.is_durable && self.committer.is_durable();
        let queued = self.registry.iter().map(|entry| {
            let slot = entry.value();
            if is_shelved(slot) { 0 } else { slot.backlog().bytes.max(slot.lock().waiting_bytes()) }
        });
        queued.sum::<u64>() + self.held_bytes()
    }

    /// Why a new client is refused for lack of memory.
    pub(super) fn refusal_for_memory(&self) -> Option<Violation> {
        if !self.pressure.refuses() {
            return None;
        }
        self.counters.connects_refused_memory.add(1);
        let why = "the broker is short of memory; try again later";
        Some(Violation::new(ReasonCode::QuotaExceeded, "MQTT-3.1.4-2", why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKS: Marks = Marks { slow_publishers_at: 1000, refuse_connects_at: 2000 };

    /// What is done about each pair of bytes resident and held.
    fn states(looks: &[(u64, u64)]) -> String {
        let pressure = Pressure::new(MARKS);
        let done = looks.iter().map(|(resident, held)| {
            pressure.note(*resident, || *held);
            match (pressure.slows(), pressure.refuses()) {
                (false, false) => '-',
                (true, false) => 's',
                (true, true) => 'r',
                (false, true) => '!',
            }
        });
        done.collect()
    }

    #[test]
    fn publishers_are_slowed_first_and_go_on_only_well_below_the_mark() {
        let looks = [1000, 1001, 951, 2001, 1901, 1900, 950, 1000, 1001].map(|resident| (resident, 500));
        assert_eq!(states(&looks), "-ssrrs--s");
    }

    #[test]
    fn memory_that_was_freed_and_is_not_given_back_holds_nobody_up() {
        let looks = [(1500, 800), (1500, 400), (1500, 399), (1500, 799), (1500, 800), (1500, 300), (1501, 300)];
        assert_eq!(states(&looks), "ss--s-s", "they go on until there is as much again, or the process grows");
    }

    #[test]
    fn where_messages_do_not_take_the_memory_nobody_is_held_up_for_it() {
        assert_eq!(states(&[(1500, 0), (1500, 30), (1500, 400), (1500, 300), (1500, 199)]), "--ss-");
    }
}
