//! One connection's hold on its session: everything about it but the socket.
//!
//! The server feeds packets, time and wake-ups in, and writes what gathers in [`Attachment::output`].
mod authentication;
mod desk;
mod pending;
mod publishing;
mod rate;
mod review;
mod scanning;
mod shown;
mod subscribing;

use super::access::Guard;
use super::committer::Batch;
use super::loads::{Load, shelved};
use super::slot::{Errands, Place, wake_all};
use super::{Broker, ByQoS, Origin, Slot, Waypoint, lead};
use crate::access::Subject;
use crate::packet::{Packet, PublishQoS, Version};
use crate::session::{Ask, Cause, Close, Ended, Outcome, Outgoing, Publication, Session, UnderWay};
use crate::types::{CommitSeq, Identity, Message, Now, Rare, ReasonCode, Stamp, TopicFilter, Violation};
use desk::{Desk, Tools};
use pending::Pending;
use publishing::Publishing;
use rate::Pace;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::task::{Context, Poll};

#[derive(Debug)]
pub struct Attachment {
    broker: Arc<Broker>,
    slot: Arc<Slot>,
    session: Session,
    identity: Arc<Identity>,
    /// What the client may do.
    guard: Guard,
    /// Made when the client publishes: most only listen.
    publishing: Option<Box<Publishing>>,
    desk: Desk,
    pending: Rare<Pending>,
    /// Bytes of deliveries that the session holds in memory though the store has them, as last told.
    held_bytes: u64,
    /// The last read brought messages that the store keeps.
    is_publisher: bool,
    /// Bytes that the messages of the last read hold on to together.
    read_bytes: u32,
    /// The last read brought messages of any kind.
    has_published: bool,
    /// Receivers that messages are handed out to before others should have a turn.
    receivers_at_once: Option<NonZeroU16>,
    pace: Option<Box<Pace>>,
    /// CONNACK has left, so that deliveries may follow [MQTT-3.2.0-1].
    is_ready: bool,
    /// Deliveries of this connection by QoS, as its owner tells.
    sent: Rare<ByQoS>,
    /// What came before was not for a client that is there.
    opened: Stamp,
}

/// Responses held for the store above which the connection stops reading.
const HELD_RESPONSES_MAX: usize = 4096;
/// Bytes of a Topic Filter that a store can keep: it is part of a key, and those end at 65,535 bytes.
const KEPT_FILTER_BYTES_MAX: usize = 65_500;

impl Attachment {
    pub(super) fn new(
        broker: Arc<Broker>,
        slot: Arc<Slot>,
        session: Session,
        identity: Arc<Identity>,
        now: Now,
    ) -> Self {
        let allowances = broker.abuse.allowances(identity.address, identity.user.as_ref(), now);
        let guard = Guard::new(&broker.access, Subject { identity: &identity, client_id: session.client_id() });
        let mut attachment = Self {
            broker,
            slot,
            session,
            identity,
            guard,
            publishing: None,
            desk: Desk::default(),
            pending: Rare::default(),
            held_bytes: 0,
            is_publisher: false,
            read_bytes: 0,
            has_published: false,
            receivers_at_once: None,
            pace: allowances.map(|allowances| Box::new(Pace::new(allowances))),
            is_ready: false,
            sent: Rare::default(),
            opened: crate::clock::stamp(),
        };
        // Neither the rules nor the client need be what they were when it subscribed.
        attachment.review();
        attachment.resume_scans();
        // Without anything to wait for, CONNACK leaves at once.
        attachment.session.handle_commit(CommitSeq::default(), &mut attachment.desk.tools().turn);
        attachment
    }

    /// Says how many bytes the messages of the read that comes next hold on to together.
    pub fn begin_read(&mut self, bytes: usize) {
        self.read_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    }

