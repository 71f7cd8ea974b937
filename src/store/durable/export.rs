//! Everything that the store keeps, one thing after the other, as of one moment.
use super::queue::{self, Kept};
use super::shelf::Shared;
use super::state;
use crate::store::cold::{ColdError, Space};
use crate::store::image::SessionImage;
use crate::store::{Queued, StoreError};
use crate::types::{Message, SessionKey};
use std::collections::BTreeMap;
use std::sync::Arc;

const AT_ONCE: usize = 512;

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Exported {
    /// A session; what it has queued follows, in order.
    Session(Box<SessionImage>),
    Queued(Queued),
    Retained(Arc<Message>),
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write: {0}")]
    Sink(#[from] std::io::Error),
}

/// Hands everything in the cold state to `each`. The caller sees to it that all of the log is in there, and that nothing
/// changes meanwhile.
pub(super) fn export(
    shared: &Shared,
    each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
) -> Result<(), ExportError> {
    let mut from = state::session_prefix(SessionKey(1)).to_vec();
    let mut current: Option<SessionKey> = None;
    let mut sessions = BTreeMap::new();
    loop {
        let found = cold(shared.cold.range(Space::State, &from, &[u8::MAX; 9], AT_ONCE))?;
        let Some((last, _)) = found.last() else { break };
        from = [last.as_ref(), &[0]].concat();
        for (key, value) in found {
            let session = state::session_of(&key);
            if session != current {
                session_out(shared, &mut sessions, each)?;
                current = session;
            }
            cold(state::apply(&mut sessions, &key, Some(&value)).map_err(ColdError::from))?;
        }
    }
    session_out(shared, &mut sessions, each)?;
    retained_out(shared, each)
}

fn session_out(
    shared: &Shared,
    sessions: &mut BTreeMap<SessionKey, SessionImage>,
    each: &mut dyn FnMut(Exported) -> std::io::Result<()>,
) -> Result<(), ExportError> {
    let Some((session, mut image)) = sessions.pop_first() else { return Ok(()) };
    state::finish(&mut image);
    let (mut from, end) = (queue::key(session, image.queue.head), queue::end(session));
    each(Exported::Session(Box::new(image)))?;
    loop {
        let found = cold(shared.cold.range(Space::Queue, &from, &end, AT_ONCE))?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        from = [last.as_ref(), &[0]].concat();
        for (key, value) in found {
            let position = cold(queue::position_of(&key).map_err(ColdError::from))?;
            let queued = match cold(queue::decode(session, position, value).map_err(ColdError::from))? {
                Kept::Received => Queued::Received { position },
                Kept::Delivery { target, body, .. } => {
                    let message = Arc::new(cold(shared.cold_body(body))?);
                    Queued::Message { message, target }
                }
            };
            each(Exported::Queued(queued))?;
        }
    }
}

fn retained_out(shared: &Shared, each: &mut dyn FnMut(Exported) -> std::io::Result<()>) -> Result<(), ExportError> {
    let mut from = vec![0];
    loop {
        let found = cold(shared.cold.range(Space::Retained, &from, &[u8::MAX; 2], AT_ONCE))?;
        let Some((last, _)) = found.last() else { return Ok(()) };
        from = [last.as_ref(), &[0]].concat();
        for (_, value) in found {
            each(Exported::Retained(cold(shared.cold_retained(value))?))?;
        }
    }
}

fn cold<T>(result: Result<T, ColdError>) -> Result<T, StoreError> {
    Ok(result?)
}
