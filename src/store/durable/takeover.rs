//! One checkpoint as changes of the cold state: what outlived its place in the log goes in, what is finished goes out.
use super::encoding::put;
use super::index::{Kept as RetainedAt, Taken};
use super::line::{Gathered, Noted, Survivor, Totals};
use super::queue::{self, Body, Kept};
use super::shelf::{Shared, message_in, retained_key};
use super::state;
use crate::store::StoreError;
use crate::store::cold::{Changes, Cold, ColdError, Space};
use crate::store::image::QueueImage;
use crate::store::log::Lsn;
use crate::types::{Message, SessionKey, TopicName};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Entries read, or deleted with an ended session, at once.
const AT_ONCE: usize = 1024;

pub struct Takeover<'a> {
    shared: &'a Shared,
    cold: &'a dyn Cold,
    changes: Changes,
    /// Shared messages that lose deliveries: how many.
    losses: BTreeMap<Lsn, u64>,
    /// Everything named below this was taken over before.
    from: Lsn,
    /// Nobody knows how much of the same stretch was taken over already.
    is_retry: bool,
}

impl<'a> Takeover<'a> {
    /// `is_retry` after a failure: nobody knows how much of the same stretch was taken over already.
    pub fn new(shared: &'a Shared, from: Lsn, is_retry: bool) -> Self {
        let losses = BTreeMap::new();
        Self { shared, cold: &*shared.cold, changes: Changes::default(), losses, from, is_retry }
    }

    /// Writes everything taken, durably, and says for each line where its head is now and what is cold.
    pub fn write(mut self, taken: &Taken) -> Result<Vec<(u64, Totals)>, StoreError> {
        if self.is_retry {
            let (from, below) = (queue::piece(self.from, 0), queue::piece(taken.below, 0));
            for (key, _) in self.cold.range(Space::Bodies, &from, &below, usize::MAX)? {
                self.changes.remove(Space::Bodies, key);
            }
        }
        for (session, head) in &taken.ended {
            self.forget_session(*session, *head)?;
        }
        for (key, value) in &taken.overlay {
            match value {
                Some(value) => self.changes.put(Space::State, key.clone(), value.clone()),
                None => self.changes.remove(Space::State, key.clone()),
            }
        }
        let messages = self.read_messages(&taken.lines)?;
        let settled = taken.lines.iter().map(|line| self.take_line(line, &messages));
        let settled = settled.collect::<Result<Vec<_>, StoreError>>()?;
        for (topic, kept) in &taken.retained {
            self.take_retained(topic, *kept)?;
        }
        self.lose()?;
        self.changes.put(Space::State, state::FORMAT, state::number(state::FORMAT_VERSION));
        self.changes.put(Space::State, state::CHECKPOINT, state::number(taken.below.value()));
        self.changes.put(Space::State, state::LAST_SESSION, state::number(taken.last_session));
        self.cold.commit(self.changes)?;
        Ok(settled)
    }

    /// Deletes all that is left of a session, in pieces: it may be much, and half of it is as good as none.
    fn forget_session(&mut self, session: SessionKey, head: u64) -> Result<(), StoreError> {
        let (mut from, end) = (queue::key(session, head), queue::end(session));
        loop {
            let found = self.cold.range(Space::Queue, &from, &end, AT_ONCE)?;
            let is_all = found.len() < AT_ONCE;
            for (key, value) in found {
                let position = queue::position_of(&key).map_err(ColdError::from)?;
                self.drop_delivery(session, position, value)?;
                from = queue::key(session, position + 1);
            }
            self.lose()?;
            self.cold.commit(std::mem::take(&mut self.changes))?;
            if is_all {
                break;
            }
        }
        let (from, end) = (state::session_prefix(session), state::session_prefix(SessionKey(session.0 + 1)));
        for (key, _) in self.cold.range(Space::State, &from, &end, usize::MAX)? {
            self.changes.remove(Space::State, key);
        }
        Ok(())
    }

    /// The messages that go over: each is read once.
    fn read_messages(&self, lines: &[Gathered]) -> Result<Messages, StoreError> {
        let mut messages: BTreeMap<Lsn, u32> = BTreeMap::new();
        let survivors = lines.iter().flat_map(|line| &line.survivors).filter(|survivor| !survivor.is_received);
        survivors.for_each(|survivor| *messages.entry(survivor.lsn).or_default() += 1);
        let mut window = self.shared.log.window();
        let read = messages.into_iter().map(|(lsn, deliveries)| {
            let message = Arc::new(message_in(&mut window, lsn)?);
            Ok((lsn, Shares { message, deliveries }))
        });
        read.collect()
    }

