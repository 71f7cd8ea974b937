//! The publish path: from a message to the mailboxes of all who shall have it.
//!
//! Each connection owns a publisher; what belongs to nobody's connection (wills of absent clients, `$SYS`) goes through
//! the house's own. Routes are cached until the subscription tree's generation moves on, and deliveries gather per
//! receiver, so that a read batch costs each receiver one lock and one wake-up.
mod members;
mod plan;
mod routes;

use super::committer::{Batch, Receivers};
use super::{Broker, Lost, Slot, Waypoint};
use crate::session::{Delivery, Limits, Released};
use crate::types::{Message, Now, PacketId, QoS, ReasonCode, SessionKey, TopicName};
use members::Cost;
use plan::{Missed, Plan};
use routes::{CachedGroup, CachedRoute, CachedTarget};
use std::collections::HashMap;
use std::sync::Arc;

#[derive(Debug)]
pub struct Publisher {
    /// The session that publishes, for No Local; `None` is the house.
    key: Option<SessionKey>,
    generation: u64,
    routes: HashMap<TopicName, Arc<CachedRoute>, foldhash::fast::RandomState>,
    peers: Vec<Peer>,
    by_key: HashMap<SessionKey, usize, foldhash::fast::RandomState>,
    dirty: Vec<usize>,
    choice: u64,
    /// The route of the last message: the next one is most often on the same topic.
    last: Option<Arc<CachedRoute>>,
    /// How often all routes were forgotten.
    forgotten: u64,
    /// Receivers that the routes lead to.
    targets: usize,
    /// The group whose deliveries were last sent to other members.
    redistributed: Option<CachedGroup>,
    /// The queue limits of this turn.
    limits: Option<Arc<Limits>>,
    /// Bytes that the messages of this turn hold on to together.
    read_bytes: u64,
}

/// A receiver, with what has gathered for it in this batch.
#[derive(Debug)]
struct Peer {
    slot: Arc<Slot>,
    pending: Vec<Delivery>,
    /// Queue space taken in this batch.
    reserved: Released,
    /// Deliveries of this batch, and of the one before in which there were any.
    run: u64,
    last_run: u64,
    is_dirty: bool,
}

/// How long a delivery may wait, and what counts it meanwhile.
#[derive(Debug, Clone, Copy)]
struct Terms {
    rule: u8,
    give_up_at: Option<Now>,
}

/// On whose behalf a message is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client, which can be told that the message was refused. The session and QoS 2 identifier are remembered with
    /// the message.
    Client { inbound: Option<(SessionKey, PacketId)> },
    /// Nobody who could be told: a will, a counter, a dead letter.
    House,
}

/// The reason in the drop log where the publisher was told.
pub const REFUSED: &str = "refused";
/// The reason in the drop log where the publisher had no right to publish.
pub const DENIED: &str = "denied";
/// Bytes of read buffers that the messages waiting for one receiver may hold on to, about; beyond that messages get
/// bytes of their own.
const HELD_READS_BYTES: u64 = 4 << 20;
/// Dead letters made of one message; more of its receivers are only counted.
const COPIES_MAX: usize = 64;

impl Publisher {
    /// `seed` makes the random choice among shared subscribers repeatable.
    pub fn new(key: Option<SessionKey>, seed: u64) -> Self {
        Self {
            key,
            generation: u64::MAX,
            routes: HashMap::default(),
            peers: Vec::new(),
            by_key: HashMap::default(),
            dirty: Vec::new(),
            choice: seed,
            last: None,
            forgotten: 0,
            targets: 0,
            redistributed: None,
            limits: None,
            read_bytes: 0,
        }
    }

    /// Routes one message and gathers its deliveries; they leave with [`Self::flush`], or with the batch's commit.
    pub fn publish(
        &mut self,
        broker: &Broker,
        message: Arc<Message>,
        origin: Origin,
        batch: &mut Batch,
        now: Now,
    ) -> ReasonCode {
        let route = self.route(broker, &message.topic);
        let forgotten = self.forgotten;
        let code = self.publish_along(broker, &route, message, origin, batch, now);
        // Not if a dead letter made it forget them, and the receivers that they speak of.
        if self.forgotten == forgotten {
            self.last = Some(route);
        }
        code
    }

