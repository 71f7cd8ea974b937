//! Records as bytes: a tag, then fields in order.
//!
//! A message with many targets makes several records of the log, one behind the other in one group, so that its body
//! can be read alone.
mod fields;
pub mod put;

pub use fields::Fields;

use crate::store::log::Group;
use crate::store::{Record, Target, Targets};
use crate::types::{Message, PacketId, SessionKey};
use bytes::Bytes;
use put::{blob, count, head, number, option, time};
use std::sync::Arc;

/// A record that passed its checksum and still makes no sense: another version of the program wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of the delivery log has a form that this version does not know; start the version that wrote it")]
pub struct UnknownForm;

mod tag {
    pub const SESSION_BEGUN: u8 = 1;
    pub const SESSION_ATTACHED: u8 = 2;
    pub const SESSION_PARKED: u8 = 3;
    pub const SESSION_ENDED: u8 = 4;
    pub const SUBSCRIBED: u8 = 5;
    pub const UNSUBSCRIBED: u8 = 6;
    pub const PUBLISHED: u8 = 7;
    pub const DONE: u8 = 8;
    pub const RECEIVED: u8 = 9;
    pub const INBOUND_RELEASED: u8 = 10;
    pub const INBOUND_OPEN: u8 = 11;
    pub const MORE_TARGETS: u8 = 12;
    pub const SCAN_AT: u8 = 13;
    pub const SCAN_OVER: u8 = 14;
    pub const SESSION_OWNED: u8 = 15;
    pub const DONE_RUN: u8 = 16;
    pub const RECEIVED_RUN: u8 = 17;
    pub const INBOUND_RELEASED_RUN: u8 = 18;
}

/// Targets that stand in one record with their message.
const TARGETS_BESIDE: usize = 8;

/// One record of the log.
pub enum Entry {
    Record(Record),
    /// Further targets of the message before.
    MoreTargets(Targets),
}

/// Adds a record to a group, as one record of the log or several. Answers with the number of the first.
pub fn push(record: &Record, group: &mut Group) -> usize {
    let Record::Published { message, inbound, is_retained, targets } = record else {
        return group.push_with(|out| encode(record, out));
    };
    let (beside, more) = targets.split_at(targets.len().min(TARGETS_BESIDE));
    let first = group.push_with(|out| published(out, message, *inbound, *is_retained, beside));
    if !more.is_empty() {
        group.push_with(|out| {
            out.push(tag::MORE_TARGETS);
            put_targets(out, more);
        });
    }
    first
}

fn published(
    out: &mut Vec<u8>,
    message: &Message,
    inbound: Option<(SessionKey, PacketId)>,
    is_retained: bool,
    targets: &[Target],
) {
    out.push(tag::PUBLISHED);
    put::message(out, message);
    option(out, inbound.as_ref(), |out, (session, id)| {
        number(out, session.0);
        out.extend_from_slice(&id.value().to_le_bytes());
    });
    out.push(u8::from(is_retained));
    put_targets(out, targets);
}

fn put_targets(out: &mut Vec<u8>, targets: &[Target]) {
    count(out, targets.len());
    for target in targets {
        number(out, target.session.0);
        number(out, target.position);
        put::target(out, target);
    }
}

/// A record but for [`Record::Published`].
fn encode(record: &Record, out: &mut Vec<u8>) {
    match record {
        Record::Published { message, inbound, is_retained, targets } => {
            published(out, message, *inbound, *is_retained, targets);
        }
        Record::SessionBegun { session, client_id, is_v5 } => {
            head(out, tag::SESSION_BEGUN, *session);
            blob(out, client_id.as_str().as_bytes());
            out.push(u8::from(*is_v5));
        }
        Record::SessionOwned { session, owner } => {
            head(out, tag::SESSION_OWNED, *session);
            put::identity(out, owner);
        }
        Record::SessionAttached { session, expiry_s, will } => {
            head(out, tag::SESSION_ATTACHED, *session);
            out.extend_from_slice(&expiry_s.to_le_bytes());
            option(out, will.as_deref(), put::will);
        }
        Record::SessionParked { session, expires_at, will_at, sent_below } => {
            head(out, tag::SESSION_PARKED, *session);
            option(out, expires_at.as_ref(), time);
            option(out, will_at.as_ref(), time);
            number(out, *sent_below);
        }
        Record::SessionEnded { session } => head(out, tag::SESSION_ENDED, *session),
        Record::Subscribed { session, filter, options, id } => {
            head(out, tag::SUBSCRIBED, *session);
            blob(out, filter.as_str().as_bytes());
            put::options(out, *options);
            option(out, id.as_ref(), |out, id| number(out, u64::from(*id)));
        }
        Record::Unsubscribed { session, filter } => {
            head(out, tag::UNSUBSCRIBED, *session);
            blob(out, filter.as_str().as_bytes());
        }
        Record::ScanAt { session, filter, after } => {
            head(out, tag::SCAN_AT, *session);
            blob(out, filter.as_str().as_bytes());
            option(out, after.as_ref(), |out, topic| blob(out, topic.as_bytes()));
        }
        Record::ScanOver { session, filter } => {
            head(out, tag::SCAN_OVER, *session);
            blob(out, filter.as_str().as_bytes());
        }
        Record::Done { session, position, count } => {
            run_head(out, [tag::DONE, tag::DONE_RUN], *session, *count);
            number(out, *position);
        }
        Record::Received { session, position, count } => {
            run_head(out, [tag::RECEIVED, tag::RECEIVED_RUN], *session, *count);
            number(out, *position);
        }
        Record::InboundReleased { session, id, count } => {
            run_head(out, [tag::INBOUND_RELEASED, tag::INBOUND_RELEASED_RUN], *session, *count);
            out.extend_from_slice(&id.value().to_le_bytes());
        }
        Record::InboundOpen { session, id } => {
            head(out, tag::INBOUND_OPEN, *session);
            out.extend_from_slice(&id.value().to_le_bytes());
        }
    }
}

