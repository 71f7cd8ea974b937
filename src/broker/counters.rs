//! What happened, counted; each limit has its counter.
use crate::session::Dropped;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $topic:literal),+ $(,)?) => {
        /// Counts since the start. Relaxed: each is right by itself.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),+ }

        impl Counters {
            /// Every counter with its name below `$SYS/broker/`.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($topic, self.$name.value())),+].into_iter()
            }
        }
    };
}

counters! {
    connections_accepted: "connections/accepted",
    /// `limits.connections_max` was reached.
    connections_refused_total: "connections/refused/connections_max",
    /// `limits.connections_per_address_max` was reached.
    connections_refused_address: "connections/refused/connections_per_address_max",
    /// No CONNECT within `limits.connect_timeout_ms`.
    connect_timeouts: "connections/refused/connect_timeout",
    /// CONNECT was refused: malformed, not allowed, or beyond a limit.
    connects_refused: "connections/refused/connect",
    /// A connection took the Client Identifier of another.
    takeovers: "connections/takeovers",
    /// Connections closed for a breach of the protocol or of a limit.
    violations: "connections/closed/violation",
    keep_alive_timeouts: "connections/closed/keep_alive",
    /// `limits.write_stall_timeout_ms` passed.
    write_stalls: "connections/closed/write_stall",
    publishes_received: "publish/received",
    deliveries_sent: "publish/sent",
    /// Publishes to a topic that clients may not publish to.
    publishes_denied: "publish/denied",
    /// `queued_messages_max` or `queued_bytes_max` of a session was reached: deliveries not taken.
    dropped_queue_full: "publish/dropped/queue_full",
    /// `limits.mailbox_messages_max` or `mailbox_bytes_max` was reached: QoS 0 deliveries not taken.
    dropped_mailbox_full: "publish/dropped/mailbox_full",
    dropped_expired: "publish/dropped/expired",
    dropped_too_large: "publish/dropped/too_large",
    /// Publishes refused to their publishers because no target had room.
    publishes_refused: "publish/refused/queue_full",
    /// Publishes refused because the disk is full.
    publishes_refused_disk: "publish/refused/disk_full",
    /// `retained_messages_max` or `retained_bytes_max` was reached.
    retained_refused: "retained/refused",
    /// `subscriptions_per_session_max` and other limits on subscriptions.
    subscriptions_refused: "subscriptions/refused",
    sessions_expired: "sessions/expired",
    /// Groups made durable, each with one sync or a few.
    groups: "vow/groups",
    /// Records in them.
    group_records: "vow/group/records",
    /// Pieces of the data directory that this start gave up as damaged. Above 0 somebody should look.
    pieces_salvaged: "vow/salvaged",
}

impl Counters {
    pub fn dropped(&self, dropped: Dropped) {
        self.dropped_expired.add(dropped.expired);
        self.dropped_too_large.add(dropped.too_large);
        self.dropped_queue_full.add(dropped.queue_full);
    }
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