    fn publish_along(
        &mut self,
        broker: &Broker,
        route: &CachedRoute,
        mut message: Arc<Message>,
        origin: Origin,
        batch: &mut Batch,
        now: Now,
    ) -> ReasonCode {
        let is_retained = message.retain;
        let picked = self.pick_members(broker, route, &message);
        let targets = || route.targets.iter().chain(picked.iter().copied());
        if targets().next().is_none() && !is_retained {
            return ReasonCode::NoMatchingSubscribers;
        }
        let plan = self.plan(broker, targets(), route.rule, &message);
        // The broker's own topics are made anew at every start.
        let keeps_retained = is_retained && broker.committer.is_durable() && !message.topic.is_internal();
        let is_stored = keeps_retained || (broker.committer.is_durable() && plan.durable_targets() > 0);
        if is_refused(broker, &plan, &message, is_stored, origin) {
            return ReasonCode::QuotaExceeded;
        }
        let is_kept = is_retained || self.is_kept(broker, targets());
        if is_kept {
            Arc::make_mut(&mut message).detach(&route.topic);
        }
        if is_retained && !broker.retained.put(&message, keeps_retained, &broker.counters) {
            return ReasonCode::QuotaExceeded;
        }
        let terms = Terms { rule: route.rule, give_up_at: broker.queue.give_up_at(route.rule, now) };
        let mut missed = plan.missed().iter().peekable();
        let mut durable = Receivers::new();
        for (place, target) in targets().enumerate() {
            if missed.next_if(|missed| missed.place == place).is_none() {
                durable.extend(self.give(broker, target, &message, terms));
            }
        }
        if is_stored {
            batch.publish(message.clone(), origin.inbound(), keeps_retained, durable);
        }
        if !plan.missed().is_empty() {
            self.report(broker, &message, plan.missed(), batch, now);
        }
        ReasonCode::Success
    }

    /// Sends a shared delivery that its receiver left unfinished to another member of its group. Gives it back if there
    /// is none that has room for it.
    pub fn redistribute(
        &mut self,
        broker: &Broker,
        delivery: Delivery,
        left: SessionKey,
        batch: &mut Batch,
    ) -> Option<Delivery> {
        let Some(filter) = delivery.share.clone() else { return Some(delivery) };
        let Some(group) = broker.tree.read().group(&filter) else { return Some(delivery) };
        let cost = Cost { qos: delivery.message.qos, bytes: delivery.cost_bytes(), rule: delivery.rule };
        let group = self.redistributed(group, &filter);
        let target = self.pick(broker, &group, Some(left), cost);
        if let Some(target) = target {
            let terms = Terms { rule: delivery.rule, give_up_at: delivery.give_up_at };
            if let Some(durable) = self.give(broker, target, &delivery.message, terms) {
                batch.publish(delivery.message.clone(), None, false, Receivers::from_buf([durable]));
            }
        }
        let is_given = target.is_some();
        self.redistributed = Some(group);
        (!is_given).then_some(delivery)
    }

    /// Whether a message on this topic would be for anybody.
    pub(super) fn reaches_anybody(&mut self, broker: &Broker, topic: &TopicName) -> bool {
        let route = self.route(broker, topic);
        !route.targets.is_empty() || !route.groups.is_empty()
    }

    /// Hands the gathered deliveries to their receivers.
    pub fn flush(&mut self, broker: &Broker) {
        self.flush_some(broker, usize::MAX);
    }

    /// The same to so many receivers at most.
    pub fn flush_some(&mut self, broker: &Broker, receivers_max: usize) {
        self.limits = None;
        let mut dirty = std::mem::take(&mut self.dirty);
        let left = dirty.len().saturating_sub(receivers_max);
        for index in dirty.drain(left..) {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            peer.is_dirty = false;
            peer.last_run = std::mem::take(&mut peer.run);
            if peer.pending.is_empty() {
                continue;
            }
            peer.slot.reserve(std::mem::take(&mut peer.reserved));
            let changes =
                peer.slot.deliver(&mut peer.pending, broker.mailbox_limits, &broker.counters, &broker.committer.memory);
            if !changes.is_empty() {
                broker.submit_changes(peer.slot.key, changes);
            }
        }
        self.dirty = dirty;
    }

    /// Whether receivers wait for what has been gathered.
    pub fn has_gathered(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Says what read the messages of this turn came in, and so hold on to together, bytes.
    pub fn begin_turn(&mut self, read_bytes: u64) {
        self.read_bytes = read_bytes;
    }

    /// Whether a message may stay long in memory, so that it must not hold on to the read buffer it came in. What is for
    /// an absent client goes to the store, and from memory.
    fn is_kept<'t>(&self, broker: &Broker, mut targets: impl Iterator<Item = &'t CachedTarget>) -> bool {
        targets.any(|target| self.peers.get(target.peer).is_some_and(|peer| self.is_kept_by(broker, peer)))
    }