    /// Handles the packets of one read, in order, then carries out what they ask for.
    pub fn handle_packets(
        &mut self,
        packets: impl Iterator<Item = Result<Packet, Violation>>,
        now: Now,
    ) -> Result<(), Violation> {
        self.follow_rules();
        self.is_publisher = false;
        self.has_published = false;
        let mut result = Ok(());
        for packet in packets {
            result = match packet {
                Ok(packet) => self.handle_packet(packet, now),
                Err(violation) => Err(violation),
            };
            if result.is_err() || self.desk.tools().turn.close.is_some() {
                break;
            }
        }
        // What came before a fault counts.
        self.finish_turn(now);
        result
    }

    fn handle_packet(&mut self, packet: Packet, now: Now) -> Result<(), Violation> {
        if self.broker.tracer.is_on() {
            self.trace_packet(&packet);
        }
        if self.has_to_wait(&packet) {
            self.pending.edit().stalled.push_back(packet);
            return Ok(());
        }
        self.session.handle_packet(packet, now, &mut self.desk.tools().turn)
    }

    /// Whether a packet has to wait until there is room on disk, or until those before it need not.
    fn has_to_wait(&self, packet: &Packet) -> bool {
        let is_new = matches!(packet, Packet::Publish(publish) if publish.qos != PublishQoS::AtMostOnce);
        let is_first = is_new && !self.version().is_v5() && self.broker.committer.is_short_of_space();
        is_first || self.has_stalled()
    }

    fn has_stalled(&self) -> bool {
        self.pending.get().is_some_and(|pending| !pending.stalled.is_empty())
    }

    /// Goes on with the packets that had to wait, if they need not any more.
    fn resume_stalled(&mut self, now: Now) {
        if !self.has_stalled() || self.broker.committer.is_short_of_space() {
            return;
        }
        let stalled = std::mem::take(&mut self.pending.edit().stalled);
        if let Err(violation) = self.handle_packets(stalled.into_iter().map(Ok), now) {
            self.desk.tools().turn.close(Close::Violation(violation));
        }
    }

    /// Whether the connection may read on; if not, the store has to catch up first, and a commit will wake it.
    pub fn wants_packets(&self) -> bool {
        let held = self.session.held_responses();
        // Who waits for no commit would not be woken by one, and adds little to what is waiting.
        let is_held_up = held > 0 && self.broker.committer.is_congested();
        let is_held_back = (self.is_publisher && self.broker.committer.is_behind()) || self.has_stalled();
        if is_held_back {
            self.broker.committer.wait_for_store();
        }
        self.is_ready && held < HELD_RESPONSES_MAX && !is_held_up && !is_held_back && !self.is_slowed()
    }

    /// Collects what has come for the session and runs it through. Without `takes_deliveries`, because the client is
    /// slow to take what it has got, only commits and the wish to close are looked at.
    pub fn handle_mailbox(&mut self, takes_deliveries: bool, now: Now) {
        self.follow_rules();
        let mut collected = std::mem::take(&mut self.desk.tools().collected);
        let memory = &self.broker.committer.memory;
        self.slot.collect(&mut collected, takes_deliveries && self.is_ready, memory);
        self.session.set_may_hold(memory.has_room());
        if collected.committed > self.session.committed() {
            self.session.handle_commit(collected.committed, &mut self.desk.tools().turn);
        }
        self.become_ready(now);
        let mut errands = collected.errands.take();
        // Before the deliveries, so that none begins that came after the wish to leave.
        if let Some(leave) = errands.as_mut().and_then(|errands| errands.leave.take()) {
            self.session.wind_down();
            self.pending.edit().leaving = Some(leave);
        }
        for delivery in collected.deliveries.drain(..) {
            self.session.handle_delivery(delivery, now, &mut self.desk.tools().turn);
        }
        if let Some(errands) = errands {
            self.run_errands(*errands, now);
        }
        self.desk.tools().collected = collected;
        self.finish_turn(now);
        self.resume_stalled(now);
    }

