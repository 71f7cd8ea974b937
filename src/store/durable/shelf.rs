//! Reading back what is queued and retained, from the log or from the cold state.
use super::encoding::{UnknownForm, decode_message};
use super::index::{Index, Kept as RetainedAt};
use super::line::{Noted, Survivor};
use super::queue::{self, Body, Kept};
use crate::store::cold::{Cold, ColdError, Space};
use crate::store::log::{LogError, Lsn, Reader, Window};
use crate::store::{Page, Queued, Shelf, StoreError};
use crate::types::{Message, SessionKey, TopicName};
use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the threads of a store share.
pub struct Shared {
    /// Users: the committer (to apply a group), the checkpointer (to take and to settle), readers (to find a page).
    /// Never held over a read or write of a file.
    pub index: Mutex<Index>,
    /// The checkpointer waits here for work.
    pub work: Condvar,
    pub log: Reader,
    pub cold: Arc<dyn Cold>,
}

impl Shelf for Shared {
    fn page(&self, session: SessionKey, from: u64, messages_max: usize, bytes_max: u64) -> Result<Page, StoreError> {
        let mut seen = None;
        loop {
            let (head, below, noted) = {
                let index = self.index.lock();
                let checkpoint = index.checkpoint();
                let Some(line) = index.line(session) else {
                    return Ok(Page { from, next: u64::MAX, deliveries: Vec::new() });
                };
                if from >= line.below() {
                    let (found, next) = line.survivors(session, from, messages_max, bytes_max);
                    drop(index);
                    match self.hot_page(from, next, found) {
                        // A checkpoint has just taken it over. Without another since the last look there is no more to come.
                        Err(LogError::Released { .. }) if seen != Some(checkpoint) => {
                            seen = Some(checkpoint);
                            continue;
                        }
                        page => return Ok(page?),
                    }
                }
                (line.head(), line.below(), line.noted_from(from))
            };
            let page = self.cold_page(session, from.max(head), below, &noted, messages_max, bytes_max)?;
            return Ok(Page { from, ..page });
        }
    }

    fn hold(&self, session: SessionKey) {
        self.index.lock().hold(session);
    }

    fn let_go(&self, session: SessionKey) {
        self.index.lock().let_go(session);
    }

    fn retained(&self, topic: &TopicName) -> Result<Option<Arc<Message>>, StoreError> {
        loop {
            let kept = self.index.lock().retained().get(topic).copied();
            match kept {
                Some(RetainedAt::Removed) => return Ok(None),
                Some(RetainedAt::At(lsn)) => match self.message(lsn) {
                    Err(LogError::Released { .. }) => {}
                    message => return Ok(Some(Arc::new(message?))),
                },
                None => {
                    let value = self.cold.get(Space::Retained, &retained_key(topic))?;
                    return Ok(value.map(|value| self.cold_retained(value)).transpose()?);
                }
            }
        }
    }
}

impl Shared {
    fn hot_page(&self, from: u64, next: u64, found: Vec<Survivor>) -> Result<Page, LogError> {
        let mut deliveries = Vec::with_capacity(found.len());
        let mut last: Option<(Lsn, Arc<Message>)> = None;
        let mut window = self.log.window();
        for survivor in found {
            if survivor.is_received {
                deliveries.push(Queued::Received { position: survivor.position });
                continue;
            }
            let message = match last {
                Some((lsn, message)) if lsn == survivor.lsn => message,
                _ => Arc::new(message_in(&mut window, survivor.lsn)?),
            };
            deliveries.push(Queued::Message { message: message.clone(), target: survivor.target });
            last = Some((survivor.lsn, message));
        }
        Ok(Page { from, next, deliveries })
    }

    fn cold_page(
        &self,
        session: SessionKey,
        from: u64,
        below: u64,
        noted: &BTreeMap<u64, Noted>,
        messages_max: usize,
        bytes_max: u64,
    ) -> Result<Page, ColdError> {
        const AT_ONCE: usize = 64;
        let mut deliveries = Vec::new();
        let (mut bytes, mut next) = (0, from);
        while next < below && deliveries.len() < messages_max && bytes < bytes_max {
            let at_most = AT_ONCE.min(messages_max - deliveries.len());
            let found =
                self.cold.range(Space::Queue, &queue::key(session, next), &queue::key(session, below), at_most)?;
            let is_all = found.len() < at_most;
            for (key, value) in found {
                let position = queue::position_of(&key)?;
                next = position + 1;
                let kept = match noted.get(&position) {
                    Some(Noted::Done) => continue,
                    Some(Noted::Received) => Kept::Received,
                    None => queue::decode(session, position, value)?,
                };
                let queued = match kept {
                    Kept::Received => Queued::Received { position },
                    Kept::Delivery { target, body, .. } => {
                        let message = self.cold_body(body)?;
                        bytes += message.cost_bytes() as u64;
                        Queued::Message { message: Arc::new(message), target }
                    }
                };
                deliveries.push(queued);
            }
            if is_all {
                next = below;
            }
        }
        Ok(Page { from, next, deliveries })
    }

    pub fn cold_body(&self, body: Body) -> Result<Message, ColdError> {
        match body {
            Body::Own(message) => Ok(message),
            Body::Shared { lsn, .. } => self.cold_message(lsn),
        }
    }

    /// A message that is still in the log.
    pub fn message(&self, lsn: Lsn) -> Result<Message, LogError> {
        decoded(lsn, self.log.read(lsn)?)
    }

    /// A message that several deliveries share, or a long one.
    fn cold_message(&self, lsn: Lsn) -> Result<Message, ColdError> {
        let pieces = self.cold.range(Space::Bodies, &queue::piece(lsn, 0), &queue::count(lsn), usize::MAX)?;
        let mut whole = BytesMut::new();
        pieces.iter().for_each(|(_, piece)| whole.extend_from_slice(piece));
        Ok(super::encoding::Fields::of(whole.freeze()).message()?)
    }

    pub fn cold_retained(&self, value: Bytes) -> Result<Arc<Message>, ColdError> {
        let mut fields = super::encoding::Fields::of(value);
        let message = if fields.flag()? { self.cold_message(Lsn::new(fields.number()?))? } else { fields.message()? };
        Ok(Arc::new(message))
    }
}

/// The same for one of many messages.
pub fn message_in(window: &mut Window<'_>, lsn: Lsn) -> Result<Message, LogError> {
    decoded(lsn, window.read(lsn)?)
}

fn decoded(lsn: Lsn, record: Bytes) -> Result<Message, LogError> {
    decode_message(record).map_err(|source| LogError::Replay { lsn, source: source.into() })
}

/// A topic is as long as a key may be, 65,535 bytes.
pub fn retained_key(topic: &TopicName) -> Bytes {
    topic.as_bytes().clone()
}

impl From<UnknownForm> for ColdError {
    fn from(_: UnknownForm) -> Self {
        Self::UnknownForm
    }
}

impl From<ColdError> for StoreError {
    fn from(error: ColdError) -> Self {
        Self::Cold(Box::new(error))
    }
}
