//! Keep Alive (section 3.1.2.10) and the last packet of a connection.
use crate::packet::{Disconnect, DisconnectProperties, Packet};
use crate::types::{Now, ReasonCode, Text};
use std::num::NonZeroU32;

/// One and a half keep-alive periods from the client's last packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepAlive {
    /// Milliseconds of silence that end the connection; `None` is off.
    patience_ms: Option<NonZeroU32>,
    last_packet: Now,
}

impl KeepAlive {
    /// `keep_alive_s` of 0 is off.
    pub fn new(keep_alive_s: u16, now: Now) -> Self {
        Self { patience_ms: NonZeroU32::new(u32::from(keep_alive_s) * 1500), last_packet: now }
    }

    pub fn restart(&mut self, now: Now) {
        self.last_packet = now;
    }

    pub fn deadline(&self) -> Option<Now> {
        self.patience_ms.map(|patience_ms| self.last_packet.plus_millis(patience_ms.get().into()))
    }

    pub fn is_over(&self, now: Now) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
    }
}

/// A DISCONNECT with a Reason String if the client's Maximum Packet Size has room for it [MQTT-3.14.2-3].
pub(super) fn farewell(code: ReasonCode, why: Option<&'static str>, packet_bytes_max: usize) -> Packet {
    /// Fixed header, code, property length, property identifier and string length, each at its longest.
    const OVERHEAD: usize = 12;
    let mut disconnect = Disconnect::new(code);
    if let Some(why) = why.filter(|why| why.len() + OVERHEAD <= packet_bytes_max) {
        let mut properties = DisconnectProperties::default();
        properties.diagnostics.reason_string = Some(Text::from_static(why));
        disconnect.properties = Some(Box::new(properties));
    }
    Packet::Disconnect(disconnect)
}