    fn run_errands(&mut self, errands: Errands, now: Now) {
        let turn = &mut self.desk.tools().turn;
        if let Some((end, added)) = errands.shelved {
            self.session.handle_shelved(end, &added, turn);
        }
        if let Some(page) = errands.page {
            let deliveries = page.deliveries.into_iter().map(|queued| shelved(queued, &self.broker.queue));
            self.session.handle_page(page.from, page.next, deliveries, now, turn);
        }
        if let Some(page) = errands.scanned
            && self.pending.edit().scans.accepts(&page)
        {
            self.take_scanned(page, now);
        }
        if let Some(close) = errands.close {
            self.desk.tools().turn.close(close);
        }
        self.answer(errands.inspections);
    }

    /// Waits for something in the mailbox.
    pub fn poll_mailbox(&self, takes_deliveries: bool, context: &mut Context<'_>) -> Poll<()> {
        self.slot.poll_collect(self.session.committed(), takes_deliveries && self.is_ready, context)
    }

    pub fn handle_timeout(&mut self, now: Now) {
        if !self.wants_packets() {
            // Who is not listened to has not fallen silent.
            self.session.excuse_silence(now);
        }
        self.end_pause(now);
        self.session.handle_timeout(now, &mut self.desk.tools().turn);
        self.end_with_proof(now);
        self.leave_if_quiet(now);
    }

    pub fn next_timeout(&self) -> Option<Now> {
        let leave = self.pending.get().and_then(|pending| pending.leaving).map(|leave| leave.at);
        [self.session.next_timeout(), self.proof_ends(), leave, self.paused_until()].into_iter().flatten().min()
    }

    /// What is to be written, in order. The caller empties it.
    pub fn output(&mut self) -> &mut Vec<Outgoing> {
        if self.broker.tracer.is_on() {
            self.trace_output();
        }
        &mut self.desk.tools().turn.send
    }

    /// Asks for the connection to be closed; the first reason stands.
    pub fn close(&mut self, close: Close) {
        self.desk.tools().turn.close(close);
    }

    /// Why the connection is to be closed, once the output is written.
    pub fn closing(&self) -> Option<Close> {
        self.desk.in_hand()?.turn.close
    }

    /// There is nothing to do until something comes.
    pub fn rest(&mut self) {
        self.desk.clear();
    }

    /// The DISCONNECT for a close, where the client's version has one.
    pub fn farewell(&self, close: &Close) -> Option<Packet> {
        let farewell = if self.is_ready { self.session.farewell(close) } else { None };
        self.broker.draining.refer(close, farewell, self.session.packet_bytes_max())
    }

    pub fn version(&self) -> Version {
        self.session.version()
    }

    /// Whether the last read brought messages.
    pub fn has_published(&self) -> bool {
        self.has_published
    }

    /// Whether it publishes, and so much is waiting on this thread that those whom it is for should have a turn before
    /// more is read.
    pub fn should_give_way(&self) -> bool {
        self.has_published && lead::is_long()
    }

    /// Says to how many receivers at most messages are handed out before others should have a turn.
    pub fn hand_out_by(&mut self, receivers_max: NonZeroU16) {
        self.receivers_at_once = Some(receivers_max);
    }

    /// Whether more receivers are waiting for what was published, and others should have a turn before they get it.
    pub fn has_more_to_hand_out(&self) -> bool {
        self.publishing.as_ref().is_some_and(|publishing| publishing.publisher.has_gathered())
    }

    /// All who were waiting have had a turn: the next receivers get what was published.
    pub fn has_given_way(&mut self) {
        lead::end();
        self.hand_out();
    }

    pub fn client_id(&self) -> &str {
        self.session.client_id().as_str()
    }

