//! What an operator may do to sessions and messages.
use super::slot::Place;
use super::{Batch, Broker, Origin, Publisher, Slot};
use crate::session::Close;
use crate::types::{ClientId, CommitSeq, Message, Now, QoS, ReasonCode, Stamp, Text, TopicFilter, TopicName};
use bytes::Bytes;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Something that was submitted, to be waited for.
#[derive(Debug)]
pub struct Submitted {
    slot: Arc<Slot>,
    commit: CommitSeq,
}

impl Submitted {
    /// Waits until it is durable.
    pub fn poll_durable(&self, context: &mut Context<'_>) -> Poll<()> {
        // What was committed before is known, so that only this commit ends it.
        let known = CommitSeq(self.commit.0.saturating_sub(1));
        self.slot.poll_collect(known, false, context)
    }
}

/// Who gets a message on a topic, and how.
#[derive(Debug, Clone)]
pub struct Receiver {
    pub client_id: ClientId,
    pub is_connected: bool,
    /// The highest QoS of its matching subscriptions.
    pub qos: QoS,
    /// The shared subscription it is a member of; one of its members gets the message.
    pub share: Option<TopicFilter>,
    pub backlog: u64,
}

impl Broker {
    /// Publishes for an operator. [`Submitted`] is what to wait for, if anything has to be kept.
    pub fn publish(&self, message: Message, now: Now) -> (ReasonCode, Option<Submitted>) {
        let key = self.new_key();
        let client_id = ClientId::new(&Text::from_static("operator")).expect("the name is not empty");
        let slot = Slot::new(key, client_id, false, None);
        let mut publisher = Publisher::new(None, self.seed ^ key.0);
        let mut batch = Batch::default();
        let traced = self.tracer.is_on().then(|| message.clone());
        if let Some(message) = &traced {
            let step = super::Waypoint::Received { packet_id: None, qos: message.qos, retain: message.retain };
            self.tracer.note(&slot.client_id, message, step);
        }
        let code = publisher.publish(self, Arc::new(message), Origin::Client { inbound: None }, &mut batch, now);
        if let Some(message) = traced.filter(|_| code != ReasonCode::Success) {
            self.tracer.note(&slot.client_id, &message, super::Waypoint::Refused { code });
        }
        let commit = self.committer.submit(batch, Some(&slot));
        publisher.flush(self);
        (code, commit.map(|commit| Submitted { slot, commit }))
    }

    /// Removes the retained message of a topic; false if there is none.
    pub fn delete_retained(&self, topic: TopicName, now: Now) -> (bool, Option<Submitted>) {
        if !self.retained.has(&topic) {
            return (false, None);
        }
        // [MQTT-3.3.1-6], [MQTT-3.3.1-7] (5.0): subscribers are told as by any other empty retained message.
        let message = Message {
            topic,
            payload: Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: true,
            forward: Bytes::new(),
            expires_at: None,
            received: Stamp::default(),
        };
        let (_, submitted) = self.publish(message, now);
        (true, submitted)
    }

    /// Ends the connection of a session; false if there is none.
    pub fn kick(&self, slot: &Slot, code: ReasonCode) -> bool {
        let is_there = slot.is_live();
        slot.ask_to_close(Close::Administrative(code));
        is_there
    }

    /// Ends a session whose client is away; false if it is connected, or over already.
    pub fn delete_session(&self, slot: &Arc<Slot>, now: Now) -> bool {
        let mut inbox = slot.lock();
        if !matches!(inbox.place, Place::Parked(_)) {
            return false;
        }
        let Place::Parked(parked) = std::mem::replace(&mut inbox.place, Place::Gone) else { return false };
        drop(inbox);
        self.discard(slot, parked, now);
        true
    }

    /// A page of retained messages; those on the store's shelf are read from the disk.
    pub fn retained_page(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        at_most: usize,
        now: Now,
    ) -> Result<(Vec<Arc<Message>>, Option<TopicName>), crate::store::StoreError> {
        let page = self.retained.page(filter, after, at_most, now);
        let mut messages = Vec::with_capacity(page.messages.len());
        for found in page.messages {
            messages.extend(match found {
                super::retained::Found::Loaded(message) => Some(message),
                super::retained::Found::Shelved(topic) => match self.shelf.get() {
                    Some(shelf) => shelf.retained(&topic)?,
                    None => None,
                },
            });
        }
        Ok((messages, page.last))
    }

    /// Retained messages, and their bytes.
    pub fn retained_size(&self) -> (usize, usize) {
        self.retained.size()
    }

    /// Who would get a message on a topic now.
    pub fn receivers(&self, topic: &TopicName) -> Vec<Receiver> {
        let route = self.tree.read().route(topic, None);
        let receiver = |slot: &Slot, qos, share: Option<&TopicFilter>| Receiver {
            client_id: slot.client_id.clone(),
            is_connected: slot.is_live(),
            qos,
            share: share.cloned(),
            backlog: slot.backlog().messages,
        };
        let plain = route.targets.iter().map(|target| receiver(&target.subscriber.0, target.qos, None));
        let shared = route.groups.iter().flat_map(|group| {
            let members = group.members().iter();
            members.map(|member| receiver(&member.subscriber.0, member.options.qos, Some(group.filter())))
        });
        plain.chain(shared).collect()
    }

    /// Shared subscriptions behind `after`, with their members.
    pub fn shared_groups(&self, after: Option<&TopicFilter>, at_most: usize) -> Vec<(TopicFilter, Vec<Receiver>)> {
        let filters: Vec<_> = {
            let tree = self.tree.read();
            tree.shared_filters(after).take(at_most).map(|(filter, _)| filter.clone()).collect()
        };
        let members = |filter: &TopicFilter| {
            let group = self.tree.read().group(filter)?;
            let members = group.members().iter().map(|member| Receiver {
                client_id: member.subscriber.0.client_id.clone(),
                is_connected: member.subscriber.0.is_live(),
                qos: member.options.qos,
                share: Some(filter.clone()),
                backlog: member.subscriber.0.backlog().messages,
            });
            Some(members.collect())
        };
        filters.into_iter().filter_map(|filter| Some((filter.clone(), members(&filter)?))).collect()
    }

    pub fn groups(&self) -> usize {
        self.tree.read().groups()
    }
}
