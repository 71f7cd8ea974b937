//! What happened, counted; each limit has its counter.
use super::drops::Drops;
use super::tracer::{Tracer, Waypoint};
use super::traffic::{Commits, Deliveries, Traffic};
use crate::session::{DropReason, Dropped};
use crate::types::{ClientId, TopicName};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident: $topic:literal),+ $(,)?) => {
        /// Counts since the start. Relaxed: each is right by itself.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)+
            /// Whose messages were dropped, for the log and the dead letters.
            pub drops: Drops,
            pub traffic: Traffic,
            pub commits: Commits,
            pub deliveries: Deliveries,
            /// Whoever follows messages, for all who pass them on.
            pub tracer: Arc<Tracer>,
        }

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
    /// Connections that got a session.
    connections_opened: "connections/opened",
    /// `limits.connections_max` was reached.
    connections_refused_total: "connections/refused/connections_max",
    /// `limits.connections_per_address_max` was reached.
    connections_refused_address: "connections/refused/connections_per_address_max",
    /// The address is kept out for its failed logins, or by an operator.
    connections_refused_banned: "connections/refused/banned",
    /// `abuse.address.connects_per_second_max` was reached.
    connections_refused_rate: "connections/refused/address_rate",
    /// `connections_max` of a listener was reached.
    connections_refused_listener: "connections/refused/listener_connections_max",
    /// `limits.tls_handshakes_max` was reached, and no handshake ended within `limits.connect_timeout_ms`.
    handshakes_refused: "connections/refused/tls_handshakes_max",
    /// TLS handshakes that failed: no common version, no or a wrong certificate, or no TLS at all.
    handshakes_failed: "connections/refused/tls",
    /// TLS or WebSocket handshakes, or PROXY headers, not finished within `limits.connect_timeout_ms`.
    handshakes_timed_out: "connections/refused/handshake_timeout",
    /// A PROXY header was missing or wrong, or came from an address that is not trusted.
    proxies_refused: "connections/refused/proxy",
    /// A WebSocket handshake was refused: its path, origin or subprotocol.
    upgrades_refused: "connections/refused/websocket",
    /// Files read again while running.
    reloads: "reload/done",
    /// Files that could not be used, so that what was there before stays in force.
    reloads_failed: "reload/failed",
    /// No CONNECT within `limits.connect_timeout_ms`.
    connect_timeouts: "connections/refused/connect_timeout",
    /// CONNECT was refused: malformed, not allowed, or beyond a limit.
    connects_refused: "connections/refused/connect",
    /// Clients that proved who they are.
    logins_accepted: "logins/accepted",
    /// Clients let in without a proof.
    logins_anonymous: "logins/anonymous",
    /// Re-authentications that went well.
    logins_renewed: "logins/renewed",
    /// Connections closed because what had proved the client was not valid any more.
    logins_expired: "logins/expired",
    /// Connections closed because a reload took the user away, or revoked the certificate.
    logins_withdrawn: "logins/withdrawn",
    logins_refused_no_proof: "logins/refused/no_proof",
    logins_refused_unknown_user: "logins/refused/unknown_user",
    logins_refused_no_password: "logins/refused/no_password",
    logins_refused_wrong_password: "logins/refused/wrong_password",
    logins_refused_user_name: "logins/refused/user_name",
    logins_refused_other_user: "logins/refused/other_user",
    logins_refused_token: "logins/refused/token",
    logins_refused_token_time: "logins/refused/token_time",
    logins_refused_service: "logins/refused/service",
    logins_refused_service_failed: "logins/refused/service_failed",
    logins_refused_method: "logins/refused/method",
    logins_refused_exchange: "logins/refused/exchange",
    /// `authentication.queued_logins_max`, or an authenticator's own, was reached.
    logins_refused_busy: "logins/refused/busy",
    /// The user is kept out from this address for logins that failed.
    logins_refused_banned: "logins/refused/banned",
    /// Addresses, and users from one address, kept out for failed logins.
    bans: "logins/bans",
    /// Reads put off because a rate of `[abuse]` was reached.
    reads_paused_rate: "reads/paused/rate",
    /// Times that `memory.slow_publishers_at_mib` was reached.
    memory_shortages: "memory/shortages",
    /// A connection took the Client Identifier of another.
    takeovers: "connections/takeovers",
    /// A client connects too often, by the rate of its user or its own, or as it comes and goes all the time.
    connects_refused_rate: "connections/refused/client_rate",
    /// `memory.refuse_connects_at_mib` was reached.
    connects_refused_memory: "connections/refused/memory",
    /// The session of another user was asked for.
    connects_refused_owner: "connections/refused/session_owner",
    /// Connections closed for a breach of the protocol or of a limit.
    violations: "connections/closed/violation",
    keep_alive_timeouts: "connections/closed/keep_alive",
    /// `limits.write_stall_timeout_ms` passed.
    write_stalls: "connections/closed/write_stall",
    publishes_received: "publish/received",
    deliveries_sent: "publish/sent",
    /// Publishes that the access rules do not allow.
    publishes_denied: "publish/denied",
    /// Wills that the access rules do not allow, at CONNECT or when they were due.
    wills_denied: "publish/wills_denied",
    /// `queued_messages_max` or `queued_bytes_max` of a session was reached: deliveries not taken.
    dropped_queue_full: "publish/dropped/queue_full",
    /// `limits.mailbox_messages_max` or `mailbox_bytes_max` was reached: QoS 0 deliveries not taken.
    dropped_mailbox_full: "publish/dropped/mailbox_full",
    /// A limit of a `[[queue.filter]]` was reached: deliveries not taken.
    dropped_filter_full: "publish/dropped/filter_full",
    /// `queue.age_s_max`, or that of a `[[queue.filter]]`, had passed before they were sent.
    dropped_aged: "publish/dropped/aged",
    /// Message Expiry Interval had passed before they were sent.
    dropped_expired: "publish/dropped/expired",
    dropped_too_large: "publish/dropped/too_large",
    /// The access rules had changed since they were queued.
    dropped_forbidden: "publish/dropped/forbidden",
    /// Publishes refused to their publishers because no target had room.
    publishes_refused: "publish/refused/queue_full",
    /// Publishes refused because the disk is full.
    publishes_refused_disk: "publish/refused/disk_full",
    /// Publishes refused because they are for too many durable sessions.
    publishes_refused_targets: "publish/refused/too_many_targets",
    /// Publishes refused because they, with all durable sessions they are for, are too large for the store.
    publishes_refused_record: "publish/refused/record_too_large",
    /// Copies of dropped messages, made where somebody subscribed to them.
    dead_letters: "dead_letters/published",
    /// Dropped messages without a copy, as there were too many at once.
    dead_letters_left_out: "dead_letters/left_out",
    /// Drops that the log told of without the session, as there were too many sessions in one minute.
    drops_unnamed: "drop_log/unnamed",
    /// `retained_messages_max` or `retained_bytes_max` was reached.
    retained_refused: "retained/refused",
    /// `subscriptions_per_session_max` and other limits on subscriptions.
    subscriptions_refused: "subscriptions/refused",
    /// `subscriptions_per_second_max` of `[abuse]` was reached.
    subscriptions_refused_rate: "subscriptions/refused_rate",
    /// Subscriptions that the access rules do not allow.
    subscriptions_denied: "subscriptions/denied",
    /// Subscriptions that the access rules allowed once, and no longer do.
    subscriptions_revoked: "subscriptions/revoked",
    /// Spans that a collector took.
    spans_sent: "traces/spans/sent",
    /// Spans there was no room for, or that no collector took.
    spans_dropped: "traces/spans/dropped",
    sessions_expired: "sessions/expired",
    /// Groups made durable, each with one sync or a few.
    groups: "vow/groups",
    /// Records in them.
    group_records: "vow/group/records",
    /// Bytes of the delivery log that they took.
    group_bytes: "vow/group/bytes",
    /// Pieces of the data directory that this start gave up as damaged. Above 0 somebody should look.
    pieces_salvaged: "vow/salvaged",
}

