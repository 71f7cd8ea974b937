//! Leaving the house in order: nobody new is let in, and those who are there are sent elsewhere once what is under way
//! with them has come to its end.
use super::{Broker, Slot};
use crate::packet::{Disconnect, DisconnectProperties, Packet, Version};
use crate::session::Close;
use crate::types::{Now, ReasonCode, Text, Violation};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where clients are sent, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Whether they are to go there from now on (0x9D), or just for now (0x9C).
    pub is_for_good: bool,
    /// Another broker's address, as MQTT 5.0 clients are told it.
    pub server_reference: Option<Text>,
    /// How long exchanges under way may take.
    pub grace_ms: u64,
}

/// Whether the broker is being drained.
#[derive(Debug, Default)]
pub struct Draining {
    is_on: AtomicBool,
    /// Users: operators (to write), connections that open or close meanwhile (to read).
    drain: RwLock<Option<Arc<Drain>>>,
}

impl Drain {
    pub fn code(&self) -> ReasonCode {
        if self.is_for_good { ReasonCode::ServerMoved } else { ReasonCode::UseAnotherServer }
    }
}

impl Draining {
    /// What is in force; one relaxed load if nothing is.
    pub fn drain(&self) -> Option<Arc<Drain>> {
        if self.is_on.load(Ordering::Relaxed) { self.drain.read().clone() } else { None }
    }

    pub fn begin(&self, drain: Drain) {
        *self.drain.write() = Some(Arc::new(drain));
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// Lets clients in again.
    pub fn end(&self) {
        self.is_on.store(false, Ordering::Relaxed);
        *self.drain.write() = None;
    }

    /// Why a CONNECT is refused meanwhile.
    pub(super) fn refusal(&self) -> Option<Violation> {
        let drain = self.drain()?;
        Some(Violation::new(drain.code(), "MQTT-3.1.4-2", "this broker is being drained; use another one"))
    }

    /// Tells a client where to go, if this is why its connection is closed.
    pub(super) fn refer(&self, close: &Close, farewell: Option<Packet>, packet_bytes_max: usize) -> Option<Packet> {
        let reference = match close {
            Close::Administrative(ReasonCode::UseAnotherServer | ReasonCode::ServerMoved) => {
                self.drain().and_then(|drain| drain.server_reference.clone())
            }
            _ => None,
        };
        let (Some(Packet::Disconnect(disconnect)), Some(server_reference)) = (&farewell, reference) else {
            return farewell;
        };
        let properties =
            DisconnectProperties { server_reference: Some(server_reference), ..DisconnectProperties::default() };
        let referring =
            Packet::Disconnect(Disconnect { code: disconnect.code, properties: Some(Box::new(properties)) });
        let fits = crate::codec::packet_len(&referring, Version::V5).is_ok_and(|length| length <= packet_bytes_max);
        if fits { Some(referring) } else { farewell }
    }
}

/// What a connection is asked to do when it is to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leave {
    pub code: ReasonCode,
    /// When it goes whatever is under way.
    pub at: Now,
}

impl Slot {
    /// Asks the connection to leave once nothing is under way. False if there is none, or it was asked already.
    fn ask_to_leave(&self, leave: Leave) -> bool {
        let mut inbox = self.lock();
        if !self.is_live() || self.is_leaving.load(Ordering::Relaxed) {
            return false;
        }
        self.is_leaving.store(true, Ordering::Relaxed);
        inbox.errands.edit().leave = Some(leave);
        inbox.wake_owner();
        true
    }
}

impl Broker {
    /// Asks some more connections to leave. Returns how many were asked, and how many are still there.
    pub fn drain_some(&self, at_most: usize, now: Now) -> (usize, usize) {
        let Some(drain) = self.draining.drain() else { return (0, 0) };
        let leave = Leave { code: drain.code(), at: now.plus_millis(drain.grace_ms) };
        let (mut asked, mut there) = (0, 0);
        for entry in &self.registry {
            if entry.value().is_live() {
                there += 1;
                if asked < at_most && entry.value().ask_to_leave(leave) {
                    asked += 1;
                }
            }
        }
        (asked, there)
    }
}
