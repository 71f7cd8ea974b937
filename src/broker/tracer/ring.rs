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
/// Bytes of topics and payloads among them; a step whose payload does not fit is told without it.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// Exchanges under way that are known by their Packet Identifiers.
const EXCHANGES_MAX: usize = 10_000;
/// Bytes of their topics.
const EXCHANGE_BYTES_MAX: usize = 8 << 20;

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
    event_bytes: usize,
    lost: u64,
    exchanges: HashMap<Exchange, Followed>,
    exchange_bytes: usize,
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
        ring.event_bytes = 0;
        Poll::Ready(Steps { events: ring.events.drain(..).collect(), lost: std::mem::take(&mut ring.lost) })
    }

    pub(super) fn note(&self, session: Option<SessionKey>, client_id: &ClientId, message: &Message, step: Waypoint) {
        if !self.wanted.is_for_client(client_id) || !self.wanted.is_message(message) {
            return;
        }
        let fingerprint = fingerprint(message);
        let topic = message.topic.detached();
        let mut ring = self.ring.lock();
        if let Some(exchange) = session.and_then(|session| step.begins(session)) {
            ring.begin(exchange, Followed { topic: topic.clone(), fingerprint });
        }
        let payload = (self.with_payloads && step.shows_payload()).then(|| Bytes::copy_from_slice(&message.payload));
        self.push(&mut ring, client_id, step, Some(Followed { topic, fingerprint }), payload);
    }

    pub(super) fn note_packet(&self, session: SessionKey, client_id: &ClientId, step: Waypoint) {
        let Some((exchange, is_last)) = step.names(session) else { return };
        let mut ring = self.ring.lock();
        let found = if is_last { ring.end(exchange) } else { ring.exchanges.get(&exchange).cloned() };
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
        let bytes = ring.event_bytes + followed.as_ref().map_or(0, Followed::bytes);
        if ring.events.len() >= EVENTS_MAX || bytes > EVENT_BYTES_MAX {
            ring.lost += 1;
            ring.wake();
            return;
        }
        let payload = payload.filter(|payload| bytes + payload.len() <= EVENT_BYTES_MAX);
        ring.event_bytes = bytes + payload.as_ref().map_or(0, Bytes::len);
        let (topic, fingerprint) = followed.map(|followed| (followed.topic, followed.fingerprint)).unzip();
        let at_us = self.began.elapsed_us();
        ring.events.push_back(Event { at_us, client_id: client_id.clone(), step, topic, fingerprint, payload });
        ring.wake();
    }
}

impl Followed {
    fn bytes(&self) -> usize {
        self.topic.as_bytes().len()
    }
}

impl Ring {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Remembers an exchange, unless there are too many.
    fn begin(&mut self, exchange: Exchange, followed: Followed) {
        let bytes = self.exchange_bytes + followed.bytes();
        if self.exchanges.len() < EXCHANGES_MAX && bytes <= EXCHANGE_BYTES_MAX {
            self.exchange_bytes = bytes;
            let before = self.exchanges.insert(exchange, followed);
            self.exchange_bytes -= before.as_ref().map_or(0, Followed::bytes);
        }
    }

    fn end(&mut self, exchange: Exchange) -> Option<Followed> {
        let followed = self.exchanges.remove(&exchange)?;
        self.exchange_bytes -= followed.bytes();
        Some(followed)
    }
}

pub(super) fn fingerprint(message: &Message) -> u64 {
    let mut hasher = DefaultHasher::new();
    (message.topic.as_bytes(), &message.forward, &message.payload).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{QoS, ReasonCode, Stamp, Text};
    use std::future::poll_fn;
    use std::task::Waker;

    fn message(payload: &'static [u8]) -> Message {
        Message {
            topic: TopicName::try_from("a").unwrap(),
            payload: Bytes::from_static(payload),
            qos: QoS::AtLeastOnce,
            retain: false,
            forward: Bytes::new(),
            expires_at: None,
            received: Stamp::default(),
        }
    }

    fn client(name: &'static str) -> ClientId {
        ClientId::new(&Text::from_static(name)).unwrap()
    }

    fn steps(trace: &Trace) -> Option<Steps> {
        let mut context = Context::from_waker(Waker::noop());
        let mut taken = poll_fn(|context| trace.poll_steps(context));
        match std::pin::Pin::new(&mut taken).poll(&mut context) {
            Poll::Ready(steps) => Some(steps),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_ring_that_nobody_reads_is_bounded_and_says_what_it_lost() {
        let trace = Trace::new(Wanted::default(), true);
        for _ in 0..EVENTS_MAX + 3 {
            trace.note(None, &client("c"), &message(b"x"), Waypoint::Dropped { reason: "aged" });
        }
        let first = steps(&trace).unwrap();
        assert_eq!((first.events.len(), first.lost), (EVENTS_MAX, 3));
        assert!(steps(&trace).is_none());
    }

    #[test]
    fn acknowledgements_are_told_with_the_message_of_their_exchange() {
        let trace = Trace::new(Wanted::default(), false);
        let packet_id = PacketId::new(4).unwrap();
        let sent = Waypoint::Sent { packet_id: Some(packet_id), qos: QoS::AtLeastOnce, dup: false };
        let ack = Waypoint::Acknowledged { packet: "PUBACK", packet_id, code: ReasonCode::Success };
        trace.note(Some(SessionKey(1)), &client("c"), &message(b"x"), sent);
        trace.note_packet(SessionKey(2), &client("d"), ack);
        trace.note_packet(SessionKey(1), &client("c"), ack);
        trace.note_packet(SessionKey(1), &client("c"), ack);
        let told = steps(&trace).unwrap().events;
        let told: Vec<_> = told.iter().map(|event| (event.step, event.fingerprint, event.payload.clone())).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((told[0].0, told[1].0), (sent, ack));
        assert_eq!((told[0].1, &told[0].2), (told[1].1, &None));
        assert_eq!(trace.ring.lock().exchange_bytes, 0);
    }
}