impl Counters {
    pub(super) fn new(drops: Drops) -> Self {
        Self { drops, ..Self::default() }
    }

    /// Counts what a session gave up, and keeps it to be told.
    pub fn dropped(&self, client_id: &ClientId, dropped: Vec<Dropped>) {
        if dropped.is_empty() {
            return;
        }
        for dropped in &dropped {
            self.by_reason(dropped.reason).add(1);
            if self.tracer.is_on() {
                self.tracer.note(client_id, &dropped.message, Waypoint::Dropped { reason: dropped.reason.name() });
            }
        }
        self.dead_letters_left_out.add(self.drops.note_all(client_id, dropped));
    }

    /// Counts the deliveries of one message that were not taken at routing. Their dead letters are made there.
    pub(super) fn not_taken<'c>(
        &self,
        missed: impl Iterator<Item = (DropReason, &'c ClientId)> + Clone,
        topic: &TopicName,
    ) {
        missed.clone().for_each(|(reason, _)| self.by_reason(reason).add(1));
        self.drops.note_each(missed.map(|(reason, client_id)| (reason.name(), client_id)), topic);
    }

    /// Deliveries that were given up, for whatever reason.
    pub fn dropped_in_all(&self) -> u64 {
        let dropped = [
            &self.dropped_queue_full,
            &self.dropped_mailbox_full,
            &self.dropped_filter_full,
            &self.dropped_aged,
            &self.dropped_expired,
            &self.dropped_too_large,
        ];
        dropped.into_iter().map(Counter::value).sum()
    }

    fn by_reason(&self, reason: DropReason) -> &Counter {
        match reason {
            DropReason::QueueFull => &self.dropped_queue_full,
            DropReason::FilterFull => &self.dropped_filter_full,
            DropReason::Aged => &self.dropped_aged,
            DropReason::Expired => &self.dropped_expired,
            DropReason::TooLarge => &self.dropped_too_large,
            DropReason::Forbidden => &self.dropped_forbidden,
        }
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
