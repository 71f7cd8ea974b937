//! What queues may hold: rules for some topics beside the limits of a whole session, and how long messages may wait.
//!
//! A rule bounds what each single session holds of the topics that it names. A delivery bears the number of its rule
//! from routing to its end; the space it takes travels in [`Released`](crate::session::Released), so that whoever
//! reserves or gives back queue space does it for the rule as well. Nothing of this is stored: after a restart each
//! delivery gets its rule anew from its topic, by the rules of then.
use crate::session::{ByRule, OnFull, Room};
use crate::types::{Now, TopicFilter, TopicName};
use parking_lot::Mutex;

/// Rules of a broker, at most.
pub const RULES_MAX: usize = 255;
/// Durable sessions that one message may be for.
const DURABLE_TARGETS_MAX: usize = 500_000;
/// Bytes of a message's record with all its targets: it has to fit into one frame of the log (16 MiB), behind the
/// records that gathered in the frame before it (up to 4 MiB).
const RECORD_BYTES_MAX: u64 = 11 << 20;

/// How queues are bounded beside the limits of each session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// Seconds that a message may wait in a queue before it was sent; 0 sets no limit.
    pub age_s_max: u32,
    /// The first rule whose filter matches a topic decides for it.
    pub rules: Vec<QueueRule>,
    /// Where copies of messages go that were dropped, each below this topic; `None` makes none.
    pub dead_letter_topic: Option<TopicName>,
    /// Durable sessions that one message may be for; one for more is refused.
    pub durable_targets_max: usize,
    /// Bytes that a message with its durable targets may take in the store; a larger one is refused.
    pub record_bytes_max: u64,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            age_s_max: 0,
            rules: Vec::new(),
            dead_letter_topic: None,
            durable_targets_max: DURABLE_TARGETS_MAX,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// Limits on what one session holds of some topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRule {
    pub filter: TopicFilter,
    pub messages_max: u64,
    pub bytes_max: u64,
    /// In place of the general one.
    pub age_s_max: u32,
    /// [`OnFull::DropOldest`] drops the newest here: to find the oldest of some topics would take a walk of the queue.
    pub on_full: OnFull,
}

impl QueueSettings {
    /// The number of the rule for a topic; 0 is none.
    pub fn rule_for(&self, topic: &TopicName) -> u8 {
        let found = self.rules.iter().take(RULES_MAX).position(|rule| rule.filter.matches(topic));
        found.and_then(|index| u8::try_from(index + 1).ok()).unwrap_or(0)
    }

    pub fn rule(&self, number: u8) -> Option<&QueueRule> {
        self.rules.get(usize::from(number).checked_sub(1)?)
    }

    /// When a message that is routed now has waited for too long.
    pub fn give_up_at(&self, rule: u8, now: Now) -> Option<Now> {
        let age_s_max = self.rule(rule).map_or(self.age_s_max, |rule| rule.age_s_max);
        (age_s_max > 0).then(|| now.plus_seconds(age_s_max))
    }
}

impl QueueRule {
    /// Whether a session that holds `held` may take `more`.
    pub fn has_room(&self, held: Room, more: Room) -> bool {
        held.messages + more.messages <= self.messages_max && held.bytes + more.bytes <= self.bytes_max
    }
}

/// What one session holds of each rule.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Users: publishers (to look and to reserve), the session's owner (to give back). Not touched where no rule
    /// matches. Held for an addition.
    held: Mutex<ByRule>,
}

impl Allowance {
    pub fn held(&self, rule: u8) -> Room {
        if rule == 0 { Room::default() } else { self.held.lock().of(rule) }
    }

    pub fn reserve(&self, reserved: &ByRule) {
        if !reserved.is_empty() {
            self.held.lock().merge(reserved);
        }
    }

    pub fn give_back(&self, released: &ByRule) {
        if !released.is_empty() {
            self.held.lock().subtract(released);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Text;

    fn rule(filter: &'static str, age_s_max: u32) -> QueueRule {
        let filter = TopicFilter::parse(&Text::from_static(filter)).unwrap();
        QueueRule { filter, messages_max: 2, bytes_max: 100, age_s_max, on_full: OnFull::Refuse }
    }

    fn topic(name: &str) -> TopicName {
        TopicName::try_from(name).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = vec![rule("a/b", 5), rule("a/#", 0)];
        let settings = QueueSettings { age_s_max: 7, rules, ..QueueSettings::default() };
        let number = |name| settings.rule_for(&topic(name));
        assert_eq!((number("a/b"), number("a/c"), number("b")), (1, 2, 0));
        let now = Now::from_millis(1000);
        assert_eq!(settings.give_up_at(1, now), Some(Now::from_millis(6000)));
        assert_eq!(settings.give_up_at(2, now), None);
        assert_eq!(settings.give_up_at(0, now), Some(Now::from_millis(8000)));
    }

    #[test]
    fn a_rule_counts_messages_and_bytes() {
        let rule = rule("a", 0);
        let held = |messages, bytes| Room { messages, bytes };
        assert!(rule.has_room(held(1, 50), held(1, 50)));
        assert!(!rule.has_room(held(2, 50), held(1, 50)));
        assert!(!rule.has_room(held(1, 51), held(1, 50)));
    }

    #[test]
    fn what_a_session_gives_back_is_free_again() {
        let allowance = Allowance::default();
        let mut space = ByRule::default();
        space.add(1, Room { messages: 1, bytes: 10 });
        allowance.reserve(&space);
        allowance.reserve(&space);
        allowance.give_back(&space);
        assert_eq!(allowance.held(1), Room { messages: 1, bytes: 10 });
        assert_eq!(allowance.held(0), Room::default());
    }
}
