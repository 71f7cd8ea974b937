//! The line of deliveries as an operator sees it.
use super::{Entry, Outbound};
use crate::session::{InHand, Span, Stage};
use crate::types::{Now, PacketId, QoS};

impl Outbound {
    /// The unfinished deliveries in memory from `span.from` on, and the position to go on from: the first on the shelf,
    /// or the first that did not fit; `None` if there is nothing more.
    pub fn look(&self, span: Span) -> (Vec<InHand>, Option<u64>) {
        let mut found = Vec::new();
        let first = self.entries.partition_point(|(position, _)| *position < span.from);
        for (position, entry) in self.entries.range(first..) {
            let position = *position;
            let in_hand = match entry {
                Entry::Waiting(delivery) => InHand::new(position, Stage::Queued).with(delivery.clone()),
                Entry::Sent(delivery) => InHand::new(position, awaited(delivery.qos)).with(delivery.clone()),
                Entry::Received => InHand::new(position, Stage::AwaitingPubComp),
                Entry::Done => continue,
            };
            if found.len() >= span.at_most {
                return (found, Some(position));
            }
            found.push(self.timed(in_hand));
        }
        let next = self.is_shelved().then(|| self.loaded_end.max(span.from));
        (found, next.filter(|next| *next < self.shelf_end()))
    }

    /// When those from a position on were sent last, and how often again.
    pub fn sendings_from(&self, from: u64, at_most: usize) -> Vec<(u64, Now, u16)> {
        self.sendings.from(from).take(at_most).collect()
    }

    fn timed(&self, mut in_hand: InHand) -> InHand {
        if let Some(sending) = self.sendings.of(in_hand.position) {
            in_hand.since = Some(sending.since);
            in_hand.resent = sending.resent;
        }
        if in_hand.stage != Stage::Queued {
            in_hand.packet_id = Some(PacketId::of_position(in_hand.position));
        }
        in_hand
    }

    /// What is due for the deliveries sent on this connection: PUBACK, PUBREC or PUBCOMP.
    pub fn awaited_counts(&self) -> [u64; 3] {
        let awaiting_puback = self.in_flight - self.awaiting_pubrec - self.awaiting_pubcomp;
        [awaiting_puback, self.awaiting_pubrec, self.awaiting_pubcomp].map(u64::from)
    }

    /// Deliveries sent on this connection and not finished.
    pub fn in_flight(&self) -> u64 {
        u64::from(self.in_flight)
    }
}

/// What an entry that was sent adds to those that await PUBREC, and PUBCOMP.
pub(super) fn awaited_counts(entry: &Entry) -> (u16, u16) {
    match entry {
        Entry::Sent(delivery) => (u16::from(delivery.qos == QoS::ExactlyOnce), 0),
        Entry::Received => (0, 1),
        Entry::Waiting(_) | Entry::Done => (0, 0),
    }
}

/// What is due for a PUBLISH that was sent.
pub(in crate::session) fn awaited(qos: QoS) -> Stage {
    match qos {
        QoS::ExactlyOnce => Stage::AwaitingPubRec,
        QoS::AtMostOnce | QoS::AtLeastOnce => Stage::AwaitingPubAck,
    }
}
