//! The queue of one session as the store knows it: which positions are unfinished, and where their messages are.
//!
//! Positions below `below` are cold (in the cold state, or finished); the others are hot: each has its place in the
//! log. What happens to cold positions is noted, and carried over with the next checkpoint.
use crate::store::Target;
use crate::store::image::QueueImage;
use crate::store::log::Lsn;
use crate::types::{Now, QoS, SessionKey, SubscriptionIds, TopicFilter};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Line {
    /// Whether the cold state may hold anything of this session.
    pub is_cold: bool,
    /// The first unfinished cold position, as far as is known.
    head: u64,
    /// The same as the cold state has it.
    stored_head: u64,
    below: u64,
    /// What the cold state holds, as of the last checkpoint.
    stored: Totals,
    noted: BTreeMap<u64, Noted>,
    /// Hot positions that may be unfinished, in order. What is finished, or was never here, has no entry: one delivery that
    /// stays unfinished while millions come and go behind it costs no more than itself.
    hot: VecDeque<Hot>,
    /// The position after the last.
    end: u64,
    /// What few deliveries have, by position.
    extras: BTreeMap<u64, Extra>,
    /// Whether it is on the list of those that a checkpoint has to look at.
    is_listed: bool,
}

/// Unfinished deliveries, and what they cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: u64,
    pub bytes: u64,
}

impl Totals {
    pub fn gain(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
    }

