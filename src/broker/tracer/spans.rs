//! Spans: how long the steps of sampled messages took, for whoever gathers them from many programs.
//!
//! A message gets a span for its PUBLISH (until its acknowledgement leaves), one for its way to the disk, and one for each
//! receiver (from routing until the receiver's acknowledgement); a client gets one for its CONNECT. A `traceparent` User
//! Property makes the PUBLISH a child of the publisher's own span; it goes on to receivers as it came. Nothing here knows
//! who takes the spans. Steps find their message by what it says, so that messages that are alike, under way at the same
//! time, share theirs in the order in which they came.
use super::parent::Parent;
use super::ring::{Exchange, fingerprint};
use super::underway::Underway;
use super::{SessionKey, Waypoint};
use crate::clock::{Stopwatch, seed};
use crate::types::{ClientId, Message, Now, QoS, TopicName};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpanKind {
    Connect,
    Publish,
    Commit,
    Deliver,
}

/// One step of a message or client, over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub kind: SpanKind,
    pub trace_id: u128,
    pub span_id: u64,
    /// The span that it belongs to, and whether that is another program's.
    pub parent: Option<(u64, bool)>,
    /// Microseconds since 1970.
    pub began_us: u64,
    pub ended_us: u64,
    pub client_id: ClientId,
    pub topic: Option<TopicName>,
    pub qos: Option<QoS>,
    /// Why it came to nothing.
    pub fault: Option<String>,
}

/// Takes what is over; `None` is a span that there was no room for. Called with a lock held: it must not wait.
pub type Sink = Box<dyn Fn(Option<Span>) + Send + Sync>;

/// Makes spans.
pub struct Spans {
    sink: Sink,
    /// Of all messages without a `traceparent`, and of all clients, this share has spans: out of 2^64.
    threshold: u64,
    next: AtomicU64,
    began: Stopwatch,
    began_at_us: u64,
    /// How many things under way have which fingerprint, roughly: most steps are of messages that have no span, and are
    /// done with a look at this.
    marks: Box<[AtomicU32]>,
    /// Users: whoever notes a step of a message that may have spans. Held for that step.
    underway: Mutex<Underway>,
}

const MARKS: usize = 8192;

impl std::fmt::Debug for Spans {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spans").field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

impl Spans {
    /// `sample_ratio` is from 0 to 1.
    pub fn new(sample_ratio: f64, now: Now, sink: Sink) -> Self {
        let threshold = if sample_ratio >= 1.0 { u64::MAX } else { (sample_ratio.max(0.0) * 2f64.powi(64)) as u64 };
        let marks = (0..MARKS).map(|_| AtomicU32::new(0)).collect();
        let (next, began) = (AtomicU64::new(seed()), Stopwatch::start());
        Self { sink, threshold, next, began, began_at_us: now.as_millis() * 1000, marks, underway: Mutex::default() }
    }

    pub(super) fn note(&self, session: Option<SessionKey>, client_id: &ClientId, message: &Message, step: Waypoint) {
        if let Waypoint::Received { qos, .. } = step {
            if let Some(parent) = self.sample(message) {
                let exchange = session.and_then(|session| step.begins(session));
                self.begin(parent, exchange, client_id, message, qos);
            }
            return;
        }
        let fingerprint = fingerprint(message);
        if self.mark(fingerprint).load(Ordering::Relaxed) == 0 {
            return;
        }
        let now_us = self.now_us();
        let mut underway = self.underway.lock();
        match step {
            Waypoint::Routed { qos, is_durable } => {
                let id = self.next_id();
                let is_room = underway.route(fingerprint, client_id, message, (qos, is_durable), id, now_us);
                self.told(is_room, fingerprint);
            }
            Waypoint::Refused { code } => underway.refuse(fingerprint, format!("{code:?}")),
            Waypoint::Stored { .. } => {
                let id = self.next_id();
                self.finish(underway.store(fingerprint, message, id, now_us));
            }
            Waypoint::Sent { .. } => {
                let exchange = session.and_then(|session| step.begins(session));
                let is_found = underway.send(fingerprint, client_id, exchange, now_us);
                if let Some(over) = is_found {
                    self.unmark(fingerprint);
                    self.finish(over);
                }
            }
            Waypoint::Dropped { reason } => {
                let id = self.next_id();
                let (was_routed, span) = underway.drop_delivery(fingerprint, client_id, message, (id, reason), now_us);
                if was_routed {
                    self.unmark(fingerprint);
                }
                self.finish(span);
            }
            Waypoint::Received { .. }
            | Waypoint::Connected
            | Waypoint::Disconnected
            | Waypoint::Answered { .. }
            | Waypoint::Acknowledged { .. } => {}
        }
    }

