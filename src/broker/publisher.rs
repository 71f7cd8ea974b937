//! The publish path: from a message to the mailboxes of all who shall have it.
//!
//! Each connection owns a publisher; what belongs to nobody's connection (wills of absent clients, `$SYS`) goes through
//! the house's own. Routes are cached until the subscription tree's generation moves on, and deliveries gather per
//! receiver, so that a read batch costs each receiver one lock and one wake-up.
use super::committer::Batch;
use super::{Broker, Slot, SlotHandle};
use crate::routing::{Group, MemberState, Route};
use crate::session::{Delivery, OnFull, Publication, Released};
use crate::types::{Message, PacketId, QoS, ReasonCode, SessionKey, TopicFilter, TopicName};
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
}

#[derive(Debug)]
struct CachedTarget {
    peer: usize,
    qos: QoS,
    retain_as_published: bool,
    subscription_ids: Option<Arc<[u32]>>,
    share: Option<Arc<TopicFilter>>,
}

/// What became of the targets of one message.
#[derive(Debug, Default)]
struct Tally {
    taken: u64,
    refused: u64,
    durable: Vec<(Arc<Slot>, Delivery)>,
}

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
        publication: Publication,
        inbound: Option<(SessionKey, PacketId)>,
        batch: &mut Batch,
    ) -> ReasonCode {
        let Publication { message, .. } = publication;
        let route = self.route(broker, &message.topic);
        if route.targets.is_empty() && route.groups.is_empty() && !message.retain {
            return ReasonCode::NoMatchingSubscribers;
        }
        let is_retained = message.retain;
        // The broker's own topics are made anew at every start.
        let keeps_retained = is_retained && broker.committer.is_durable() && !message.topic.is_internal();
        if broker.committer.is_short_of_space() && (keeps_retained || self.is_to_be_stored(&route, &message)) {
            broker.counters.publishes_refused_disk.add(1);
            return ReasonCode::QuotaExceeded;
        }
        let message = Arc::new(if is_retained || self.is_kept(&route) { message.detached() } else { message });
        if is_retained && !broker.retained.put(&message, keeps_retained, &broker.counters) {
            return ReasonCode::QuotaExceeded;
        }
        let mut tally = Tally::default();
        for target in &route.targets {
            self.give(broker, target, &message, &mut tally);
        }
        for (group, filter) in &route.groups {
            if let Some(target) = self.pick(broker, group, filter, None) {
                self.give(broker, &target, &message, &mut tally);
            }
        }
        let is_stored = !tally.durable.is_empty() || keeps_retained;
        let code = outcome(broker, &tally, is_retained);
        if is_stored && !code.is_failure() {
            batch.publish(message, inbound, keeps_retained, tally.durable);
        }
        code
    }

    /// Sends a shared delivery that its receiver left unfinished to another member of its group. Gives it back if there
    /// is none.
    pub fn redistribute(
        &mut self,
        broker: &Broker,
        delivery: Delivery,
        left: SessionKey,
        batch: &mut Batch,
    ) -> Option<Delivery> {
        let Some(filter) = delivery.share.clone() else { return Some(delivery) };
        let Some(group) = broker.tree.read().group(&filter) else { return Some(delivery) };
        let Some(target) = self.pick(broker, &group, &filter, Some(left)) else { return Some(delivery) };
        let mut tally = Tally::default();
        self.give(broker, &target, &delivery.message, &mut tally);
        if !tally.durable.is_empty() {
            batch.publish(delivery.message.clone(), None, false, tally.durable);
        }
        None
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
        let route = Arc::new(self.cached(route));
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

    fn cached(&mut self, route: Route<SlotHandle>) -> CachedRoute {
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
        CachedRoute { targets, groups: groups.collect() }
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

    /// The member of a shared group that gets the next message, a live one first.
    fn pick(
        &mut self,
        broker: &Broker,
        group: &Group<SlotHandle>,
        filter: &Arc<TopicFilter>,
        exclude: Option<SessionKey>,
    ) -> Option<CachedTarget> {
        self.choice = self.choice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let member =
            group.pick(broker.shared_strategy, self.choice >> 33, exclude, |handle| member_state(&handle.0))?;
        Some(CachedTarget {
            peer: self.peer(&member.subscriber),
            qos: member.options.qos,
            retain_as_published: member.options.retain_as_published,
            subscription_ids: member.id.map(|id| Arc::from([id])),
            share: Some(filter.clone()),
        })
    }

    /// Whether a message may stay long, so that it must not hold on to the read buffer it came in.
    fn is_kept(&self, route: &CachedRoute) -> bool {
        let is_slow = |slot: &Slot| !slot.is_live() || slot.backlog().messages > 64;
        let peers = route.targets.iter().filter_map(|target| self.peers.get(target.peer));
        !route.groups.is_empty() || peers.into_iter().any(|peer| is_slow(&peer.slot))
    }

    /// Whether the store would have to take the message.
    fn is_to_be_stored(&self, route: &CachedRoute, message: &Message) -> bool {
        let is_durable = |target: &CachedTarget| {
            let slot = self.peers.get(target.peer).map(|peer| &peer.slot);
            target.qos.min(message.qos) != QoS::AtMostOnce && slot.is_some_and(|slot| slot.is_durable)
        };
        let may_be = message.qos != QoS::AtMostOnce && !route.groups.is_empty();
        may_be || route.targets.iter().any(is_durable)
    }

    fn give(&mut self, broker: &Broker, target: &CachedTarget, message: &Arc<Message>, tally: &mut Tally) {
        let Some(peer) = self.peers.get_mut(target.peer) else { return };
        // [MQTT-3.8.4-8]
        let qos = message.qos.min(target.qos);
        let delivery = Delivery {
            message: message.clone(),
            qos,
            // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
            retain: message.retain && target.retain_as_published,
            subscription_ids: target.subscription_ids.clone(),
            position: None,
            share: target.share.clone(),
            give_up_at: None,
        };
        if qos != QoS::AtMostOnce {
            let cost = Released { messages: 1, bytes: delivery.cost_bytes() };
            if !has_room(broker, peer, cost) {
                tally.refused += 1;
                broker.counters.dropped_queue_full.add(1);
                return;
            }
            if peer.slot.is_durable && broker.committer.is_durable() {
                peer.slot.reserve(cost);
                tally.taken += 1;
                tally.durable.push((peer.slot.clone(), delivery));
                return;
            }
            peer.reserved.messages += cost.messages;
            peer.reserved.bytes += cost.bytes;
        }
        tally.taken += 1;
        peer.pending.push(delivery);
        if !peer.is_dirty {
            peer.is_dirty = true;
            self.dirty.push(target.peer);
        }
    }
}

/// Whether a receiver's queue takes one more. Publishers reserve batch by batch, so that the limit holds to within one
/// read batch of each publisher.
fn has_room(broker: &Broker, peer: &Peer, cost: Released) -> bool {
    let limits = &broker.limits;
    if limits.on_full == OnFull::DropOldest {
        return true;
    }
    let backlog = peer.slot.backlog();
    backlog.messages + peer.reserved.messages + cost.messages <= limits.queued_messages_max
        && backlog.bytes + peer.reserved.bytes + cost.bytes <= limits.queued_bytes_max
}

/// What the publisher is told.
fn outcome(broker: &Broker, tally: &Tally, is_retained: bool) -> ReasonCode {
    match (tally.taken, tally.refused) {
        (0, 0) if is_retained => ReasonCode::Success,
        (0, 0) => ReasonCode::NoMatchingSubscribers,
        (0, _) if broker.limits.on_full == OnFull::Refuse && !is_retained => {
            broker.counters.publishes_refused.add(1);
            ReasonCode::QuotaExceeded
        }
        _ => ReasonCode::Success,
    }
}

fn member_state(slot: &Slot) -> MemberState {
    if slot.is_live() {
        MemberState::Live { in_flight: usize::try_from(slot.backlog().messages).unwrap_or(usize::MAX) }
    } else if slot.is_durable {
        MemberState::Away
    } else {
        MemberState::Gone
    }
}
