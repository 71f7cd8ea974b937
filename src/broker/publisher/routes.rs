//! The routes of recent topics, and the receivers that they lead to.
use super::{Peer, Publisher};
use crate::broker::{Broker, SlotHandle};
use crate::routing::{Group, Route, Subscription};
use crate::session::Released;
use crate::types::{QoS, SubscriptionIds, TopicFilter, TopicName};
use std::sync::Arc;

/// Topics whose routes one publisher remembers.
const ROUTES_MAX: usize = 1024;
/// Receivers that these routes lead to, counted once for each route, above which all are forgotten: as many as they are,
/// and those of one route more.
const TARGETS_MAX: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct CachedRoute {
    /// In bytes of its own.
    pub topic: TopicName,
    pub targets: Vec<CachedTarget>,
    pub groups: Vec<CachedGroup>,
    /// The rule that limits what queues hold of this topic; 0 is none.
    pub rule: u8,
}

#[derive(Debug)]
pub(super) struct CachedGroup {
    pub group: Arc<Group<SlotHandle>>,
    /// As the group lists them.
    pub members: Vec<CachedTarget>,
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
        if self.remembers_much() {
            self.forget(broker);
        }
        let route = broker.tree.read().route(topic, self.key);
        let rule = broker.queue.rule_for(topic);
        let route = self.cached(topic.detached(), route, rule);
        self.remember(route)
    }

    fn remembers_much(&self) -> bool {
        self.routes.len() >= ROUTES_MAX || self.targets >= TARGETS_MAX
    }

    fn remember(&mut self, route: CachedRoute) -> Arc<CachedRoute> {
        let members = route.groups.iter().map(|group| group.members.len()).sum::<usize>();
        self.targets += route.targets.len() + members;
        let route = Arc::new(route);
        self.routes.insert(route.topic.clone(), route.clone());
        route
    }

    /// Empties the cache, once what has gathered by it is delivered.
    fn forget(&mut self, broker: &Broker) {
        self.flush(broker);
        self.routes.clear();
        self.targets = 0;
        self.last = None;
        self.redistributed = None;
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
            self.cached_group(group, &filter)
        });
        CachedRoute { topic, targets, groups: groups.collect(), rule }
    }

    /// The group whose deliveries are sent to other members, one after the other.
    pub(super) fn redistributed(&mut self, group: Arc<Group<SlotHandle>>, filter: &Arc<TopicFilter>) -> CachedGroup {
        match self.redistributed.take_if(|last| Arc::ptr_eq(&last.group, &group)) {
            Some(last) => last,
            None => self.cached_group(group, filter),
        }
    }

    fn cached_group(&mut self, group: Arc<Group<SlotHandle>>, filter: &Arc<TopicFilter>) -> CachedGroup {
        let members = group.members().iter().map(|member| self.member(member, filter)).collect();
        CachedGroup { group, members }
    }

    fn member(&mut self, member: &Subscription<SlotHandle>, filter: &Arc<TopicFilter>) -> CachedTarget {
        CachedTarget {
            peer: self.peer(&member.subscriber),
            qos: member.options.qos,
            retain_as_published: member.options.retain_as_published,
            subscription_ids: SubscriptionIds::from(member.id),
            share: Some(filter.clone()),
        }
    }

    fn peer(&mut self, handle: &SlotHandle) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn route(number: usize, receivers: usize) -> CachedRoute {
        let target = |peer| CachedTarget {
            peer,
            qos: QoS::AtMostOnce,
            retain_as_published: false,
            subscription_ids: SubscriptionIds::default(),
            share: None,
        };
        let topic = TopicName::try_from(format!("topic/{number}").as_str()).unwrap();
        CachedRoute { topic, targets: (0..receivers).map(target).collect(), groups: Vec::new(), rule: 0 }
    }

    /// Routes that a publisher remembers when each leads to so many receivers.
    fn remembered(receivers: usize) -> usize {
        let mut publisher = Publisher::new(None, 0);
        let numbers = (0..).take_while(|number| {
            publisher.remember(route(*number, receivers));
            !publisher.remembers_much()
        });
        numbers.count() + 1
    }

    #[test]
    fn a_publisher_remembers_so_many_routes_or_receivers() {
        assert_eq!(remembered(1), ROUTES_MAX);
        assert_eq!(remembered(256), TARGETS_MAX / 256);
        assert_eq!(remembered(TARGETS_MAX * 2), 1);
    }
}
