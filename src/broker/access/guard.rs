//! The rights of one connection, and what was decided by them lately.
use super::Access;
use crate::access::{Publishing, Rights, Subject};
use crate::types::{QoS, Rare, TopicFilter, TopicName};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Topics whose decisions one connection remembers; beyond it they are decided anew.
const DECIDED_MAX: usize = 1024;

type Decided = HashMap<TopicName, Publishing, foldhash::fast::RandomState>;

#[derive(Debug)]
pub(in crate::broker) struct Guard {
    rights: Arc<Rights>,
    /// Of the rules that the rights follow from.
    generation: u64,
    /// Nothing where there are no rules, or nothing is published.
    decided: Rare<Decided>,
}

impl Guard {
    pub fn new(access: &Access, subject: Subject<'_>) -> Self {
        // Asked for first: with rules that change in between, the rights are looked at once more than needed.
        let generation = access.generation();
        let rights = access.rights(subject);
        if !rights.left_out().is_empty() {
            let rules: Vec<_> = rights.left_out().iter().map(ToString::to_string).collect();
            let user = subject.identity.user.as_ref().map(|user| user.as_str());
            tracing::warn!(
                client_id = subject.client_id.as_str(),
                user,
                rules = rules.join(", "),
                "access rules allow this client nothing, as its name has a wildcard, a slash or a control character"
            );
        }
        Self { rights: shared(rights), generation, decided: Rare::default() }
    }

    /// Whether the rights follow from the rules in force.
    pub fn is_current(&self, access: &Access) -> bool {
        self.generation == access.generation()
    }

    pub fn rights(&self) -> &Arc<Rights> {
        &self.rights
    }

    pub fn may_publish(&mut self, topic: &TopicName, qos: QoS, retain: bool) -> bool {
        if self.rights.is_open() {
            return !topic.is_internal();
        }
        let decided = self.decided.edit();
        if let Some(publishing) = decided.get(topic) {
            return publishing.allows(qos, retain);
        }
        if decided.len() >= DECIDED_MAX {
            decided.clear();
        }
        let publishing = self.rights.publishing(topic);
        decided.insert(topic.detached(), publishing);
        publishing.allows(qos, retain)
    }

    /// The highest QoS that a subscription may have; `None` if it may not be at all.
    pub fn may_subscribe(&self, filter: &TopicFilter) -> Option<QoS> {
        let verdict = self.rights.subscribe(filter);
        verdict.is_allowed.then_some(verdict.qos_max)
    }
}

/// Without rules all connections have the same rights, and one copy of them.
fn shared(rights: Rights) -> Arc<Rights> {
    static OPEN: LazyLock<Arc<Rights>> = LazyLock::new(|| Arc::new(Rights::open()));
    if rights == **OPEN { OPEN.clone() } else { Arc::new(rights) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{ClientId, Identity, Text};

    #[test]
    fn connections_share_the_rights_that_all_have() {
        let access = Access::default();
        let identity = Identity::default();
        let guards = ["a", "b"].map(|client_id| {
            let client_id = ClientId::new(&Text::try_from(client_id).unwrap()).unwrap();
            Guard::new(&access, Subject { identity: &identity, client_id: &client_id })
        });
        assert!(guards[0].rights.is_open() && Arc::ptr_eq(&guards[0].rights, &guards[1].rights));
    }
}