/// One alone does without its number.
fn run_head(out: &mut Vec<u8>, [alone, run]: [u8; 2], session: SessionKey, many: u16) {
    if many == 1 {
        head(out, alone, session);
    } else {
        head(out, run, session);
        count(out, many.into());
    }
}

/// One record of the log.
pub fn decode(bytes: &[u8]) -> Result<Entry, UnknownForm> {
    let mut fields = Fields::of(Bytes::copy_from_slice(bytes));
    let tag = fields.u8()?;
    match tag {
        tag::PUBLISHED => {
            let message = Arc::new(fields.message()?);
            let inbound = fields.option(|fields| Ok((fields.session()?, fields.packet_id()?)))?;
            let (is_retained, targets) = (fields.flag()?, fields.targets()?);
            return Ok(Entry::Record(Record::Published { message, inbound, is_retained, targets }));
        }
        tag::MORE_TARGETS => return fields.targets().map(Entry::MoreTargets),
        _ => {}
    }
    let session = fields.session()?;
    let record = match tag {
        tag::SESSION_BEGUN => Record::SessionBegun { session, client_id: fields.client_id()?, is_v5: fields.flag()? },
        tag::SESSION_OWNED => Record::SessionOwned { session, owner: Arc::new(fields.identity()?) },
        tag::SESSION_ATTACHED => Record::SessionAttached {
            session,
            expiry_s: fields.u32()?,
            will: fields.option(Fields::will)?.map(Box::new),
        },
        tag::SESSION_PARKED => Record::SessionParked {
            session,
            expires_at: fields.option(Fields::now)?,
            will_at: fields.option(Fields::now)?,
            sent_below: fields.position()?,
        },
        tag::SESSION_ENDED => Record::SessionEnded { session },
        tag::SUBSCRIBED => Record::Subscribed {
            session,
            filter: fields.filter()?,
            options: fields.options()?,
            id: fields.option(Fields::id)?,
        },
        tag::UNSUBSCRIBED => Record::Unsubscribed { session, filter: fields.filter()? },
        tag::SCAN_AT => Record::ScanAt {
            session,
            filter: fields.filter()?,
            after: fields.option(|fields| Ok(fields.topic()?.detached()))?,
        },
        tag::SCAN_OVER => Record::ScanOver { session, filter: fields.filter()? },
        tag::DONE => Record::done(session, fields.position()?),
        tag::RECEIVED => Record::received(session, fields.position()?),
        tag::INBOUND_RELEASED => Record::inbound_released(session, fields.packet_id()?),
        tag::DONE_RUN => {
            let (count, position) = (fields.run()?, fields.position()?);
            Record::Done { session, position, count }
        }
        tag::RECEIVED_RUN => {
            let (count, position) = (fields.run()?, fields.position()?);
            Record::Received { session, position, count }
        }
        tag::INBOUND_RELEASED_RUN => {
            let (count, id) = (fields.run()?, fields.packet_id()?);
            Record::InboundReleased { session, id, count }
        }
        tag::INBOUND_OPEN => Record::InboundOpen { session, id: fields.packet_id()? },
        _ => return Err(UnknownForm),
    };
    Ok(Entry::Record(record))
}

/// The message of a record of the log, and nothing else of it.
pub fn decode_message(bytes: Bytes) -> Result<Message, UnknownForm> {
    let mut fields = Fields::of(bytes);
    if fields.u8()? == tag::PUBLISHED { fields.message() } else { Err(UnknownForm) }
}
