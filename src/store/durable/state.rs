//! What is small: sessions, subscriptions and identifiers as keys and values of their own, so that any change is one
//! blind put or delete.
//!
//! A key is the session's number, big-endian, a letter and the rest. Number 0 holds what concerns the whole store.
use super::encoding::{Fields, UnknownForm, put};
use crate::store::Record;
use crate::store::image::{Presence, QueueImage, SessionImage};
use crate::types::{PacketId, SessionKey, Text, TopicFilter};
use bytes::Bytes;
use foldhash::fast::RandomState;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

mod letter {
    pub const BEGUN: u8 = b'b';
    pub const CONNECTION: u8 = b'c';
    pub const INBOUND: u8 = b'i';
    pub const OWNER: u8 = b'o';
    pub const PARKED: u8 = b'p';
    pub const QUEUE: u8 = b'q';
    pub const SCAN: u8 = b'r';
    pub const SUBSCRIPTION: u8 = b's';
}

/// The position in the log from which replay begins.
pub const CHECKPOINT: &[u8] = b"\0\0\0\0\0\0\0\0checkpoint";
/// The form of everything in the cold state.
pub const FORMAT: &[u8] = b"\0\0\0\0\0\0\0\0format";
pub const FORMAT_VERSION: u64 = 1;
/// The highest session number ever given.
pub const LAST_SESSION: &[u8] = b"\0\0\0\0\0\0\0\0last_session";

/// A value that is one number.
pub fn number(value: u64) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub fn to_number(bytes: &[u8]) -> Result<u64, UnknownForm> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| UnknownForm)
}

pub fn session_prefix(session: SessionKey) -> [u8; 8] {
    session.0.to_be_bytes()
}

pub fn session_of(key: &[u8]) -> Option<SessionKey> {
    key.first_chunk().map(|bytes| SessionKey(u64::from_be_bytes(*bytes)))
}

fn key(session: SessionKey, letter: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = session_prefix(session).to_vec();
    key.push(letter);
    key.extend_from_slice(rest);
    key
}

/// What a record puts and deletes, if it is about small things.
pub fn changes(record: &Record, mut put: impl FnMut(Vec<u8>, Option<Vec<u8>>)) {
    match record {
        Record::SessionBegun { session, client_id, is_v5 } => {
            let mut value = vec![u8::from(*is_v5)];
            value.extend_from_slice(client_id.as_str().as_bytes());
            put(key(*session, letter::BEGUN, b""), Some(value));
        }
        Record::SessionOwned { session, owner } => {
            let mut value = Vec::new();
            put::identity(&mut value, owner);
            put(key(*session, letter::OWNER, b""), Some(value));
        }
        Record::SessionAttached { session, expiry_s, will } => {
            let mut value = expiry_s.to_le_bytes().to_vec();
            put::option(&mut value, will.as_deref(), put::will);
            put(key(*session, letter::CONNECTION, b""), Some(value));
            put(key(*session, letter::PARKED, b""), None);
        }
        Record::SessionParked { session, expires_at, will_at, sent_below } => {
            let mut value = Vec::new();
            put::option(&mut value, expires_at.as_ref(), put::time);
            put::option(&mut value, will_at.as_ref(), put::time);
            put::number(&mut value, *sent_below);
            put(key(*session, letter::PARKED, b""), Some(value));
        }
        Record::Subscribed { session, filter, options, id } => {
            let mut value = Vec::new();
            put::options(&mut value, *options);
            put::option(&mut value, id.as_ref(), |out, id| put::number(out, u64::from(*id)));
            put(key(*session, letter::SUBSCRIPTION, filter.as_str().as_bytes()), Some(value));
        }
        Record::Unsubscribed { session, filter } => {
            put(key(*session, letter::SUBSCRIPTION, filter.as_str().as_bytes()), None);
        }
        Record::ScanAt { session, filter, after } => {
            let mut value = Vec::new();
            put::option(&mut value, after.as_ref(), |out, topic| put::blob(out, topic.as_bytes()));
            put(key(*session, letter::SCAN, filter.as_str().as_bytes()), Some(value));
        }
        Record::ScanOver { session, filter } => {
            put(key(*session, letter::SCAN, filter.as_str().as_bytes()), None);
        }
        // See `Inbound`.
        Record::InboundOpen { .. } | Record::InboundReleased { .. } | Record::Published { .. } => {}
        Record::SessionEnded { .. } | Record::Done { .. } | Record::Received { .. } => {}
    }
}

/// The QoS 2 identifiers that were opened and released since the last checkpoint. They come and go with every message, so
/// that keys are made of them only when they are to be stored.
#[derive(Debug, Default)]
pub struct Inbound(HashMap<SessionKey, HashMap<u16, bool, RandomState>, RandomState>);

