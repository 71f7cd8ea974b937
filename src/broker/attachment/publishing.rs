//! What a connection takes beside for a client that publishes: most only listen.
use crate::broker::{Broker, ByQoS, Publisher, Slot, place};
use crate::session::Publication;

#[derive(Debug)]
pub(super) struct Publishing {
    pub publisher: Publisher,
    /// PUBLISHes of this connection by QoS, in all, and those of them that the broker's counters have.
    received: ByQoS,
    counted: ByQoS,
    /// Bytes of payloads that the broker's counters do not have.
    payload_bytes: u64,
    /// Those of the PUBLISHes that the rates of the client have counted.
    charged: u64,
}

impl Publishing {
    /// That of a connection; made if it is the first time.
    pub fn of<'a>(held: &'a mut Option<Box<Self>>, slot: &Slot, broker: &Broker) -> &'a mut Self {
        held.get_or_insert_with(|| {
            let publisher = Publisher::new(Some(slot.key), broker.seed ^ slot.key.0);
            let (received, counted) = (ByQoS::default(), ByQoS::default());
            Box::new(Self { publisher, received, counted, payload_bytes: 0, charged: 0 })
        })
    }

    pub fn received(&self) -> ByQoS {
        self.received
    }

    pub fn count(&mut self, publication: &Publication) {
        if let Some(count) = self.received.get_mut(place(publication.qos.level())) {
            *count += 1;
        }
        self.payload_bytes += publication.message.payload.len() as u64;
    }

    /// PUBLISHes since the last call, and the bytes of their payloads.
    pub fn take_counts(&mut self) -> Option<(ByQoS, u64)> {
        if self.received == self.counted {
            return None;
        }
        let mut fresh = self.received;
        fresh.iter_mut().zip(self.counted).for_each(|(count, before)| *count -= before);
        self.counted = self.received;
        Some((fresh, std::mem::take(&mut self.payload_bytes)))
    }

    /// How many PUBLISHes there were since the last call.
    pub fn take_charge(&mut self) -> u64 {
        let received: u64 = self.received.iter().sum();
        received - std::mem::replace(&mut self.charged, received)
    }
}
