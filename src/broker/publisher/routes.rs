//! The routes of recent topics, and the receivers that they lead to.
use super::{Peer, Publisher};
use crate::broker::{Broker, SlotHandle};
use crate::routing::{Group, Route};
use crate::session::Released;
use crate::types::{QoS, SubscriptionIds, TopicFilter, TopicName};
use std::sync::Arc;

/// Topics whose routes one publisher remembers.
const ROUTES_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct CachedRoute {
    /// In bytes of its own.
    pub topic: TopicName,
    pub targets: Vec<CachedTarget>,
    pub groups: Vec<(Arc<Group<SlotHandle>>, Arc<TopicFilter>)>,
    /// The rule that limits what queues hold of this topic; 0 is none.
    pub rule: u8,
}

#[derive(Debug)]
pub(super) struct CachedTarget {
    pub peer: usize,
    pub qos: QoS,
    pub retain_as_published: bool,
    pub subscription_ids: SubscriptionIds,
    pub share: Option<Arc<TopicFilter>>,
}

impl Publisher {
    /// The targets of a topic, from the cache or from one walk of the tree.
    pub(super) fn route(&mut self, broker: &Broker, topic: &TopicName) -> Arc<CachedRoute> {
        let generation = broker.generation();
        if generation != self.generation {
            self.forget(broker);
            self.generation = generation;
        }
        if let Some(last) = self.last.take_if(|last| last.topic == *topic) {
            return last;
        }
        if let Some(route) = self.routes.get(topic) {
            return route.clone();
        }
        if self.routes.len() >= ROUTES_MAX {
            self.forget(broker);
        }
        let route = broker.tree.read().route(topic, self.key);
        let rule = broker.queue.rule_for(topic);
        let route = Arc::new(self.cached(topic.detached(), route, rule));
        self.routes.insert(route.topic.clone(), route.clone());
        route
    }

    /// Empties the cache, once what has gathered by it is delivered.
    fn forget(&mut self, broker: &Broker) {
        self.flush(broker);
        self.routes.clear();
        self.last = None;
        self.forgotten += 1;
        self.peers.clear();
        self.by_key.clear();
    }

    fn cached(&mut self, topic: TopicName, route: Route<SlotHandle>, rule: u8) -> CachedRoute {
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
        CachedRoute { topic, targets, groups: groups.collect(), rule }
    }

    pub(super) fn peer(&mut self, handle: &SlotHandle) -> usize {
        let peers = &mut self.peers;
        *self.by_key.entry(handle.0.key).or_insert_with(|| {
            peers.push(Peer {
                slot: handle.0.clone(),
                pending: Vec::new(),
                reserved: Released::default(),
                run: 0,
                last_run: 0,
                is_dirty: false,
            });
            peers.len() - 1
        })
    }
}