    /// The connection is gone: parks the session, or ends it.
    pub fn end(mut self, close: Option<Close>, now: Now) {
        let cause = close.map_or(Cause::Lost, Cause::from);
        // A session parked with deliveries in its mailbox would strand them: they join its queue first.
        let mut turn = std::mem::take(&mut self.desk.tools().turn);
        turn.send.clear();
        turn.asks.clear();
        self.broker.committer.memory.change(self.held_bytes, 0);
        let ended = self.session.end(cause, now, &mut turn);
        let (broker, slot) = (self.broker, self.slot);
        slot.in_doubt.set(UnderWay::default());
        slot.lock().notes.left_at = Some(now);
        if broker.tracer.is_on() {
            broker.tracer.note_client(&slot.client_id, Waypoint::Disconnected);
        }
        self.publishing.iter_mut().for_each(|publishing| publishing.publisher.flush(&broker));
        match ended {
            Ended::Parked(mut parked) => {
                // IMPORTANT: recorded before the slot is free, so that no later connection's record comes first.
                parked.handle_submitted(broker.record_parked(&slot, &parked, &mut turn, now));
                let next = parked.next_timeout();
                let mut inbox = slot.lock();
                let (deliveries, shelved) = inbox.take_deliveries(&broker.committer.memory);
                for delivery in deliveries {
                    parked.handle_delivery(delivery, &mut turn);
                }
                if let Some((end, added)) = shelved {
                    parked.handle_shelved(end, &added, &mut turn);
                }
                let waiting = inbox.vacate(Place::Parked(parked));
                slot.set_live(&inbox, false);
                // While the inbox is locked, so that a client that is back at once finds the timer set, and unsets it.
                broker.timers.set(&slot, next);
                drop(inbox);
                broker.settle(&slot, turn, Vec::new());
                broker.offer_shared(&slot);
                // Rules that changed meanwhile found the client still there.
                if !self.guard.is_current(&broker.access) {
                    broker.review_parked(&slot);
                }
                wake_all(waiting);
            }
            Ended::Discarded(parked) => {
                let mut inbox = slot.lock();
                let (undelivered, _) = inbox.take_deliveries(&broker.committer.memory);
                let waiting = inbox.vacate(Place::Gone);
                slot.set_live(&inbox, false);
                drop(inbox);
                broker.end_with(&slot, parked, turn, undelivered, now);
                wake_all(waiting);
            }
        }
    }

    /// Claims what absent members hold of the shared subscriptions that this session has.
    pub(super) fn claim_shared(&mut self) {
        let shared = self.session.subscriptions().map(|(filter, _)| filter).filter(|filter| filter.is_shared());
        let filters: Vec<_> = shared.cloned().collect();
        for filter in &filters {
            self.claim(filter);
        }
    }

    fn claim(&self, filter: &TopicFilter) {
        let Some(group) = self.broker.tree.read().group(filter) else { return };
        for member in group.members() {
            let slot = &member.subscriber.0;
            if slot.key != self.slot.key && !slot.is_live() {
                self.broker.claim_from(slot, filter);
            }
        }
    }

    fn become_ready(&mut self, now: Now) {
        // Not when nothing is held at all: a client may send more at once behind its CONNECT, and be answered later.
        if !self.is_ready && self.session.has_sent_connack() {
            self.is_ready = true;
            self.session.resume(now, &mut self.desk.tools().turn);
        }
    }

