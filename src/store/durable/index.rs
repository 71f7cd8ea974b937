//! What the log holds beyond the last checkpoint, in memory: queues, changes of small things, retained messages, and
//! when deliveries are given up.
use super::encoding::Entry;
use super::line::{Gathered, Line};
use super::state::{self, Inbound};
use crate::store::log::Lsn;
use crate::store::{Record, Target};
use crate::types::{Message, Now, SessionKey, TopicName};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

pub type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
pub type Retained = HashMap<TopicName, Kept, foldhash::fast::RandomState>;

#[derive(Default)]
pub struct Index {
    lines: HashMap<SessionKey, Line, foldhash::fast::RandomState>,
    /// Sessions whose lines a checkpoint has to look at; some may be over.
    dirty: Vec<SessionKey>,
    /// Puts and deletes of small things, but for those that are in `inbound` yet.
    overlay: Overlay,
    inbound: Inbound,
    retained: Retained,
    /// Sessions that are over, and from where the cold state may hold their queues.
    ended: Vec<(SessionKey, u64)>,
    /// Sessions whose queues are still to be read when they are over, and those of them that are.
    held: HashMap<SessionKey, Option<Line>>,
    /// Hot deliveries that are given up at some time.
    deadlines: BTreeSet<(Now, SessionKey, u64)>,
    last_session: u64,
    /// Replay would begin here.
    checkpoint: Lsn,
    end: Lsn,
    /// Log bytes between places where a checkpoint may end; bounds what one has to take over.
    stride_bytes: u64,
    /// Ends of groups, about a stride apart.
    milestones: VecDeque<Lsn>,
    /// Cold positions of which something was noted since the last checkpoint.
    noted: u64,
    /// A checkpoint that is being written ends here.
    destaging_below: Lsn,
    /// The message that further targets belong to.
    last_message: Option<(Arc<Message>, Lsn)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    At(Lsn),
    Removed,
}

/// Everything that one checkpoint takes over.
pub struct Taken {
    pub below: Lsn,
    pub lines: Vec<Gathered>,
    pub overlay: Overlay,
    pub retained: Vec<(TopicName, Kept)>,
    pub ended: Vec<(SessionKey, u64)>,
    pub last_session: u64,
}

impl Index {
    /// An index of nothing, beginning where the last checkpoint ended.
    pub fn starting_at(checkpoint: Lsn, last_session: u64, stride_bytes: u64) -> Self {
        Self { stride_bytes, checkpoint, end: checkpoint, last_session, ..Self::default() }
    }

    pub fn restore_line(&mut self, session: SessionKey, line: Line) {
        self.lines.insert(session, line);
    }

    pub fn lines(&self) -> impl Iterator<Item = (SessionKey, &Line)> {
        self.lines.iter().map(|(session, line)| (*session, line))
    }

    pub fn line(&self, session: SessionKey) -> Option<&Line> {
        self.lines.get(&session).or_else(|| self.held.get(&session)?.as_ref())
    }

    pub fn hold(&mut self, session: SessionKey) {
        self.held.entry(session).or_default();
    }

    pub fn let_go(&mut self, session: SessionKey) {
        if let Some(line) = self.held.remove(&session).flatten().filter(|line| line.is_cold) {
            self.ended.push((session, line.stored_head()));
        }
    }

    pub fn last_session(&self) -> u64 {
        self.last_session
    }

    /// Puts and deletes of small things since the last checkpoint.
    pub fn overlay(&mut self) -> &Overlay {
        self.overlay.extend(self.inbound.take());
        &self.overlay
    }

    pub fn retained(&self) -> &Retained {
        &self.retained
    }

    pub fn checkpoint(&self) -> Lsn {
        self.checkpoint
    }

    /// The log before this may be let go of: replay does not need it, nor does a queue that is read beyond the end of
    /// its session, for no checkpoint takes that over.
    pub fn needed_from(&self) -> Lsn {
        let held = self.held.values().flatten().filter_map(Line::first_hot);
        held.min().map_or(self.checkpoint, |first| first.min(self.checkpoint))
    }

    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Log bytes, and cold positions noted, since the last checkpoint.
    pub fn load(&self) -> (u64, u64) {
        (self.end.value() - self.checkpoint.value(), self.noted)
    }