    fn is_kept_by(&self, broker: &Broker, peer: &Peer) -> bool {
        let slot = &peer.slot;
        if !slot.is_live() {
            return !slot.is_durable || !broker.committer.is_durable();
        }
        // What waits for this receiver came in about so many reads.
        let reads = slot.backlog().messages / peer.run.max(peer.last_run).max(1);
        reads.saturating_mul(self.read_bytes) > HELD_READS_BYTES
    }

    /// Makes the delivery to one receiver, and gathers it; what is to be stored first is given back for the batch.
    fn give(
        &mut self,
        broker: &Broker,
        target: &CachedTarget,
        message: &Arc<Message>,
        terms: Terms,
    ) -> Option<(Arc<Slot>, Delivery)> {
        let peer = self.peers.get_mut(target.peer)?;
        // [MQTT-3.8.4-8]
        let qos = message.qos.min(target.qos);
        let is_queued = qos != QoS::AtMostOnce;
        if broker.tracer.is_on() {
            let is_durable = is_queued && peer.slot.is_durable && broker.committer.is_durable();
            broker.tracer.note(&peer.slot.client_id, message, Waypoint::Routed { qos, is_durable });
        }
        let delivery = Delivery {
            message: message.clone(),
            qos,
            // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            retain: message.retain && target.retain_as_published,
            subscription_ids: target.subscription_ids.clone(),
            position: None,
            share: target.share.clone(),
            give_up_at: terms.give_up_at.filter(|_| is_queued),
            cost_bytes: Delivery::cost_of(message),
            rule: terms.rule,
        };
        peer.run += 1;
        if !peer.is_dirty {
            peer.is_dirty = true;
            self.dirty.push(target.peer);
        }
        if is_queued {
            if peer.slot.is_durable && broker.committer.is_durable() {
                peer.slot.reserve(Released::of(&delivery));
                return Some((peer.slot.clone(), delivery));
            }
            peer.reserved.add(&delivery);
        }
        peer.pending.push(delivery);
        None
    }

    /// Counts those who did not get a message, and publishes its dead letters.
    fn report(&mut self, broker: &Broker, message: &Arc<Message>, missed: &[Missed], batch: &mut Batch, now: Now) {
        let counters = &broker.counters;
        if counters.tracer.is_on() {
            for missed in missed {
                let step = Waypoint::Dropped { reason: missed.reason.name() };
                counters.tracer.note(&missed.slot.client_id, message, step);
            }
        }
        counters.not_taken(missed.iter().map(|missed| (missed.reason, &missed.slot.client_id)), &message.topic);
        if broker.queue.dead_letter_topic.is_none() {
            return;
        }
        counters.dead_letters_left_out.add(missed.len().saturating_sub(COPIES_MAX) as u64);
        for Missed { reason, slot, .. } in missed.iter().take(COPIES_MAX) {
            let (client_id, message) = (slot.client_id.clone(), message.clone());
            self.dead_letter(broker, &Lost { client_id, reason: reason.name(), message }, batch, now);
        }
    }
}

impl Origin {
    fn inbound(self) -> Option<(SessionKey, PacketId)> {
        match self {
            Self::Client { inbound } => inbound,
            Self::House => None,
        }
    }
}

/// Whether the message is refused to its publisher, and nobody gets it; counted then.
fn is_refused(broker: &Broker, plan: &Plan, message: &Message, is_stored: bool, origin: Origin) -> bool {
    let counters = &broker.counters;
    // A will has nobody who could send it again: it waits for room with the commits.
    if is_stored && origin != Origin::House && broker.committer.is_short_of_space() {
        counters.publishes_refused_disk.add(1);
        return true;
    }
    if is_stored && plan.durable_targets() > broker.queue.durable_targets_max {
        counters.publishes_refused_targets.add(1);
        return true;
    }
    if is_stored && cost_bytes(message) + plan.target_bytes() > broker.queue.record_bytes_max {
        counters.publishes_refused_record.add(1);
        return true;
    }
    // What becomes a retained message is kept, whoever else has no room for it.
    if origin == Origin::House || message.retain || !plan.is_refused() {
        return false;
    }
    counters.publishes_refused.add(1);
    let sessions = plan.missed().iter().map(|missed| (REFUSED, &missed.slot.client_id));
    counters.drops.note_each(sessions, &message.topic);
    true
}

fn cost_bytes(message: &Message) -> u64 {
    u64::try_from(message.cost_bytes()).unwrap_or(u64::MAX)
}
