//! Where messages go: traces that an operator asks for, one for each who follows.
//!
//! Off, it costs one relaxed load where something could be noted. On, every step that a trace wants takes a lock; each
//! trace keeps a bounded ring of steps, so that one who does not read misses some, and is told how many. Spans are made
//! of the same steps.
mod follow;
mod parent;
mod ring;
mod spans;
mod underway;
mod wanted;

pub use ring::{Event, Steps, Trace};
pub use spans::{Sink, Span, SpanKind, Spans};
pub use wanted::Wanted;

use crate::types::{ClientId, Message, PacketId, QoS, ReasonCode, SessionKey};
use parking_lot::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Traces at once.
const TRACES_MAX: usize = 8;

#[derive(Debug, Default)]
pub struct Tracer {
    is_on: AtomicBool,
    /// Users: operators (to begin and end one), whoever notes a step while one is on (to read). Held for that step.
    traces: RwLock<Vec<Arc<Trace>>>,
    /// Once they are set, every message is looked at.
    spans: OnceLock<Spans>,
}

/// What happens to a message, or to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waypoint {
    Connected,
    Disconnected,
    /// A PUBLISH came from the client.
    Received {
        packet_id: Option<PacketId>,
        qos: QoS,
        retain: bool,
    },
    /// It was not taken, or (No matching subscribers) nobody wanted it.
    Refused {
        code: ReasonCode,
    },
    /// It is for this client.
    Routed {
        qos: QoS,
        is_durable: bool,
    },
    /// It is on disk in this client's queue.
    Stored {
        position: u64,
    },
    /// Its PUBLISH left for this client.
    Sent {
        packet_id: Option<PacketId>,
        qos: QoS,
        dup: bool,
    },
    /// An answer or a PUBREL left for this client.
    Answered {
        packet: &'static str,
        packet_id: PacketId,
        code: ReasonCode,
    },
    /// An acknowledgement or a PUBREL came from this client.
    Acknowledged {
        packet: &'static str,
        packet_id: PacketId,
        code: ReasonCode,
    },
    /// This client does not get it.
    Dropped {
        reason: &'static str,
    },
}

/// Stops its trace when dropped.
#[derive(Debug)]
pub struct Following {
    tracer: Arc<Tracer>,
    pub trace: Arc<Trace>,
}

impl Tracer {
    /// Whether anybody follows anything.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Makes spans from now on, until the process ends.
    pub fn span(&self, spans: Spans) {
        // The first ones stand: there is one who gathers them.
        let _ = self.spans.set(spans);
        self.is_on.store(true, Ordering::Relaxed);
    }

    pub(super) fn spans(&self) -> Option<&Spans> {
        self.spans.get()
    }

    /// Begins a trace; `None` if there are too many already.
    pub fn follow(self: &Arc<Self>, wanted: Wanted, with_payloads: bool) -> Option<Following> {
        let mut traces = self.traces.write();
        if traces.len() >= TRACES_MAX {
            return None;
        }
        let trace = Arc::new(Trace::new(wanted, with_payloads));
        traces.push(trace.clone());
        self.is_on.store(true, Ordering::Relaxed);
        Some(Following { tracer: self.clone(), trace })
    }

    /// Notes a step of a message.
    pub(super) fn note(&self, client_id: &ClientId, message: &Message, step: Waypoint) {
        for trace in self.traces.read().iter() {
            trace.note(None, client_id, message, step);
        }
        if let Some(spans) = self.spans() {
            spans.note(None, client_id, message, step);
        }
    }

    /// Notes a step that later steps of the same exchange refer to by its Packet Identifier.
    pub(super) fn note_exchange(&self, session: SessionKey, client_id: &ClientId, message: &Message, step: Waypoint) {
        for trace in self.traces.read().iter() {
            trace.note(Some(session), client_id, message, step);
        }
        if let Some(spans) = self.spans() {
            spans.note(Some(session), client_id, message, step);
        }
    }

    /// Notes that a packet named an exchange, if a trace knows of it.
    pub(super) fn note_packet(&self, session: SessionKey, client_id: &ClientId, step: Waypoint) {
        for trace in self.traces.read().iter() {
            trace.note_packet(session, client_id, step);
        }
        if let Some(spans) = self.spans() {
            spans.note_packet(session, step);
        }
    }

    /// Notes that a client came or went.
    pub(super) fn note_client(&self, client_id: &ClientId, step: Waypoint) {
        for trace in self.traces.read().iter() {
            trace.note_client(client_id, step);
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut traces = self.tracer.traces.write();
        traces.retain(|trace| !Arc::ptr_eq(trace, &self.trace));
        self.tracer.is_on.store(!traces.is_empty() || self.tracer.spans().is_some(), Ordering::Relaxed);
    }
}