    /// Applies one record as the log returns it.
    pub fn replay(&mut self, entry: Entry, lsn: Lsn) {
        match entry {
            Entry::Record(record) => {
                let record = owning(record);
                self.apply(&record, lsn);
                if let Record::Published { message, .. } = record {
                    self.last_message = Some((message, lsn));
                }
            }
            Entry::MoreTargets(targets) => {
                if let Some((message, lsn)) = self.last_message.clone() {
                    self.enqueue(&message, lsn, &targets);
                }
            }
        }
    }

    /// Applies a committed record. What concerns a session that is over changes nothing. The topic of a retained message
    /// is kept as it is: in bytes that hold on to nothing else.
    pub fn apply(&mut self, record: &Record, lsn: Lsn) {
        match record {
            Record::SessionBegun { session, .. } => {
                self.last_session = self.last_session.max(session.0);
                self.lines.entry(*session).or_default().list(*session, &mut self.dirty);
            }
            Record::SessionEnded { session } => self.end_session(*session),
            Record::Published { message, inbound, is_retained, targets } => {
                if let Some((session, id)) = inbound.filter(|(session, _)| self.lines.contains_key(session)) {
                    self.inbound.open(session, id);
                }
                if *is_retained {
                    let kept = if message.payload.is_empty() { Kept::Removed } else { Kept::At(lsn) };
                    self.retained.insert(message.topic.clone(), kept);
                }
                self.enqueue(message, lsn, targets);
            }
            Record::InboundOpen { session, id } if self.lines.contains_key(session) => {
                self.inbound.open(*session, *id);
            }
            Record::InboundReleased { session, id, count } if self.lines.contains_key(session) => {
                self.inbound.release(*session, *id, *count);
            }
            Record::Done { session, position, count } => self.finish(*session, run(*position, *count)),
            Record::Received { session, position, count } => self.receive(*session, run(*position, *count)),
            Record::SessionOwned { .. }
            | Record::SessionAttached { .. }
            | Record::SessionParked { .. }
            | Record::Subscribed { .. }
            | Record::Unsubscribed { .. }
            | Record::ScanAt { .. }
            | Record::ScanOver { .. }
            | Record::InboundReleased { .. }
            | Record::InboundOpen { .. } => {}
        }
        let (overlay, lines) = (&mut self.overlay, &self.lines);
        state::changes(record, |key, value| {
            if state::session_of(&key).is_some_and(|session| lines.contains_key(&session)) {
                overlay.insert(key, value);
            }
        });
    }

    /// A group is durable up to here.
    pub fn ended_group(&mut self, end: Lsn) {
        self.end = end;
        let last = self.milestones.back().copied().unwrap_or(self.checkpoint);
        if end.value() - last.value() >= self.stride_bytes {
            self.milestones.push_back(end);
        }
    }

    /// Where the next checkpoint should end, to take over a stride of the log.
    pub fn next_milestone(&self) -> Lsn {
        self.milestones.front().copied().unwrap_or(self.end)
    }

    /// Takes the deliveries that are to be given up by now, of those that are hot.
    pub fn take_due(&mut self, now: Now, at_most: usize) -> Vec<(SessionKey, u64)> {
        let mut due = Vec::new();
        while due.len() < at_most
            && let Some((at, session, position)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            due.push((session, position));
        }
        due
    }

    /// Takes over everything of the log before `below`, the end of a group. Until [`Self::settle`] or
    /// [`Self::put_back`] nothing else may be taken.
    ///
    /// After a checkpoint that failed, and may be on disk all the same, the next reaches at least as far.
    pub fn take(&mut self, below: Lsn) -> Taken {
        let below = self.destaging_below.max(below);
        self.destaging_below = below;
        self.overlay.extend(self.inbound.take());
        let overlay = std::mem::take(&mut self.overlay);
        let mut sessions = std::mem::take(&mut self.dirty);
        sessions.sort_unstable();
        for session in overlay.keys().filter_map(|key| state::session_of(key)) {
            if let Some(line) = self.lines.get_mut(&session) {
                line.is_cold = true;
            }
        }
        let lines =
            sessions.into_iter().filter_map(|session| Some(self.lines.get_mut(&session)?.gather(session, below)));
        let lines = lines.collect();
        let is_taken = |kept: &Kept| match kept {
            Kept::At(lsn) => *lsn < below,
            Kept::Removed => true,
        };
        let retained = self.retained.iter().filter(|(_, kept)| is_taken(kept));
        let retained = retained.map(|(topic, kept)| (topic.clone(), *kept)).collect();
        let ended = std::mem::take(&mut self.ended);
        Taken { below, lines, overlay, retained, ended, last_session: self.last_session }
    }

