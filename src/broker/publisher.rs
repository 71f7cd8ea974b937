//! The publish path: from a message to the mailboxes of all who shall have it.
//!
//! Each connection owns a publisher; what belongs to nobody's connection (wills of absent clients, `$SYS`) goes through
//! the house's own. Routes are cached until the subscription tree's generation moves on, and deliveries gather per
//! receiver, so that a read batch costs each receiver one lock and one wake-up.
use super::committer::Batch;
use super::plan::{Plan, fullness};
use super::{Broker, Lost, Slot, SlotHandle};
use crate::routing::{Group, MemberState, Route};
use crate::session::{Delivery, DropReason, Released};
use crate::types::{Message, Now, PacketId, QoS, ReasonCode, SessionKey, TopicFilter, TopicName};
use std::collections::HashMap;
use std::sync::Arc;

/// Topics whose routes one publisher remembers.
const ROUTES_MAX: usize = 1024;

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
}

/// A receiver, with what has gathered for it in this batch.
#[derive(Debug)]
struct Peer {
    slot: Arc<Slot>,
    pending: Vec<Delivery>,
    /// Queue space taken in this batch.
    reserved: Released,
    is_dirty: bool,
}

#[derive(Debug)]
struct CachedRoute {
    targets: Vec<CachedTarget>,
    groups: Vec<(Arc<Group<SlotHandle>>, Arc<TopicFilter>)>,
    /// The rule that limits what queues hold of this topic; 0 is none.
    rule: u8,
}

/// How long a delivery may wait, and what counts it meanwhile.
#[derive(Debug, Clone, Copy)]
struct Terms {
    rule: u8,
    give_up_at: Option<Now>,
}

/// What one message takes of a queue.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// As published.
    qos: QoS,
    bytes: u64,
    rule: u8,
}

