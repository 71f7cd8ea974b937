//! QoS 2 identifiers that a client has opened, and the count of its unacknowledged publishes.
use crate::types::{PacketId, Rare, ReasonCode, Violation};
use std::collections::BTreeMap;

/// The identifiers survive the connection; the count against Receive Maximum does not (5.0 section 4.9).
#[derive(Debug, Clone, Default)]
pub(super) struct Inbound {
    /// Received and not yet released [MQTT-4.3.3-10]; the flag says whether it counts in this connection.
    open: Rare<BTreeMap<PacketId, bool>>,
    unacknowledged: u16,
}

/// How a QoS 2 PUBLISH stands to the identifiers already open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    Again,
}

impl Inbound {
    /// Identifiers that were open before a restart.
    pub fn restored(ids: impl IntoIterator<Item = PacketId>) -> Self {
        let mut inbound = Self::default();
        for id in ids {
            inbound.open.edit().insert(id, false);
        }
        inbound
    }

    pub fn is_open(&self, id: PacketId) -> bool {
        self.open.get().is_some_and(|open| open.contains_key(&id))
    }

    /// Identifiers received and not yet released.
    pub fn open_ids(&self) -> impl Iterator<Item = PacketId> {
        self.open.get().into_iter().flat_map(BTreeMap::keys).copied()
    }

    pub fn open_count(&self) -> u64 {
        self.open.get().map_or(0, BTreeMap::len) as u64
    }

    /// Whether an exchange that began on this connection is not finished.
    pub fn is_under_way(&self) -> bool {
        self.open.get().is_some_and(|open| open.values().any(|counts| *counts))
    }

    /// A QoS 1 PUBLISH arrived; `receive_max` is `None` for clients that know no Receive Maximum.
    pub fn begin_qos1(&mut self, receive_max: Option<u16>) -> Result<(), Violation> {
        self.count(receive_max)
    }

    pub fn finish_qos1(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
    }

    pub fn begin_qos2(&mut self, id: PacketId, receive_max: Option<u16>) -> Result<Arrival, Violation> {
        let before = self.open.get().and_then(|open| open.get(&id)).copied();
        if before != Some(true) {
            self.count(receive_max)?;
            self.open.edit().insert(id, true);
        }
        Ok(if before.is_some() { Arrival::Again } else { Arrival::New })
    }

    /// PUBREL, or a refusal of the message; false if the identifier was not open.
    pub fn release(&mut self, id: PacketId) -> bool {
        let found = self.open.get_mut().and_then(|open| open.remove(&id));
        if found == Some(true) {
            self.unacknowledged = self.unacknowledged.saturating_sub(1);
        }
        found.is_some()
    }

    /// The connection ended: a new one counts from zero.
    pub fn disconnected(&mut self) {
        self.unacknowledged = 0;
        self.open.get_mut().into_iter().flat_map(BTreeMap::values_mut).for_each(|counts| *counts = false);
    }

    // [MQTT-3.3.4-7], [MQTT-4.9.0-2] (5.0)
    fn count(&mut self, receive_max: Option<u16>) -> Result<(), Violation> {
        if receive_max.is_some_and(|max| self.unacknowledged >= max) {
            let why = "more QoS 1 and 2 publishes are unacknowledged than Receive Maximum allows";
            return Err(Violation::new(ReasonCode::ReceiveMaximumExceeded, "MQTT-3.3.4-7", why));
        }
        self.unacknowledged = self.unacknowledged.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: u16) -> PacketId {
        PacketId::new(value).unwrap()
    }

    #[test]
    fn a_repeated_identifier_is_told_from_a_new_one_until_it_is_released() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.begin_qos2(id(1), Some(2)), Ok(Arrival::New));
        assert_eq!(inbound.begin_qos2(id(1), Some(2)), Ok(Arrival::Again), "[MQTT-4.3.3-10]");
        assert!(inbound.release(id(1)));
        assert!(!inbound.release(id(1)));
        assert_eq!(inbound.begin_qos2(id(1), Some(2)), Ok(Arrival::New), "[MQTT-4.3.3-12]");
    }

    #[test]
    fn receive_maximum_counts_repeats_once_and_starts_anew_with_each_connection() {
        let mut inbound = Inbound::default();
        inbound.begin_qos1(Some(2)).unwrap();
        inbound.begin_qos2(id(1), Some(2)).unwrap();
        inbound.begin_qos2(id(1), Some(2)).unwrap();
        let violation = inbound.begin_qos2(id(2), Some(2)).unwrap_err();
        assert_eq!(violation.reason, ReasonCode::ReceiveMaximumExceeded, "[MQTT-3.3.4-7]");
        assert!(!inbound.is_open(id(2)), "a message that was not taken leaves no identifier behind");
        inbound.disconnected();
        assert_eq!(inbound.begin_qos2(id(1), Some(2)), Ok(Arrival::Again), "the identifier outlives the connection");
    }
}
