//! What is written so that a crash loses nothing that was acknowledged.
use crate::packet::{SubscriptionOptions, Will};
use crate::types::{
    ClientId, Identity, Message, Now, PacketId, QoS, SessionKey, SubscriptionIds, TopicFilter, TopicName,
};
use smallvec::SmallVec;
use std::sync::Arc;

/// Queue positions are at most this: at a million a second, for a hundred thousand years.
pub const POSITIONS_MAX: u64 = 1 << 62;

/// One change to the durable state. Every record carries its decision, so that applying it twice changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    SessionBegun {
        session: SessionKey,
        client_id: ClientId,
        is_v5: bool,
    },
    /// Whom the session belongs to, as it was known at the last CONNECT. Sessions begun before this was kept have none.
    SessionOwned {
        session: SessionKey,
        owner: Arc<Identity>,
    },
    /// The client connected; until it leaves, the connection counts as open, and as broken after a crash.
    SessionAttached {
        session: SessionKey,
        expiry_s: u32,
        will: Option<Box<Will>>,
    },
    /// The connection ended. Deadlines are absolute; `None` is never. Positions below `sent_below` may have been sent.
    SessionParked {
        session: SessionKey,
        expires_at: Option<Now>,
        will_at: Option<Now>,
        sent_below: u64,
    },
    SessionEnded {
        session: SessionKey,
    },
    Subscribed {
        session: SessionKey,
        filter: TopicFilter,
        options: SubscriptionOptions,
        id: Option<u32>,
    },
    Unsubscribed {
        session: SessionKey,
        filter: TopicFilter,
    },
    /// Retained messages are on their way to a subscription: those of topics up to `after` are in the queue.
    ScanAt {
        session: SessionKey,
        filter: TopicFilter,
        after: Option<TopicName>,
    },
    /// All of them are, or need not be any more.
    ScanOver {
        session: SessionKey,
        filter: TopicFilter,
    },
    Published {
        message: Arc<Message>,
        /// The publisher's session and QoS 2 identifier, if both are to be remembered.
        inbound: Option<(SessionKey, PacketId)>,
        /// Whether the message becomes, or with an empty payload removes, its topic's retained message.
        is_retained: bool,
        targets: Targets,
    },
    /// The deliveries at `count` positions from this one on are finished or given up.
    Done {
        session: SessionKey,
        position: u64,
        count: u16,
    },
    /// PUBREC came for `count` positions from this one on.
    Received {
        session: SessionKey,
        position: u64,
        count: u16,
    },
    /// A QoS 2 identifier is open, whose message has been dealt with long ago; written with an image only.
    InboundOpen {
        session: SessionKey,
        id: PacketId,
    },
    /// PUBREL came for `count` identifiers from this one on.
    InboundReleased {
        session: SessionKey,
        id: PacketId,
        count: u16,
    },
}

/// The sessions that a message is for: one, most of the time, and that takes no memory of its own.
pub type Targets = SmallVec<[Target; 1]>;

impl Record {
    /// The delivery at one position is finished or given up.
    pub fn done(session: SessionKey, position: u64) -> Self {
        Self::Done { session, position, count: 1 }
    }

    /// PUBREC came for one position.
    pub fn received(session: SessionKey, position: u64) -> Self {
        Self::Received { session, position, count: 1 }
    }

    /// PUBREL came for one identifier.
    pub fn inbound_released(session: SessionKey, id: PacketId) -> Self {
        Self::InboundReleased { session, id, count: 1 }
    }

    /// Takes a record that is of the same kind and goes on where this one ends into this one. Clients acknowledge what
    /// they got together in one go, and that should be one record.
    pub fn join(&mut self, next: &Self) -> bool {
        let (count, begins_at_end, more) = match (&mut *self, next) {
            (Self::Done { session, position, count }, Self::Done { session: of, position: from, count: more })
            | (
                Self::Received { session, position, count },
                Self::Received { session: of, position: from, count: more },
            ) => {
                let end = position.saturating_add(u64::from(*count));
                (count, session == of && *from == end, *more)
            }
            (
                Self::InboundReleased { session, id, count },
                Self::InboundReleased { session: of, id: from, count: more },
            ) => {
                let end = u32::from(id.value()) + u32::from(*count);
                (count, session == of && u32::from(from.value()) == end, *more)
            }
            _ => return false,
        };
        let Some(sum) = count.checked_add(more).filter(|_| begins_at_end) else { return false };
        *count = sum;
        true
    }
}

/// One durable session that a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub session: SessionKey,
    pub position: u64,
    pub qos: QoS,
    pub retain: bool,
    pub subscription_ids: SubscriptionIds,
    /// The shared subscription it came by.
    pub share: Option<Arc<TopicFilter>>,
    /// When it is given up, if it was not sent; `None` is never.
    pub give_up_at: Option<Now>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: SessionKey = SessionKey(7);

    #[test]
    fn neighbours_of_one_session_become_one_record() {
        let mut done = Record::done(OURS, 5);
        assert!(done.join(&Record::done(OURS, 6)) && done.join(&Record::Done { session: OURS, position: 7, count: 3 }));
        assert_eq!(done, Record::Done { session: OURS, position: 5, count: 5 });
        let strangers = [
            Record::done(OURS, 9),
            Record::done(OURS, 11),
            Record::done(SessionKey(8), 10),
            Record::received(OURS, 10),
            Record::SessionEnded { session: OURS },
        ];
        for stranger in strangers {
            assert!(!done.join(&stranger), "{stranger:?}");
        }
        let mut long = Record::Received { session: OURS, position: 1, count: u16::MAX };
        assert!(!long.join(&Record::received(OURS, 1 + u64::from(u16::MAX))));
    }

    #[test]
    fn identifiers_that_come_round_are_no_neighbours() {
        let id = |value| PacketId::new(value).expect("not 0");
        let mut released = Record::inbound_released(OURS, id(65_534));
        assert!(released.join(&Record::inbound_released(OURS, id(65_535))));
        assert!(!released.join(&Record::inbound_released(OURS, id(1))));
        assert_eq!(released, Record::InboundReleased { session: OURS, id: id(65_534), count: 2 });
    }
}