    /// Takes off what a delivery counted for, if it counted.
    pub fn lose(&mut self, bytes: Option<u64>) {
        if let Some(bytes) = bytes {
            self.messages = self.messages.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

/// What became of a cold position since the last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    Received,
    Done,
}

/// A hot position; small, for there may be millions.
#[derive(Debug, Clone, Copy)]
struct Hot {
    position: u64,
    lsn: u64,
    bytes: u32,
    state: State,
    flags: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Queued,
    Received,
    Done,
}

#[derive(Debug, Clone, Default)]
struct Extra {
    subscription_ids: SubscriptionIds,
    share: Option<Arc<TopicFilter>>,
    give_up_at: Option<Now>,
    /// The earlier of message expiry and giving up.
    deadline: Option<Now>,
}

/// A hot position that is not finished.
#[derive(Debug, Clone)]
pub struct Survivor {
    pub position: u64,
    pub lsn: Lsn,
    pub is_received: bool,
    pub cost_bytes: u64,
    pub target: Target,
    pub deadline: Option<Now>,
}

/// A line as a checkpoint takes it over.
#[derive(Debug)]
pub struct Gathered {
    pub session: SessionKey,
    pub survivors: Vec<Survivor>,
    pub noted: BTreeMap<u64, Noted>,
    pub stored_head: u64,
    pub head: u64,
    /// The end of what was cold before, and after.
    pub below: u64,
    pub new_below: u64,
    pub stored: Totals,
}

impl Line {
    /// A line as the cold state has it.
    pub fn restored(queue: &QueueImage) -> Self {
        Self {
            is_cold: true,
            head: queue.head,
            stored_head: queue.head,
            below: queue.next_position,
            end: queue.next_position,
            stored: Totals { messages: queue.messages, bytes: queue.bytes },
            ..Self::default()
        }
    }

    pub fn image(&self) -> QueueImage {
        let mut totals = self.stored;
        let finished = totals.messages.min(self.noted.len() as u64 + (self.head - self.stored_head));
        if let Some(average) = totals.bytes.checked_div(totals.messages) {
            totals.messages -= finished;
            totals.bytes -= average * finished;
        }
        for hot in self.hot.iter().filter(|hot| hot.state == State::Queued) {
            totals.messages += 1;
            totals.bytes += u64::from(hot.bytes);
        }
        let head = if self.head < self.below { self.head } else { self.base() };
        QueueImage { head, next_position: self.end(), messages: totals.messages, bytes: totals.bytes }
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// The first hot position.
    fn base(&self) -> u64 {
        self.hot.front().map_or(self.end, |hot| hot.position)
    }

    /// Where the log holds the first of the hot positions.
    pub fn first_hot(&self) -> Option<Lsn> {
        self.hot.front().map(|hot| Lsn::new(hot.lsn))
    }

    /// The first unfinished cold position, as far as is known: what the cold state holds before it is finished.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The end of what is cold.
    pub fn below(&self) -> u64 {
        self.below
    }

    pub fn stored_head(&self) -> u64 {
        self.stored_head
    }

    /// Whether a cold position is known to be finished.
    pub fn is_finished(&self, position: u64) -> bool {
        position < self.head || self.noted.get(&position) == Some(&Noted::Done)
    }

    /// What has been noted of cold positions from `from` on.
    pub fn noted_from(&self, from: u64) -> BTreeMap<u64, Noted> {
        self.noted.range(from..).map(|(position, noted)| (*position, *noted)).collect()
    }

    /// Whether the next checkpoint has something to take over from this line.
    pub fn is_dirty(&self) -> bool {
        !self.hot.is_empty() || !self.noted.is_empty() || self.base() != self.below || self.head != self.stored_head
    }

    /// Puts it on the list of those that a checkpoint has to look at, if it is not there.
    pub fn list(&mut self, session: SessionKey, listed: &mut Vec<SessionKey>) {
        if !std::mem::replace(&mut self.is_listed, true) {
            listed.push(session);
        }
    }

    /// Takes a delivery at the end. Returns its deadline, if it has one.
    pub fn enqueue(&mut self, target: &Target, lsn: Lsn, cost_bytes: usize, expires_at: Option<Now>) -> Option<Now> {
        if target.position < self.end() {
            return None;
        }
        self.end = target.position + 1;
        self.hot.push_back(Hot {
            position: target.position,
            lsn: lsn.value(),
            bytes: u32::try_from(cost_bytes).unwrap_or(u32::MAX),
            state: State::Queued,
            flags: target.qos as u8 | u8::from(target.retain) << 2,
        });
        let deadline = [expires_at, target.give_up_at].into_iter().flatten().min();
        if deadline.is_some() || !target.subscription_ids.is_empty() || target.share.is_some() {
            let extra = Extra {
                subscription_ids: target.subscription_ids.clone(),
                share: target.share.clone(),
                give_up_at: target.give_up_at,
                deadline,
            };
            self.extras.insert(target.position, extra);
        }
        deadline
    }

    /// Finishes a position. Returns the deadline it had, if that is known here.
    pub fn finish(&mut self, position: u64, destaging_below: u64) -> Option<Now> {
        if position < self.below {
            if position >= self.head {
                self.noted.insert(position, Noted::Done);
                self.advance_head();
            }
            return None;
        }
        self.end = self.end.max(position + 1);
        self.note_if_on_its_way(position, Noted::Done, destaging_below);
        if let Some(hot) = self.hot_mut(position) {
            hot.state = State::Done;
        }
        let extra = self.extras.remove(&position);
        self.trim();
        extra.and_then(|extra| extra.deadline)
    }

    pub fn receive(&mut self, position: u64, destaging_below: u64) {
        if position < self.below {
            if position >= self.head && self.noted.get(&position) != Some(&Noted::Done) {
                self.noted.insert(position, Noted::Received);
            }
            return;
        }
        if self.hot_mut(position).is_some_and(|hot| hot.state == State::Queued) {
            self.note_if_on_its_way(position, Noted::Received, destaging_below);
            if let Some(hot) = self.hot_mut(position) {
                hot.state = State::Received;
            }
        }
    }

    /// Hot positions from `from` on that are not finished, up to a number and a cost; and where to go on.
    pub fn survivors(
        &self,
        session: SessionKey,
        from: u64,
        messages_max: usize,
        bytes_max: u64,
    ) -> (Vec<Survivor>, u64) {
        let mut survivors: Vec<Survivor> = Vec::new();
        let mut bytes = 0;
        let first = self.hot.partition_point(|hot| hot.position < from);
        for hot in self.hot.range(first..).filter(|hot| hot.state != State::Done) {
            if survivors.len() >= messages_max || bytes >= bytes_max {
                let next = survivors.last().map_or(from, |last| last.position + 1);
                return (survivors, next);
            }
            let survivor = self.survivor(session, hot);
            bytes += survivor.cost_bytes;
            survivors.push(survivor);
        }
        (survivors, self.end.max(from))
    }

    /// Takes over everything that was written before `below` in the log, and all that is noted.
    pub fn gather(&mut self, session: SessionKey, below: Lsn) -> Gathered {
        self.is_cold = true;
        self.is_listed = false;
        let moved = self.hot.partition_point(|hot| hot.lsn < below.value());
        let new_below = self.hot.get(moved).map_or(self.end, |hot| hot.position);
        let unfinished = self.hot.range(..moved).filter(|hot| hot.state != State::Done);
        let survivors = unfinished.map(|hot| self.survivor(session, hot)).collect();
        Gathered {
            session,
            survivors,
            noted: self.noted.clone(),
            stored_head: self.stored_head,
            head: self.head,
            below: self.below,
            new_below,
            stored: self.stored,
        }
    }

    /// The checkpoint is durable: what it gathered is cold now.
    pub fn settle(&mut self, gathered: &Gathered, head: u64, stored: Totals) {
        while let Some(hot) = self.hot.pop_front_if(|hot| hot.position < gathered.new_below) {
            self.extras.remove(&hot.position);
        }
        self.below = self.below.max(gathered.new_below);
        self.stored_head = head;
        self.head = self.head.max(head);
        self.stored = stored;
        self.noted.retain(|position, noted| *position >= head && gathered.noted.get(position) != Some(noted));
        self.advance_head();
        if self.hot.is_empty() {
            self.hot = VecDeque::new();
        }
    }

    fn survivor(&self, session: SessionKey, hot: &Hot) -> Survivor {
        let position = hot.position;
        let extra = self.extras.get(&position).cloned().unwrap_or_default();
        Survivor {
            position,
            lsn: Lsn::new(hot.lsn),
            is_received: hot.state == State::Received,
            cost_bytes: u64::from(hot.bytes),
            target: Target {
                session,
                position,
                qos: QoS::from_bits(hot.flags & 0b11).unwrap_or_default(),
                retain: hot.flags & 0b100 != 0,
                subscription_ids: extra.subscription_ids,
                share: extra.share,
                give_up_at: extra.give_up_at,
            },
            deadline: extra.deadline,
        }
    }

    /// A checkpoint under way may be about to make this position cold as it was before.
    fn note_if_on_its_way(&mut self, position: u64, noted: Noted, destaging_below: u64) {
        if self.hot_mut(position).is_some_and(|hot| hot.lsn < destaging_below && hot.state != State::Done) {
            self.noted.insert(position, noted);
        }
    }

    fn trim(&mut self) {
        while self.hot.pop_front_if(|hot| hot.state == State::Done).is_some() {}
    }

    fn advance_head(&mut self) {
        while self.head < self.below && self.noted.get(&self.head) == Some(&Noted::Done) {
            self.noted.remove(&self.head);
            self.head += 1;
        }
    }

    fn hot_mut(&mut self, position: u64) -> Option<&mut Hot> {
        let last = self.hot.len().checked_sub(1)?;
        // Without gaps it is where it would be by its number; with gaps it is before.
        let place = usize::try_from(position.checked_sub(self.base())?).unwrap_or(last).min(last);
        if self.hot.get(place).is_some_and(|hot| hot.position == position) {
            return self.hot.get_mut(place);
        }
        let place = self.hot.binary_search_by_key(&position, |hot| hot.position).ok()?;
        self.hot.get_mut(place)
    }
}
