//! The steps that one trace has noted and nobody has taken yet.
use super::{Wanted, Waypoint};
use crate::clock::Stopwatch;
use crate::types::{ClientId, Message, PacketId, SessionKey, TopicName};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::task::{Context, Poll, Waker};

/// Steps kept until somebody takes them.
const EVENTS_MAX: usize = 4096;
/// Bytes of payloads among them.
const PAYLOAD_BYTES_MAX: usize = 8 << 20;
/// Exchanges under way that are known by their Packet Identifiers.
const EXCHANGES_MAX: usize = 10_000;

#[derive(Debug)]
pub struct Trace {
    wanted: Wanted,
    with_payloads: bool,
    began: Stopwatch,
    /// Users: whoever notes a step, and the one who follows (to take them). Held for a push or a swap.
    ring: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    payload_bytes: usize,
    lost: u64,
    exchanges: HashMap<Exchange, Followed>,
    waker: Option<Waker>,
}

/// An exchange of QoS 1 or 2. Each direction has identifiers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Exchange {
    pub session: SessionKey,
    pub is_outbound: bool,
    pub packet_id: PacketId,
}

/// The message of an exchange.
#[derive(Debug, Clone)]
struct Followed {
    topic: TopicName,
    fingerprint: u64,
}

/// One step, as it is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Microseconds since the trace began.
    pub at_us: u64,
    pub client_id: ClientId,
    pub step: Waypoint,
    /// The message's topic; `None` for a step of a client alone.
    pub topic: Option<TopicName>,
    /// The same for all steps of a message, and for messages that are alike in topic, properties and payload.
    pub fingerprint: Option<u64>,
    pub payload: Option<Bytes>,
}

/// What was noted since the last time, and how many steps there was no room for.
#[derive(Debug, Default)]
pub struct Steps {
    pub events: Vec<Event>,
    pub lost: u64,
}

impl Trace {
    pub(super) fn new(wanted: Wanted, with_payloads: bool) -> Self {
        Self { wanted, with_payloads, began: Stopwatch::start(), ring: Mutex::default() }
    }

    /// Waits for steps, and takes them.
    pub fn poll_steps(&self, context: &mut Context<'_>) -> Poll<Steps> {
        let mut ring = self.ring.lock();
        if ring.events.is_empty() && ring.lost == 0 {
            ring.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        ring.payload_bytes = 0;
        Poll::Ready(Steps { events: ring.events.drain(..).collect(), lost: std::mem::take(&mut ring.lost) })
    }

    pub(super) fn note(&self, session: Option<SessionKey>, client_id: &ClientId, message: &Message, step: Waypoint) {
        if !self.wanted.is_for_client(client_id) || !self.wanted.is_message(message) {
            return;
        }
        let fingerprint = fingerprint(message);
        let topic = message.topic.detached();
        let mut ring = self.ring.lock();
        if let Some(exchange) = session.and_then(|session| step.begins(session))
            && ring.exchanges.len() < EXCHANGES_MAX
        {
            ring.exchanges.insert(exchange, Followed { topic: topic.clone(), fingerprint });
        }
        let payload = (self.with_payloads && step.shows_payload()).then(|| Bytes::copy_from_slice(&message.payload));
        self.push(&mut ring, client_id, step, Some(Followed { topic, fingerprint }), payload);
    }

    pub(super) fn note_packet(&self, session: SessionKey, client_id: &ClientId, step: Waypoint) {
        let Some((exchange, is_last)) = step.names(session) else { return };
        let mut ring = self.ring.lock();
        let found = if is_last { ring.exchanges.remove(&exchange) } else { ring.exchanges.get(&exchange).cloned() };
        if let Some(followed) = found {
            self.push(&mut ring, client_id, step, Some(followed), None);
        }
    }

    pub(super) fn note_client(&self, client_id: &ClientId, step: Waypoint) {
        if self.wanted.is_of_any_message() && self.wanted.is_for_client(client_id) {
            self.push(&mut self.ring.lock(), client_id, step, None, None);
        }
    }

    fn push(
        &self,
        ring: &mut Ring,
        client_id: &ClientId,
        step: Waypoint,
        followed: Option<Followed>,
        payload: Option<Bytes>,
    ) {
        let payload = payload.filter(|payload| ring.payload_bytes + payload.len() <= PAYLOAD_BYTES_MAX);
        ring.payload_bytes += payload.as_ref().map_or(0, Bytes::len);
        if ring.events.len() >= EVENTS_MAX {
            ring.lost += 1;
            return;
        }
        let (topic, fingerprint) = followed.map(|followed| (followed.topic, followed.fingerprint)).unzip();
        let at_us = self.began.elapsed_us();
        ring.events.push_back(Event { at_us, client_id: client_id.clone(), step, topic, fingerprint, payload });
        if let Some(waker) = ring.waker.take() {
            waker.wake();
        }
    }
}

fn fingerprint(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    (message.topic.as_bytes(), &message.forward, &message.payload).hash(&mut hasher);
    hasher.finish()
}
