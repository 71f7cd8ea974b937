//! Topic Aliases, both ways (5.0 section 3.3.2.3.4). They live as long as one network connection [MQTT-3.3.2-7].
use crate::types::{Rare, ReasonCode, TopicName, Violation};
use std::collections::BTreeMap;

/// The aliases that a client has set. Few do.
#[derive(Debug, Default)]
pub(super) struct InboundAliases(Rare<BTreeMap<u16, TopicName>>);

impl InboundAliases {
    /// The topic that a PUBLISH names, by itself, by its alias, or by setting one.
    pub fn resolve(
        &mut self,
        topic: Option<TopicName>,
        alias: Option<u16>,
        topic_aliases_max: u16,
    ) -> Result<TopicName, Violation> {
        let Some(alias) = alias else {
            // [MQTT-4.7.3-1]: an empty topic needs an alias.
            return topic.ok_or(Violation::protocol("MQTT-4.7.3-1", "a PUBLISH has neither a topic nor an alias"));
        };
        // [MQTT-3.3.2-8], [MQTT-3.3.2-9], [MQTT-3.2.2-17], [MQTT-3.2.2-18]
        if alias == 0 || alias > topic_aliases_max {
            let why = "a Topic Alias is 0 or above the announced maximum";
            return Err(Violation::new(ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-9", why));
        }
        match topic {
            Some(topic) => {
                self.0.edit().insert(alias, topic.detached());
                Ok(topic)
            }
            None => {
                let unknown = Violation::protocol("sec:3.3.2.3.4", "a Topic Alias was never set");
                self.0.get().and_then(|topics| topics.get(&alias)).cloned().ok_or(unknown)
            }
        }
    }
}

/// The aliases that the broker sets, chosen by use: a topic earns one when it is sent again. Few clients take any.
#[derive(Debug)]
pub(super) struct OutboundAliases(Option<Box<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// Aliases in force; at most the client's Topic Alias Maximum, and ours. Not 0.
    aliases_max: u16,
    known: BTreeMap<TopicName, Known>,
    /// Topics sent once of late, oldest overwritten first.
    seen: Vec<TopicName>,
    next_seen: usize,
    uses: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    alias: u16,
    last_use: u64,
}

/// How to name a topic in a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    Topic,
    /// Topic and alias, which sets the alias.
    Set(u16),
    Alias(u16),
}

impl OutboundAliases {
    /// `aliases_max` of 0 turns them off [MQTT-3.1.2-27].
    pub fn new(aliases_max: u16) -> Self {
        Self((aliases_max > 0).then(|| Box::new(Table { aliases_max, ..Table::default() })))
    }

    /// Proposes a name; call [`Self::sent`] once the packet is sure to leave.
    pub fn propose(&self, topic: &TopicName) -> Naming {
        self.0.as_ref().map_or(Naming::Topic, |table| table.propose(topic))
    }

    pub fn sent(&mut self, topic: &TopicName, naming: Naming) {
        if let Some(table) = &mut self.0 {
            table.sent(topic, naming);
        }
    }
}

impl Table {
    fn propose(&self, topic: &TopicName) -> Naming {
        if let Some(known) = self.known.get(topic) {
            return Naming::Alias(known.alias);
        }
        if !self.seen.contains(topic) {
            return Naming::Topic;
        }
        Naming::Set(self.free().unwrap_or_else(|| self.least_recent()))
    }

    fn sent(&mut self, topic: &TopicName, naming: Naming) {
        self.uses += 1;
        let last_use = self.uses;
        match naming {
            Naming::Topic => self.remember(topic),
            Naming::Set(alias) => {
                self.known.retain(|_, known| known.alias != alias);
                self.known.insert(topic.detached(), Known { alias, last_use });
            }
            Naming::Alias(alias) => {
                if let Some(known) = self.known.get_mut(topic) {
                    *known = Known { alias, last_use };
                }
            }
        }
    }

    // [MQTT-3.1.2-26], [MQTT-3.3.2-11]: never above the client's maximum.
    fn free(&self) -> Option<u16> {
        let next = u16::try_from(self.known.len()).ok()?.checked_add(1)?;
        (next <= self.aliases_max).then_some(next)
    }

    fn least_recent(&self) -> u16 {
        self.known.values().min_by_key(|known| known.last_use).map_or(1, |known| known.alias)
    }

    fn remember(&mut self, topic: &TopicName) {
        let room = usize::from(self.aliases_max);
        if self.seen.len() < room {
            self.seen.push(topic.detached());
        } else if let Some(oldest) = self.seen.get_mut(self.next_seen) {
            *oldest = topic.detached();
        }
        self.next_seen = (self.next_seen + 1) % room;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::try_from(name).unwrap()
    }

    fn send(aliases: &mut OutboundAliases, name: &str) -> Naming {
        let naming = aliases.propose(&topic(name));
        aliases.sent(&topic(name), naming);
        naming
    }

    #[test]
    fn outbound_aliases_are_earned_by_use_and_stay_within_the_maximum() {
        // [MQTT-3.1.2-26] [MQTT-3.3.2-11]
        let mut aliases = OutboundAliases::new(2);
        assert_eq!(send(&mut aliases, "a"), Naming::Topic);
        assert_eq!(send(&mut aliases, "a"), Naming::Set(1));
        assert_eq!(send(&mut aliases, "a"), Naming::Alias(1));
        assert_eq!(send(&mut aliases, "b"), Naming::Topic);
        assert_eq!(send(&mut aliases, "b"), Naming::Set(2));
        assert_eq!(send(&mut aliases, "a"), Naming::Alias(1));
        assert_eq!(send(&mut aliases, "c"), Naming::Topic);
        assert_eq!(send(&mut aliases, "c"), Naming::Set(2), "the least recently used alias is given away");
        assert_eq!(aliases.propose(&topic("a")), Naming::Alias(1));
    }

    #[test]
    fn no_alias_is_sent_to_a_client_that_takes_none() {
        // [MQTT-3.1.2-27]
        let mut aliases = OutboundAliases::new(0);
        assert_eq!(send(&mut aliases, "a"), Naming::Topic);
        assert_eq!(send(&mut aliases, "a"), Naming::Topic);
    }

    #[test]
    fn an_inbound_alias_stands_for_the_topic_that_set_it_last() {
        let mut aliases = InboundAliases::default();
        assert_eq!(aliases.resolve(Some(topic("a")), Some(1), 5), Ok(topic("a")));
        assert_eq!(aliases.resolve(None, Some(1), 5), Ok(topic("a")));
        assert_eq!(aliases.resolve(Some(topic("b")), Some(1), 5), Ok(topic("b")));
        assert_eq!(aliases.resolve(None, Some(1), 5), Ok(topic("b")));
        // [MQTT-3.3.2-12]: every alias up to the maximum is taken.
        assert_eq!(aliases.resolve(Some(topic("c")), Some(5), 5), Ok(topic("c")));
    }

    #[test]
    fn aliases_out_of_range_or_unset_are_violations() {
        let mut aliases = InboundAliases::default();
        for alias in [0, 6] {
            let violation = aliases.resolve(Some(topic("a")), Some(alias), 5).unwrap_err();
            assert_eq!(violation.reason, ReasonCode::TopicAliasInvalid, "[MQTT-3.3.2-8] [MQTT-3.3.2-9]");
        }
        assert_eq!(aliases.resolve(None, Some(2), 5).unwrap_err().reason, ReasonCode::ProtocolError);
        assert_eq!(aliases.resolve(None, None, 5).unwrap_err().reason, ReasonCode::ProtocolError);
    }
}