    /// The checkpoint is durable. `settled` says for each line where its head is now, and what is cold.
    pub fn settle(&mut self, taken: Taken, settled: Vec<(u64, super::line::Totals)>) {
        self.noted = 0;
        for (gathered, (head, stored)) in taken.lines.iter().zip(settled) {
            for survivor in &gathered.survivors {
                if let Some(deadline) = survivor.deadline {
                    self.deadlines.remove(&(deadline, gathered.session, survivor.position));
                }
            }
            let Some(line) = self.lines.get_mut(&gathered.session) else { continue };
            line.settle(gathered, head, stored);
            if line.is_dirty() {
                line.list(gathered.session, &mut self.dirty);
            }
        }
        for (topic, kept) in taken.retained {
            if self.retained.get(&topic) == Some(&kept) {
                self.retained.remove(&topic);
            }
        }
        self.checkpoint = taken.below;
        while self.milestones.front().is_some_and(|milestone| *milestone <= taken.below) {
            self.milestones.pop_front();
        }
    }

    /// The checkpoint could not be written: it is all still to be taken over.
    pub fn put_back(&mut self, taken: Taken) {
        for (key, value) in taken.overlay {
            // What was noted of a session that has ended since is of no use.
            if state::session_of(&key).is_some_and(|session| self.lines.contains_key(&session)) {
                self.overlay.entry(key).or_insert(value);
            }
        }
        for gathered in &taken.lines {
            if let Some(line) = self.lines.get_mut(&gathered.session) {
                line.list(gathered.session, &mut self.dirty);
            }
        }
        self.ended.extend(taken.ended);
    }

    fn enqueue(&mut self, message: &Arc<Message>, lsn: Lsn, targets: &[Target]) {
        let cost_bytes = message.cost_bytes();
        for target in targets {
            let Some(line) = self.lines.get_mut(&target.session) else { continue };
            if let Some(deadline) = line.enqueue(target, lsn, cost_bytes, message.expires_at) {
                self.deadlines.insert((deadline, target.session, target.position));
            }
            line.list(target.session, &mut self.dirty);
        }
    }

    fn finish(&mut self, session: SessionKey, positions: Range<u64>) {
        let destaging_below = self.destaging_below.value();
        let Some(line) = self.lines.get_mut(&session) else { return };
        for position in positions {
            self.noted += u64::from(position < line.below());
            if let Some(deadline) = line.finish(position, destaging_below) {
                self.deadlines.remove(&(deadline, session, position));
            }
        }
        line.list(session, &mut self.dirty);
    }

    fn receive(&mut self, session: SessionKey, positions: Range<u64>) {
        let destaging_below = self.destaging_below.value();
        let Some(line) = self.lines.get_mut(&session) else { return };
        for position in positions {
            self.noted += u64::from(position < line.below());
            line.receive(position, destaging_below);
        }
        line.list(session, &mut self.dirty);
    }

    fn end_session(&mut self, session: SessionKey) {
        let Some(line) = self.lines.remove(&session) else { return };
        self.inbound.forget(session);
        let prefix = state::session_prefix(session).to_vec();
        let end = state::session_prefix(SessionKey(session.0 + 1)).to_vec();
        let keys: Vec<_> = self.overlay.range(prefix..end).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| drop(self.overlay.remove(key)));
        if let Some(held) = self.held.get_mut(&session) {
            *held = Some(line);
        } else if line.is_cold {
            self.ended.push((session, line.stored_head()));
        }
    }
}

fn run(from: u64, count: u16) -> Range<u64> {
    from..from.saturating_add(count.into())
}

/// A retained message as read from the log would hold on to the bytes around it.
fn owning(record: Record) -> Record {
    match record {
        Record::Published { mut message, inbound, is_retained: true, targets } => {
            let topic = message.topic.detached();
            Arc::make_mut(&mut message).detach(&topic);
            Record::Published { message, inbound, is_retained: true, targets }
        }
        other => other,
    }
}
