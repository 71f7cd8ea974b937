//! The access rules at work on a connection: what is denied, and what is taken back when the rules change.
use super::Attachment;
use crate::access::Subject;
use crate::broker::access::Guard;
use crate::broker::{Batch, DENIED};
use crate::packet::PublishQoS;
use crate::session::{Clearance, Close, Denied311, Publication};
use crate::types::{ReasonCode, TopicFilter};

impl Attachment {
    /// Takes over the rules in force, if they have changed.
    pub(super) fn follow_rules(&mut self) {
        if self.guard.is_current(&self.broker.access) {
            return;
        }
        let subject = Subject { identity: &self.identity, client_id: self.session.client_id() };
        self.guard = Guard::new(&self.broker.access, subject);
        self.review();
    }

    /// Ends subscriptions that the client may not have any more, and keeps from it what is queued by them. What comes
    /// by subscriptions that were granted under the same rules need not be looked at.
    pub(super) fn review(&mut self) {
        let rights = self.guard.rights().clone();
        if rights.is_open() {
            self.session.set_clearance(None);
            return;
        }
        let held = self.session.subscriptions().map(|(filter, _)| filter);
        let revoked = held.filter(|filter| !rights.subscribe(filter).is_allowed).cloned();
        let revoked: Vec<TopicFilter> = revoked.collect();
        let mut batch = Batch::default();
        for filter in &revoked {
            self.session.refuse_subscription(filter);
            self.broker.note_revoked(&self.slot, filter);
        }
        self.unsubscribe(&revoked, &mut batch);
        self.broker.committer.submit(batch, None);
        let is_anything_waiting = self.slot.backlog().messages > 0;
        if is_anything_waiting || !revoked.is_empty() || self.session.has_clearance() {
            self.session.set_clearance(Some(Clearance::new(move |topic| rights.may_read(topic))));
        }
    }

    /// Answers a publish that the client has no right to. Nothing was looked up for it, so that nothing shows whether
    /// anybody would have got it.
    pub(super) fn deny(&mut self, publication: &Publication) -> ReasonCode {
        let (counters, topic) = (&self.broker.counters, &publication.message.topic);
        counters.publishes_denied.add(1);
        counters.drops.note_each([(DENIED, &self.slot.client_id)].into_iter(), topic);
        let is_untold = publication.qos == PublishQoS::AtMostOnce && !self.version().is_v5();
        // [MQTT-3.3.5-2] (3.1.1); of the other levels the session takes care.
        if is_untold && self.broker.limits.load().denied_311 == Denied311::Disconnect {
            self.desk.tools().turn.close(Close::Refused(ReasonCode::NotAuthorized));
        }
        ReasonCode::NotAuthorized
    }
}
