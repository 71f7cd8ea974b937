//! From lines to the records of a store.
use super::line::{FORMAT, Fault, Line, SessionLine, filter, topic};
use crate::store::{POSITIONS_MAX, Record, Store, StoreError, Targets};
use crate::types::{Message, Now, PacketId, QoS, SessionKey, Stamp, SubscriptionIds, TopicName};
use bytes::Bytes;
use std::io::{self, BufRead};
use std::sync::Arc;

/// Records committed at once.
const GROUP: usize = 1000;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub sessions: u64,
    pub messages: u64,
    pub retained: u64,
}

/// Why nothing may be made of what was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("line {line}: {why}")]
    Line { line: u64, why: Fault },
    #[error("line {line}: written in format {format}, but this version of vowmq reads up to format {FORMAT}")]
    NewerFormat { line: u64, format: u32 },
    #[error("it ends at line {line} without its end line: it was cut short")]
    CutShort { line: u64 },
    #[error("the export itself failed: {why}")]
    FailedExport { why: String },
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a whole export into an empty store. After an error the store holds a part of it.
pub fn read(input: impl BufRead, store: &mut dyn Store) -> Result<Counts, ReadError> {
    let mut reading = Reading { store, records: Vec::new(), counts: Counts::default(), session: None, begun: false };
    let mut number = 0;
    for text in input.lines() {
        number += 1;
        let fault = |why: Fault| ReadError::Line { line: number, why };
        let line: Line = serde_json::from_str(&text?).map_err(|error| fault(error.to_string()))?;
        match line {
            Line::Begin { format, .. } if format > FORMAT => {
                return Err(ReadError::NewerFormat { line: number, format });
            }
            Line::Error { why } => return Err(ReadError::FailedExport { why }),
            Line::End { sessions, messages, retained } => {
                reading.finish()?;
                let counts = reading.counts;
                if counts != (Counts { sessions, messages, retained }) {
                    return Err(fault("the counts do not match: lines are missing".to_owned()));
                }
                return Ok(counts);
            }
            line => reading.take(line).map_err(fault)?,
        }
        if reading.records.len() >= GROUP {
            reading.commit()?;
        }
    }
    Err(ReadError::CutShort { line: number })
}

struct Reading<'a> {
    store: &'a mut dyn Store,
    records: Vec<Record>,
    counts: Counts,
    /// The present session, the position after its last, and where it has to end.
    session: Option<(SessionKey, u64, u64)>,
    begun: bool,
}

impl Reading<'_> {
    fn take(&mut self, line: Line) -> Result<(), Fault> {
        if !self.begun && !matches!(line, Line::Begin { .. }) {
            return Err("this is no export of vowmq: the begin line is missing".to_owned());
        }
        match line {
            Line::Begin { .. } => self.begun = true,
            Line::Session(line) => self.begin_session(&line)?,
            Line::Received { position } => {
                // Of the message nothing is needed any more.
                let session = self.advance(position)?;
                let target = crate::store::Target {
                    session,
                    position,
                    qos: QoS::ExactlyOnce,
                    retain: false,
                    subscription_ids: SubscriptionIds::default(),
                    share: None,
                    give_up_at: None,
                };
                self.publish(gone(), Targets::from_buf([target]), false);
                self.records.push(Record::received(session, position));
                self.counts.messages += 1;
            }
            Line::Message(line) => {
                let session = self.advance(line.position)?;
                let target = line.target(session)?;
                self.publish(line.body.message()?, Targets::from_buf([target]), false);
                self.counts.messages += 1;
            }
            Line::Retained(body) => {
                self.end_session();
                self.publish(body.message()?, Targets::new(), true);
                self.counts.retained += 1;
            }
            Line::End { .. } | Line::Error { .. } => {}
        }
        Ok(())
    }

    fn begin_session(&mut self, line: &SessionLine) -> Result<(), Fault> {
        self.end_session();
        self.counts.sessions += 1;
        let session = SessionKey(self.counts.sessions);
        if line.next_position > POSITIONS_MAX || line.sent_below > POSITIONS_MAX {
            return Err(format!("next_position and sent_below are at most {POSITIONS_MAX}"));
        }
        self.session = Some((session, 0, line.next_position));
        self.records.push(Record::SessionBegun { session, client_id: line.client_id()?, is_v5: line.v5 });
        if let Some(owner) = &line.owner {
            self.records.push(Record::SessionOwned { session, owner: Arc::new(owner.identity()?) });
        }
        let will = line.will.as_ref().map(|will| will.will()).transpose()?.map(Box::new);
        self.records.push(Record::SessionAttached { session, expiry_s: line.expiry_s, will });
        for subscription in &line.subscriptions {
            let (filter, options) = (filter(&subscription.filter)?, subscription.options()?);
            self.records.push(Record::Subscribed { session, filter, options, id: subscription.id });
        }
        for scan in &line.scans {
            let (filter, after) = (filter(&scan.filter)?, scan.after.as_deref().map(topic).transpose()?);
            self.records.push(Record::ScanAt { session, filter, after });
        }
        for id in &line.inbound {
            let id = PacketId::new(*id).ok_or_else(|| "0 is no packet identifier".to_owned())?;
            self.records.push(Record::InboundOpen { session, id });
        }
        if !line.attached {
            let at = |millis: Option<u64>| millis.map(Now::from_millis);
            let (expires_at, will_at) = (at(line.expires_at_ms), at(line.will_at_ms));
            self.records.push(Record::SessionParked { session, expires_at, will_at, sent_below: line.sent_below });
        }
        Ok(())
    }

    fn advance(&mut self, position: u64) -> Result<SessionKey, Fault> {
        let Some((session, next, end)) = &mut self.session else {
            return Err("a message without a session before it".to_owned());
        };
        if position < *next || position >= *end {
            return Err(format!("position {position} is out of order"));
        }
        *next = position + 1;
        Ok(*session)
    }

    /// Positions are never given twice, though all before be finished.
    fn end_session(&mut self) {
        if let Some((session, next, end)) = self.session.take()
            && next < end
        {
            self.records.push(Record::done(session, end - 1));
        }
    }

    fn publish(&mut self, message: Message, targets: Targets, is_retained: bool) {
        self.records.push(Record::Published { message: Arc::new(message), inbound: None, is_retained, targets });
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.store.commit(&self.records)?;
        self.records.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        self.end_session();
        self.commit()
    }
}

fn gone() -> Message {
    Message {
        topic: TopicName::try_from("vowmq/received").expect("a legal topic"),
        payload: Bytes::new(),
        qos: QoS::ExactlyOnce,
        retain: false,
        forward: Bytes::new(),
        expires_at: None,
        received: Stamp::default(),
    }
}