impl Inbound {
    pub fn open(&mut self, session: SessionKey, id: PacketId) {
        self.0.entry(session).or_default().insert(id.value(), true);
    }

    /// Releases `count` neighbours, the first of them `id`.
    pub fn release(&mut self, session: SessionKey, id: PacketId, count: u16) {
        let ids = self.0.entry(session).or_default();
        ids.extend((id.value()..=u16::MAX).take(count.into()).map(|id| (id, false)));
    }

    pub fn forget(&mut self, session: SessionKey) {
        self.0.remove(&session);
    }

    /// Gives what is to be put and deleted, and leaves nothing.
    pub fn take(&mut self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        let entry = |session, (id, is_open): (u16, bool)| {
            (key(session, letter::INBOUND, &id.to_be_bytes()), is_open.then(Vec::new))
        };
        let sessions = std::mem::take(&mut self.0).into_iter();
        sessions.flat_map(move |(session, ids)| ids.into_iter().map(move |id| entry(session, id)))
    }
}

pub fn queue(session: SessionKey, queue: &QueueImage) -> (Vec<u8>, Vec<u8>) {
    let mut value = Vec::new();
    for number in [queue.head, queue.next_position, queue.messages, queue.bytes] {
        put::number(&mut value, number);
    }
    (queue_key(session), value)
}

pub fn queue_key(session: SessionKey) -> Vec<u8> {
    key(session, letter::QUEUE, b"")
}

pub fn to_queue(value: Bytes) -> Result<QueueImage, UnknownForm> {
    let mut fields = Fields::of(value);
    Ok(QueueImage {
        head: fields.position()?,
        next_position: fields.position()?,
        messages: fields.number()?,
        bytes: fields.number()?,
    })
}

/// Applies one entry to what a restart finds. Entries of sessions that have not begun are left out.
pub fn apply(
    sessions: &mut BTreeMap<SessionKey, SessionImage>,
    entry: &[u8],
    value: Option<&Bytes>,
) -> Result<(), UnknownForm> {
    let (Some(session), Some(&letter)) = (session_of(entry), entry.get(8)) else { return Err(UnknownForm) };
    let rest = entry.get(9..).unwrap_or_default();
    let mut fields = Fields::of(value.cloned().unwrap_or_default());
    if letter == letter::BEGUN {
        let is_v5 = fields.flag()?;
        let client_id = fields.rest_as_client_id()?;
        sessions.entry(session).or_insert_with(|| SessionImage::new(client_id, is_v5));
        return Ok(());
    }
    let Some(image) = sessions.get_mut(&session) else { return Ok(()) };
    match (letter, value.is_some()) {
        (letter::CONNECTION, true) => {
            image.expiry_s = fields.u32()?;
            image.will = fields.option(Fields::will)?.map(Box::new);
        }
        (letter::OWNER, true) => image.owner = Some(Arc::new(fields.identity()?)),
        (letter::PARKED, true) => {
            image.presence = Presence::Parked {
                expires_at: fields.option(Fields::now)?,
                will_at: fields.option(Fields::now)?,
                sent_below: fields.position()?,
            };
        }
        (letter::PARKED, false) => image.presence = Presence::Attached,
        (letter::QUEUE, true) => image.queue = to_queue(value.cloned().unwrap_or_default())?,
        (letter::SCAN, is_there) => {
            let filter = to_filter(rest)?;
            if is_there {
                image.scans.insert(filter, fields.option(|fields| Ok(fields.topic()?.detached()))?);
            } else {
                image.scans.remove(&filter);
            }
        }
        (letter::SUBSCRIPTION, is_there) => {
            let filter = to_filter(rest)?;
            if is_there {
                image.subscriptions.insert(filter, (fields.options()?, fields.option(Fields::id)?));
            } else {
                image.subscriptions.remove(&filter);
            }
        }
        (letter::INBOUND, is_there) => {
            let id = rest.try_into().map(u16::from_be_bytes).ok().and_then(PacketId::new).ok_or(UnknownForm)?;
            if is_there {
                image.inbound.insert(id);
            } else {
                image.inbound.remove(&id);
            }
        }
        _ => return Err(UnknownForm),
    }
    Ok(())
}

fn to_filter(bytes: &[u8]) -> Result<TopicFilter, UnknownForm> {
    let text = Text::parse(Bytes::copy_from_slice(bytes)).map_err(|_| UnknownForm)?;
    TopicFilter::parse(&text).map_err(|_| UnknownForm)
}

/// A will whose time has been settled otherwise is no will.
pub fn finish(image: &mut SessionImage) {
    if matches!(image.presence, Presence::Parked { will_at: None, .. }) {
        image.will = None;
    }
}
