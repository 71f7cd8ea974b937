//! A delivery in the cold state: under its session and position, with its message, or with the name of one that others
//! share.
use super::encoding::{Fields, UnknownForm, put};
use crate::store::log::Lsn;
use crate::store::{POSITIONS_MAX, Target};
use crate::types::{Message, Now, SessionKey};
use bytes::Bytes;

mod tag {
    pub const RECEIVED: u8 = 0;
    pub const OWN: u8 = 1;
    pub const SHARED: u8 = 2;
}

/// Values longer than this are cut into pieces: fjall judges damage of longer ones more harshly.
pub const VALUE_BYTES_MAX: usize = 3500;
/// In place of a piece's number: how many deliveries share the message.
const COUNT: u16 = u16::MAX;

pub enum Kept {
    Received,
    Delivery { target: Target, give_up_at: Option<Now>, body: Body },
}

pub enum Body {
    Own(Message),
    /// A message of this name in [`Space::Bodies`](crate::store::cold::Space), and what it counts for in a queue.
    Shared {
        lsn: Lsn,
        cost_bytes: u64,
    },
}

pub fn key(session: SessionKey, position: u64) -> Vec<u8> {
    [session.0.to_be_bytes(), position.to_be_bytes()].concat()
}

/// The key above all of a session's.
pub fn end(session: SessionKey) -> Vec<u8> {
    [session.0.to_be_bytes(), [u8::MAX; 8]].concat()
}

pub fn position_of(key: &[u8]) -> Result<u64, UnknownForm> {
    let position = key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    position.filter(|position| *position <= POSITIONS_MAX).ok_or(UnknownForm)
}

pub fn received() -> Vec<u8> {
    vec![tag::RECEIVED]
}

pub fn own(target: &Target, give_up_at: Option<Now>, message: &Message) -> Vec<u8> {
    let mut value = vec![tag::OWN];
    put::option(&mut value, give_up_at.as_ref(), put::time);
    put::target(&mut value, target);
    put::message(&mut value, message);
    value
}

pub fn shared(target: &Target, give_up_at: Option<Now>, lsn: Lsn, cost_bytes: u64) -> Vec<u8> {
    let mut value = vec![tag::SHARED];
    put::option(&mut value, give_up_at.as_ref(), put::time);
    put::target(&mut value, target);
    put::number(&mut value, lsn.value());
    put::number(&mut value, cost_bytes);
    value
}

pub fn decode(session: SessionKey, position: u64, value: Bytes) -> Result<Kept, UnknownForm> {
    let mut fields = Fields::of(value);
    let tag = fields.u8()?;
    if tag == tag::RECEIVED {
        return Ok(Kept::Received);
    }
    let give_up_at = fields.option(Fields::now)?;
    let target = fields.target(session, position)?;
    let body = match tag {
        tag::OWN => Body::Own(fields.message()?),
        tag::SHARED => Body::Shared { lsn: Lsn::new(fields.number()?), cost_bytes: fields.number()? },
        _ => return Err(UnknownForm),
    };
    Ok(Kept::Delivery { target, give_up_at, body })
}

/// The key of a piece of a shared message.
pub fn piece(lsn: Lsn, number: u16) -> Vec<u8> {
    let mut key = lsn.value().to_be_bytes().to_vec();
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The key of a shared message's count; it sorts behind all pieces.
pub fn count(lsn: Lsn) -> Vec<u8> {
    piece(lsn, COUNT)
}

pub fn deadline(at: Now, session: SessionKey, position: u64) -> Vec<u8> {
    [at.as_millis().to_be_bytes(), session.0.to_be_bytes(), position.to_be_bytes()].concat()
}

pub fn deadline_parts(key: &[u8]) -> Result<(Now, SessionKey, u64), UnknownForm> {
    let number = |at: usize| {
        let bytes = key.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_be_bytes).ok_or(UnknownForm)
    };
    Ok((Now::from_millis(number(0)?), SessionKey(number(8)?), number(16)?))
}