    pub(super) fn note_packet(&self, session: SessionKey, step: Waypoint) {
        let Some((exchange, is_last)) = step.names(session) else { return };
        let code = match step {
            Waypoint::Answered { code, .. } | Waypoint::Acknowledged { code, .. } => code,
            _ => return,
        };
        // What a publisher is promised, it has with PUBREC.
        let is_over = is_last || !exchange.is_outbound;
        let fault = code.is_failure().then(|| format!("{code:?}"));
        let over = self.underway.lock().end(exchange, is_over, fault, self.now_us());
        self.finish(over);
    }

    /// Notes that a client has its session; `since` is when its connection came.
    pub(crate) fn note_connect(&self, client_id: &ClientId, since: Now, now: Now) {
        let trace_id = self.new_trace();
        if !self.is_sampled(trace_id) {
            return;
        }
        (self.sink)(Some(Span {
            kind: SpanKind::Connect,
            trace_id,
            span_id: self.next_id(),
            parent: None,
            began_us: since.as_millis() * 1000,
            ended_us: now.as_millis() * 1000,
            client_id: client_id.clone(),
            topic: None,
            qos: None,
            fault: None,
        }));
    }

    /// The trace of a message, and the span before ours; `None` if it is not sampled.
    fn sample(&self, message: &Message) -> Option<(u128, Option<u64>)> {
        if let Some(parent) = Parent::of(message) {
            return parent.is_sampled.then_some((parent.trace_id, Some(parent.span_id)));
        }
        let trace_id = self.new_trace();
        self.is_sampled(trace_id).then_some((trace_id, None))
    }

    fn begin(
        &self,
        (trace_id, parent): (u128, Option<u64>),
        exchange: Option<Exchange>,
        client_id: &ClientId,
        message: &Message,
        qos: QoS,
    ) {
        let (fingerprint, now_us) = (fingerprint(message), self.now_us());
        let span = Span {
            kind: SpanKind::Publish,
            trace_id,
            span_id: self.next_id(),
            parent: parent.map(|parent| (parent, true)),
            began_us: now_us,
            ended_us: now_us,
            client_id: client_id.clone(),
            topic: Some(message.topic.detached()),
            qos: Some(qos),
            fault: None,
        };
        self.mark(fingerprint).fetch_add(1, Ordering::Relaxed);
        let begun = self.underway.lock().begin(fingerprint, span, exchange, now_us);
        begun.forgotten.into_iter().for_each(|fingerprint| self.unmark(fingerprint));
        (0..begun.lost).for_each(|_| (self.sink)(None));
        self.finish(begun.over);
    }

    fn finish(&self, span: Option<Span>) {
        if let Some(span) = span {
            (self.sink)(Some(span));
        }
    }

    fn told(&self, is_room: Option<bool>, fingerprint: u64) {
        match is_room {
            None => {}
            Some(true) => drop(self.mark(fingerprint).fetch_add(1, Ordering::Relaxed)),
            Some(false) => (self.sink)(None),
        }
    }

    fn mark(&self, fingerprint: u64) -> &AtomicU32 {
        let place = usize::try_from(fingerprint % MARKS as u64).expect("it is below 8192");
        self.marks.get(place).expect("there are as many marks")
    }

    fn unmark(&self, fingerprint: u64) {
        self.mark(fingerprint).fetch_sub(1, Ordering::Relaxed);
    }

    fn is_sampled(&self, trace_id: u128) -> bool {
        self.threshold == u64::MAX || (trace_id as u64) < self.threshold
    }

    fn new_trace(&self) -> u128 {
        u128::from(self.next_id()) << 64 | u128::from(self.next_id())
    }

    /// Never 0, which means none (splitmix64).
    fn next_id(&self) -> u64 {
        let state = self.next.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }

    fn now_us(&self) -> u64 {
        self.began_at_us + self.began.elapsed_us()
    }
}