    /// Carries out what the turn asks for, submits its changes, and opens the gate for what need not wait.
    fn finish_turn(&mut self, now: Now) {
        self.become_ready(now);
        let tools = self.desk.tools();
        let mut batch = Batch::of_turn(tools.turn.asks.len());
        tools.outcomes.clear();
        let mut outcomes = std::mem::take(&mut tools.outcomes);
        let mut asks = std::mem::replace(&mut tools.turn.asks, std::mem::take(&mut tools.asks));
        for ask in asks.drain(..) {
            let outcome = self.carry_out(ask, now, &mut batch);
            outcomes.push(outcome);
        }
        self.is_publisher |= batch.has_messages();
        let tools = self.desk.tools();
        tools.asks = asks;
        for change in tools.turn.changes.drain(..) {
            batch.change(self.slot.key, change);
        }
        if let Some(from) = self.session.ask_for_page() {
            batch.load(Load::for_connection(&self.slot, from));
        }
        self.tell_memory();
        let commit = self.broker.committer.submit(batch, Some(&self.slot));
        self.hand_out();
        let Tools { turn, outcomes: spare, .. } = self.desk.tools();
        self.session.handle_outcomes(&outcomes, commit, turn);
        *spare = outcomes;
        self.slot.give_back(std::mem::take(&mut turn.released));
        if !turn.orphans.is_empty() {
            self.broker.pass_on_forbidden(&self.slot, std::mem::take(&mut turn.orphans));
        }
        self.broker.counters.dropped(&self.slot.client_id, std::mem::take(&mut turn.dropped));
        self.broker.counters.dropped_queue_full.add(std::mem::take(&mut turn.dropped_unseen));
        self.slot.in_doubt.set(self.session.under_way());
        self.count_received();
        self.leave_if_quiet(now);
    }

    /// Hands what was published to those whom it is for; to the next few of them, if it was said so.
    fn hand_out(&mut self) {
        if let Some(publishing) = &mut self.publishing {
            let receivers_max = self.receivers_at_once.map_or(usize::MAX, |receivers| receivers.get().into());
            publishing.publisher.flush_some(&self.broker, receivers_max);
        }
    }

    fn tell_memory(&mut self) {
        if self.slot.is_durable && self.broker.committer.is_durable() {
            let held_bytes = self.session.loaded_bytes();
            self.broker.committer.memory.change(self.held_bytes, held_bytes);
            self.held_bytes = held_bytes;
        }
    }

    fn carry_out(&mut self, ask: Ask, now: Now, batch: &mut Batch) -> Outcome {
        match ask {
            Ask::Publish(publication) => Outcome::Published(self.publish(publication, now, batch)),
            Ask::Subscribe(subscribing) => Outcome::Subscribed(self.subscribe(subscribing, now, batch)),
            Ask::Unsubscribe(filters) => {
                self.unsubscribe(&filters, batch);
                Outcome::Unsubscribed
            }
        }
    }

    fn publish(&mut self, mut publication: Publication, now: Now, batch: &mut Batch) -> ReasonCode {
        let publishing = Publishing::of(&mut self.publishing, &self.slot, &self.broker);
        publishing.count(&publication);
        if !self.has_published {
            publishing.publisher.begin_turn(self.read_bytes.into());
            // The first of each turn stands for the others.
            Arc::make_mut(&mut publication.message).received = crate::clock::stamp();
        }
        self.has_published = true;
        let traced = self.trace_received(&publication);
        let code = self.publish_if_allowed(publication, now, batch);
        if let Some(message) = traced.filter(|_| code != ReasonCode::Success) {
            self.broker.tracer.note(&self.slot.client_id, &message, Waypoint::Refused { code });
        }
        code
    }

    fn publish_if_allowed(&mut self, publication: Publication, now: Now, batch: &mut Batch) -> ReasonCode {
        let Message { topic, qos, retain, .. } = &*publication.message;
        if !self.guard.may_publish(topic, *qos, *retain) {
            return self.deny(&publication);
        }
        let inbound = match publication.qos {
            PublishQoS::ExactlyOnce(id) if self.slot.is_durable => Some((self.slot.key, id)),
            PublishQoS::AtMostOnce | PublishQoS::AtLeastOnce(_) | PublishQoS::ExactlyOnce(_) => None,
        };
        let publishing = Publishing::of(&mut self.publishing, &self.slot, &self.broker);
        publishing.publisher.publish(&self.broker, publication.message, Origin::Client { inbound }, batch, now)
    }
}
