//! What one turn wants to be committed.
use crate::broker::Slot;
use crate::broker::loads::Load;
use crate::session::{Change, Delivery};
use crate::store::Record;
use crate::types::{Message, PacketId, SessionKey};
use smallvec::SmallVec;
use std::sync::Arc;

/// One turn's wishes, committed together.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) items: Vec<Item>,
    /// How many items there may be, about.
    expected: usize,
    /// Pages to be read once all before is durable.
    pub(super) loads: Vec<Load>,
    /// Someone waits for it; otherwise it rides with the next group.
    pub(super) is_awaited: bool,
}

#[derive(Debug)]
pub(super) enum Item {
    Record(Record),
    /// A message for durable sessions. Their queue positions are given at the commit, in the order of commits.
    Publish {
        message: Arc<Message>,
        inbound: Option<(SessionKey, PacketId)>,
        is_retained: bool,
        targets: Receivers,
    },
}

/// The durable sessions that a message is for: one, most of the time.
pub type Receivers = SmallVec<[(Arc<Slot>, Delivery); 1]>;

impl Batch {
    /// The batch of a turn that asks for so many things.
    pub(in crate::broker) fn of_turn(asks: usize) -> Self {
        Self { expected: asks, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.loads.is_empty()
    }

    /// Whether the store has to keep messages of it.
    pub(in crate::broker) fn has_messages(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Publish { .. }))
    }

    pub(in crate::broker) fn load(&mut self, load: Load) {
        self.loads.push(load);
        self.is_awaited = true;
    }

    pub fn record(&mut self, record: Record) {
        self.items.push(Item::Record(record));
        self.is_awaited = true;
    }

    /// A record that nobody waits for.
    pub fn record_lazily(&mut self, record: Record) {
        self.items.push(Item::Record(record));
    }

    pub fn publish(
        &mut self,
        message: Arc<Message>,
        inbound: Option<(SessionKey, PacketId)>,
        is_retained: bool,
        targets: Receivers,
    ) {
        if self.items.is_empty() {
            self.items.reserve(self.expected);
        }
        self.items.push(Item::Publish { message, inbound, is_retained, targets });
        self.is_awaited = true;
    }

    pub fn change(&mut self, session: SessionKey, change: Change) {
        self.is_awaited |= change.is_awaited();
        let record = match change {
            Change::Done { position } => Record::done(session, position),
            Change::Received { position } => Record::received(session, position),
            Change::InboundReleased { id } => Record::inbound_released(session, id),
        };
        if let Some(Item::Record(last)) = self.items.last_mut()
            && last.join(&record)
        {
            return;
        }
        self.items.push(Item::Record(record));
    }

    pub(super) fn cost_bytes(&self) -> usize {
        const RECORD: usize = 64;
        let payloads = self.items.iter().map(|item| match item {
            Item::Record(_) => 0,
            Item::Publish { message, targets, .. } => message.cost_bytes() + targets.len() * RECORD,
        });
        payloads.sum::<usize>() + self.items.len() * RECORD
    }
}