    fn take_line(&mut self, line: &Gathered, messages: &Messages) -> Result<(u64, Totals), StoreError> {
        let session = line.session;
        let mut stored = if self.is_retry { self.stored_before(session)? } else { line.stored };
        // Most lines have only grown: nothing of the cold state is read for them.
        let mut is_read = line.head == line.stored_head && !self.is_retry;
        let mut from = queue::key(session, line.stored_head);
        let finished = queue::key(session, line.head);
        while !is_read {
            let found = self.cold.range(Space::Queue, &from, &finished, AT_ONCE)?;
            is_read = found.len() < AT_ONCE;
            for (key, value) in found {
                let position = queue::position_of(&key).map_err(ColdError::from)?;
                stored.lose(self.drop_delivery(session, position, value)?);
                from = queue::key(session, position + 1);
            }
        }
        for (position, noted) in line.noted.range(line.head..) {
            if *position >= line.below && *noted == Noted::Received {
                // Among the survivors.
                continue;
            }
            let key = queue::key(session, *position);
            let Some(value) = self.cold.get(Space::Queue, &key)? else { continue };
            stored.lose(self.drop_delivery(session, *position, value)?);
            if *noted == Noted::Received {
                self.changes.put(Space::Queue, key, queue::received());
            }
        }
        for survivor in &line.survivors {
            if self.is_retry
                && let Some(value) = self.cold.get(Space::Queue, &queue::key(session, survivor.position))?
            {
                stored.lose(self.drop_delivery(session, survivor.position, value)?);
            }
            if self.take_survivor(session, survivor, messages) {
                stored.gain(survivor.cost_bytes);
            }
        }
        if stored.messages == 0 {
            stored.bytes = 0;
        }
        let head = self.head_of(line)?;
        let image = QueueImage { head, next_position: line.new_below, messages: stored.messages, bytes: stored.bytes };
        let (key, value) = state::queue(session, &image);
        self.changes.put(Space::State, key, value);
        Ok((head, stored))
    }

    /// What the cold state counts for a session.
    fn stored_before(&self, session: SessionKey) -> Result<Totals, StoreError> {
        let Some(value) = self.cold.get(Space::State, &state::queue_key(session))? else {
            return Ok(Totals::default());
        };
        let image = state::to_queue(value).map_err(ColdError::from)?;
        Ok(Totals { messages: image.messages, bytes: image.bytes })
    }

    /// True if it is a delivery that waits, or waits for its PUBACK or PUBREC.
    fn take_survivor(&mut self, session: SessionKey, survivor: &Survivor, messages: &Messages) -> bool {
        let key = queue::key(session, survivor.position);
        let Some(shares) = messages.get(&survivor.lsn).filter(|_| !survivor.is_received) else {
            self.changes.put(Space::Queue, key, queue::received());
            return false;
        };
        let Survivor { target, deadline, lsn, cost_bytes, .. } = survivor;
        let is_own = shares.deliveries == 1 && shares.message.cost_bytes() <= queue::VALUE_BYTES_MAX;
        if is_own {
            self.changes.put(Space::Queue, key, queue::own(target, *deadline, &shares.message));
        } else {
            self.changes.put(Space::Queue, key, queue::shared(target, *deadline, *lsn, *cost_bytes));
            let count = queue::count(*lsn);
            // Written by each delivery that shares it: the same every time.
            self.changes.put(Space::Bodies, count, state::number(u64::from(shares.deliveries)));
            if !self.losses.contains_key(lsn) {
                self.losses.insert(*lsn, 0);
                self.put_body(*lsn, &shares.message);
            }
        }
        if let Some(deadline) = deadline {
            self.changes.put(Space::Deadlines, queue::deadline(*deadline, session, survivor.position), Bytes::new());
        }
        true
    }

    fn put_body(&mut self, lsn: Lsn, message: &Message) {
        let mut whole = Vec::new();
        put::message(&mut whole, message);
        for (number, piece) in whole.chunks(queue::VALUE_BYTES_MAX).enumerate() {
            let number = u16::try_from(number).expect("a message fits in a segment of the log");
            self.changes.put(Space::Bodies, queue::piece(lsn, number), Bytes::copy_from_slice(piece));
        }
    }