#[derive(Debug)]
struct CachedTarget {
    peer: usize,
    qos: QoS,
    retain_as_published: bool,
    subscription_ids: Option<Arc<[u32]>>,
    share: Option<Arc<TopicFilter>>,
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
        }
    }

    /// Routes one message and gathers its deliveries; they leave with [`Self::flush`], or with the batch's commit.
    pub fn publish(
        &mut self,
        broker: &Broker,
        message: Message,
        origin: Origin,
        batch: &mut Batch,
        now: Now,
    ) -> ReasonCode {
        let is_retained = message.retain;
        let route = self.route(broker, &message.topic);
        let picked = self.pick_members(broker, &route, &message);
        let targets = || route.targets.iter().chain(&picked);
        if targets().next().is_none() && !is_retained {
            return ReasonCode::NoMatchingSubscribers;
        }
        let plan = self.plan(broker, targets(), route.rule, &message);
        // The broker's own topics are made anew at every start.
        let keeps_retained = is_retained && broker.committer.is_durable() && !message.topic.is_internal();
        let is_stored = keeps_retained || (broker.committer.is_durable() && plan.durable_targets() > 0);
        if is_stored && broker.committer.is_short_of_space() {
            broker.counters.publishes_refused_disk.add(1);
            return ReasonCode::QuotaExceeded;
        }
        if self.is_refused(broker, &plan, &message, origin) {
            return ReasonCode::QuotaExceeded;
        }
        let message = Arc::new(if is_retained || self.is_kept(&route) { message.detached() } else { message });
        if is_retained && !broker.retained.put(&message, keeps_retained, &broker.counters) {
            return ReasonCode::QuotaExceeded;
        }
        let terms = Terms { rule: route.rule, give_up_at: broker.queue.give_up_at(route.rule, now) };
        let mut full = plan.full().iter().peekable();
        let (mut durable, mut lost) = (Vec::new(), Vec::new());
        for (place, target) in targets().enumerate() {
            match full.next_if(|(at, _)| *at == place) {
                None => durable.extend(self.give(broker, target, &message, terms)),
                Some((_, full)) => {
                    lost.extend(self.peers.get(target.peer).map(|peer| (full.reason, peer.slot.clone())))
                }
            }
        }
        if is_stored {
            batch.publish(message.clone(), origin.inbound(), keeps_retained, durable);
        }
        if !lost.is_empty() {
            self.report(broker, &message, lost, batch, now);
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
        let Some(target) = self.pick(broker, &group, &filter, Some(left), cost) else { return Some(delivery) };
        let terms = Terms { rule: delivery.rule, give_up_at: delivery.give_up_at };
        if let Some(durable) = self.give(broker, &target, &delivery.message, terms) {
            batch.publish(delivery.message.clone(), None, false, vec![durable]);
        }
        None
    }

    /// Whether a message on this topic would be for anybody.
    pub(super) fn reaches_anybody(&mut self, broker: &Broker, topic: &TopicName) -> bool {
        let route = self.route(broker, topic);
        !route.targets.is_empty() || !route.groups.is_empty()
    }

    /// Hands the gathered deliveries to their receivers.
    pub fn flush(&mut self, broker: &Broker) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let Some(peer) = self.peers.get_mut(index) else { continue };
            peer.is_dirty = false;
            peer.slot.reserve(std::mem::take(&mut peer.reserved));
            let changes =
                peer.slot.deliver(&mut peer.pending, broker.mailbox_limits, &broker.counters, &broker.committer.memory);
            if !changes.is_empty() {
                broker.submit_changes(peer.slot.key, changes);
            }
        }
        self.dirty = dirty;
    }

    /// The targets of a topic, from the cache or from one walk of the tree.
    fn route(&mut self, broker: &Broker, topic: &TopicName) -> Arc<CachedRoute> {
        let generation = broker.generation();
        if generation != self.generation {
            self.forget(broker);
            self.generation = generation;
        }
        if let Some(route) = self.routes.get(topic) {
            return route.clone();
        }
        if self.routes.len() >= ROUTES_MAX {
            self.forget(broker);
        }
        let route = broker.tree.read().route(topic, self.key);
        let rule = broker.queue.rule_for(topic);
        let route = Arc::new(self.cached(route, rule));
        self.routes.insert(topic.detached(), route.clone());
        route
    }

    /// Empties the cache, once what has gathered by it is delivered.
    fn forget(&mut self, broker: &Broker) {
        self.flush(broker);
        self.routes.clear();
        self.peers.clear();
        self.by_key.clear();
    }

    fn cached(&mut self, route: Route<SlotHandle>, rule: u8) -> CachedRoute {
        let targets = route.targets.into_iter().map(|target| CachedTarget {
            peer: self.peer(&target.subscriber),
            qos: target.qos,
            retain_as_published: target.retain_as_published,
            subscription_ids: target.subscription_ids,
            share: None,
        });
        let targets = targets.collect();
        let groups = route.groups.into_iter().map(|group| {
            let filter = Arc::new(group.filter().clone());
            (group, filter)
        });
        CachedRoute { targets, groups: groups.collect(), rule }
    }

    fn peer(&mut self, handle: &SlotHandle) -> usize {
        let peers = &mut self.peers;
        *self.by_key.entry(handle.0.key).or_insert_with(|| {
            peers.push(Peer {
                slot: handle.0.clone(),
                pending: Vec::new(),
                reserved: Released::default(),
                is_dirty: false,
            });
            peers.len() - 1
        })
    }

    /// The members of shared groups that get a message.
    fn pick_members(&mut self, broker: &Broker, route: &CachedRoute, message: &Message) -> Vec<CachedTarget> {
        let cost = Cost { qos: message.qos, bytes: cost_bytes(message), rule: route.rule };
        let mut picked = Vec::new();
        for (group, filter) in &route.groups {
            let target = self.pick(broker, group, filter, None, cost);
            // Without one that has room, one that has none decides what becomes of the message.
            let nothing = Cost { qos: QoS::AtMostOnce, ..cost };
            picked.extend(target.or_else(|| self.pick(broker, group, filter, None, nothing)));
        }
        picked
    }

    /// The member of a shared group that gets the next message: one that has room for it, a live one first.
    fn pick(
        &mut self,
        broker: &Broker,
        group: &Group<SlotHandle>,
        filter: &Arc<TopicFilter>,
        exclude: Option<SessionKey>,
        cost: Cost,
    ) -> Option<CachedTarget> {
        self.choice = self.choice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let state = |handle: &SlotHandle| {
            let reserved = self.by_key.get(&handle.0.key).and_then(|peer| self.peers.get(*peer));
            member_state(broker, &handle.0, reserved.map(|peer| &peer.reserved), cost)
        };
        let member = group.pick(broker.shared_strategy, self.choice >> 33, exclude, state)?;
        Some(CachedTarget {
            peer: self.peer(&member.subscriber),
            qos: member.options.qos,
            retain_as_published: member.options.retain_as_published,
            subscription_ids: member.id.map(|id| Arc::from([id])),
            share: Some(filter.clone()),
        })
    }

    /// Looks at the queues of all who shall have the message.
    fn plan<'t>(
        &self,
        broker: &Broker,
        targets: impl Iterator<Item = &'t CachedTarget>,
        rule: u8,
        message: &Message,
    ) -> Plan {
        let mut plan = Plan::default();
        if message.qos == QoS::AtMostOnce {
            return plan;
        }
        let bytes = cost_bytes(message);
        for (place, target) in targets.enumerate() {
            let Some(peer) = self.peers.get(target.peer).filter(|_| target.qos != QoS::AtMostOnce) else { continue };
            plan.note(place, peer.slot.is_durable, fullness(broker, &peer.slot, &peer.reserved, rule, bytes));
        }
        plan
    }

    /// Whether the message is refused to its publisher, and nobody gets it; counted then.
    fn is_refused(&self, broker: &Broker, plan: &Plan, message: &Message, origin: Origin) -> bool {
        if broker.committer.is_durable() && plan.durable_targets() > broker.queue.durable_targets_max {
            broker.counters.publishes_refused_targets.add(1);
            return true;
        }
        // What becomes a retained message is kept, whoever else has no room for it.
        if origin == Origin::House || message.retain || !plan.is_refused() {
            return false;
        }
        broker.counters.publishes_refused.add(1);
        true
    }

    /// Whether a message may stay long, so that it must not hold on to the read buffer it came in.
    fn is_kept(&self, route: &CachedRoute) -> bool {
        let is_slow = |slot: &Slot| !slot.is_live() || slot.backlog().messages > 64;
        let peers = route.targets.iter().filter_map(|target| self.peers.get(target.peer));
        !route.groups.is_empty() || peers.into_iter().any(|peer| is_slow(&peer.slot))
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
        let delivery = Delivery {
            message: message.clone(),
            qos,
            // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            retain: message.retain && target.retain_as_published,
            subscription_ids: target.subscription_ids.clone(),
            position: None,
            share: target.share.clone(),
            give_up_at: terms.give_up_at.filter(|_| is_queued),
            rule: terms.rule,
        };
        if is_queued {
            if peer.slot.is_durable && broker.committer.is_durable() {
                peer.slot.reserve(Released::of(&delivery));
                return Some((peer.slot.clone(), delivery));
            }
            peer.reserved.add(&delivery);
        }
        peer.pending.push(delivery);
        if !peer.is_dirty {
            peer.is_dirty = true;
            self.dirty.push(target.peer);
        }
        None
    }

    /// Counts those who did not get a message, and publishes its dead letters.
    fn report(
        &mut self,
        broker: &Broker,
        message: &Arc<Message>,
        lost: Vec<(DropReason, Arc<Slot>)>,
        batch: &mut Batch,
        now: Now,
    ) {
        let counters = &broker.counters;
        for (reason, slot) in &lost {
            counters.not_taken(*reason, &slot.client_id, &message.topic);
        }
        if broker.queue.dead_letter_topic.is_none() {
            return;
        }
        counters.dead_letters_left_out.add(lost.len().saturating_sub(COPIES_MAX) as u64);
        for (reason, slot) in lost.into_iter().take(COPIES_MAX) {
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

fn cost_bytes(message: &Message) -> u64 {
    u64::try_from(message.cost_bytes()).unwrap_or(u64::MAX)
}

/// How a member of a shared group stands to one more message. One whose queue has no room is passed over.
fn member_state(broker: &Broker, slot: &Slot, reserved: Option<&Released>, cost: Cost) -> MemberState {
    let nothing = Released::default();
    let is_full = || fullness(broker, slot, reserved.unwrap_or(&nothing), cost.rule, cost.bytes).is_some();
    if cost.qos != QoS::AtMostOnce && is_full() {
        MemberState::Gone
    } else if slot.is_live() {
        MemberState::Live { in_flight: usize::try_from(slot.backlog().messages).unwrap_or(usize::MAX) }
    } else if slot.is_durable {
        MemberState::Away
    } else {
        MemberState::Gone
    }
}