    fn take_retained(&mut self, topic: &TopicName, kept: RetainedAt) -> Result<(), StoreError> {
        let key = retained_key(topic);
        if let Some(old) = self.cold.get(Space::Retained, &key)? {
            let mut fields = super::encoding::Fields::of(old);
            let is_apart = fields.flag().map_err(ColdError::from)?;
            if is_apart {
                self.forget_body(Lsn::new(fields.number().map_err(ColdError::from)?))?;
            }
        }
        let RetainedAt::At(lsn) = kept else {
            self.changes.remove(Space::Retained, key);
            return Ok(());
        };
        let message = self.shared.message(lsn)?;
        let mut value = Vec::new();
        if message.cost_bytes() <= queue::VALUE_BYTES_MAX {
            value.push(0);
            put::message(&mut value, &message);
        } else {
            // IMPORTANT: a name of its own, for the same record may also be a delivery that several share, and end apart.
            let name = Lsn::new(lsn.value() + 1);
            value.push(1);
            put::number(&mut value, name.value());
            self.put_body(name, &message);
        }
        self.changes.put(Space::Retained, key, value);
        Ok(())
    }

    /// Deletes a delivery with what belongs to it. Returns what it counted for, if it was waiting.
    fn drop_delivery(&mut self, session: SessionKey, position: u64, value: Bytes) -> Result<Option<u64>, StoreError> {
        self.changes.remove(Space::Queue, queue::key(session, position));
        let kept = queue::decode(session, position, value).map_err(ColdError::from)?;
        let Kept::Delivery { give_up_at, body, .. } = kept else { return Ok(None) };
        if let Some(deadline) = give_up_at {
            self.changes.remove(Space::Deadlines, queue::deadline(deadline, session, position));
        }
        let cost_bytes = match body {
            Body::Own(message) => message.cost_bytes() as u64,
            Body::Shared { lsn, cost_bytes } => {
                // What is taken over in this very checkpoint is counted anew.
                if lsn < self.from {
                    *self.losses.entry(lsn).or_default() += 1;
                }
                cost_bytes
            }
        };
        Ok(Some(cost_bytes))
    }

    /// Counts down the shared messages that lost deliveries, and deletes those that nobody has any more.
    fn lose(&mut self) -> Result<(), StoreError> {
        for (lsn, lost) in std::mem::take(&mut self.losses) {
            if lost == 0 {
                continue;
            }
            let count = queue::count(lsn);
            let Some(value) = self.cold.get(Space::Bodies, &count)? else { continue };
            let deliveries = state::to_number(&value).map_err(ColdError::from)?;
            if deliveries > lost {
                self.changes.put(Space::Bodies, count, state::number(deliveries - lost));
            } else {
                self.changes.remove(Space::Bodies, count);
                self.forget_body(lsn)?;
            }
        }
        Ok(())
    }

    fn forget_body(&mut self, lsn: Lsn) -> Result<(), StoreError> {
        let mut from = queue::piece(lsn, 0);
        loop {
            let pieces = self.cold.range(Space::Bodies, &from, &queue::count(lsn), AT_ONCE)?;
            let Some((last, _)) = pieces.last() else { return Ok(()) };
            from = [last.as_ref(), &[0]].concat();
            pieces.into_iter().for_each(|(key, _)| self.changes.remove(Space::Bodies, key));
        }
    }

    /// The first position that stays, so that later scans need not pass what is deleted.
    fn head_of(&self, line: &Gathered) -> Result<u64, StoreError> {
        if line.head == line.stored_head && line.head < line.below && line.noted.is_empty() && !self.is_retry {
            return Ok(line.head);
        }
        let end = queue::key(line.session, line.below);
        let mut from = queue::key(line.session, line.head);
        loop {
            let found = self.cold.range(Space::Queue, &from, &end, AT_ONCE / 16)?;
            for (key, _) in &found {
                let position = queue::position_of(key).map_err(ColdError::from)?;
                if line.noted.get(&position) != Some(&Noted::Done) {
                    return Ok(position);
                }
                from = queue::key(line.session, position + 1);
            }
            if found.is_empty() {
                let first = line.survivors.first().map(|survivor| survivor.position);
                return Ok(first.unwrap_or(line.new_below));
            }
        }
    }
}

/// The messages that one checkpoint takes over.
type Messages = HashMap<Lsn, Shares, foldhash::fast::RandomState>;

/// A message and how many deliveries of it go over.
struct Shares {
    message: Arc<Message>,
    deliveries: u32,
}
