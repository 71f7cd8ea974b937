//! The rights of one client.
use super::Place;
use super::filters::{covers, overlaps};
use super::rule::{Action, Effect};
use crate::types::{QoS, TopicFilter, TopicName};

/// What the rules come to for one client.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rights {
    /// `None`: there are no rules.
    clauses: Option<Vec<Clause>>,
    left_out: Vec<Place>,
}

/// A rule that speaks of the client, with its names put in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Clause {
    pub place: Place,
    pub effect: Effect,
    pub action: Action,
    pub filters: Vec<String>,
    pub qos_max: QoS,
    pub retain: Option<bool>,
}

/// Whether something is allowed, and what decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub is_allowed: bool,
    /// The highest QoS that it is allowed with.
    pub qos_max: QoS,
    pub decided: Decided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    By(Place),
    /// A rule denies a part of what was asked for.
    ByPartOf(Place),
    /// No rule speaks of it, or none of all that was asked for.
    ByNone,
    /// There are no rules.
    WithoutRules,
    /// `$SYS` belongs to the broker.
    Internal,
}

/// With which QoS and RETAIN one topic may be published to: a bit for each combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publishing(u8);

const COMBINATIONS: [(QoS, bool); 6] = [
    (QoS::AtMostOnce, false),
    (QoS::AtLeastOnce, false),
    (QoS::ExactlyOnce, false),
    (QoS::AtMostOnce, true),
    (QoS::AtLeastOnce, true),
    (QoS::ExactlyOnce, true),
];

impl Publishing {
    pub fn allows(self, qos: QoS, retain: bool) -> bool {
        self.0 & (1 << (qos as u8 + if retain { 3 } else { 0 })) != 0
    }
}

impl Verdict {
    const fn denied(decided: Decided) -> Self {
        Self { is_allowed: false, qos_max: QoS::AtMostOnce, decided }
    }

    const fn allowed(qos_max: QoS, decided: Decided) -> Self {
        Self { is_allowed: true, qos_max, decided }
    }
}

impl Rights {
    pub fn open() -> Self {
        Self::default()
    }

    pub(super) fn listed(clauses: Vec<Clause>, left_out: Vec<Place>) -> Self {
        Self { clauses: Some(clauses), left_out }
    }

    /// Whether there are no rules at all.
    pub fn is_open(&self) -> bool {
        self.clauses.is_none()
    }

    /// Rules that would speak of the client if its names had no wildcard, slash or control character.
    pub fn left_out(&self) -> &[Place] {
        &self.left_out
    }

    /// How one topic may be published to.
    pub fn publishing(&self, topic: &TopicName) -> Publishing {
        let (mut decided, mut allowed) = (0_u8, 0_u8);
        let Some(clauses) = self.clauses.as_ref().filter(|_| !is_sys(topic.as_bytes())) else {
            let is_allowed = self.publish(topic, QoS::AtMostOnce, false).is_allowed;
            return Publishing(if is_allowed { u8::MAX } else { 0 });
        };
        // All combinations in one pass: each is decided by the first clause that speaks of it.
        for clause in clauses.iter().filter(|clause| clause.speaks_of_publishing(topic)) {
            for (bit, (qos, retain)) in COMBINATIONS.into_iter().enumerate() {
                let mask = 1 << bit;
                if decided & mask == 0 && clause.speaks_of(qos, retain) {
                    decided |= mask;
                    allowed |= if clause.effect == Effect::Allow { mask } else { 0 };
                }
            }
        }
        Publishing(allowed)
    }

    pub fn publish(&self, topic: &TopicName, qos: QoS, retain: bool) -> Verdict {
        if is_sys(topic.as_bytes()) {
            return Verdict::denied(Decided::Internal);
        }
        let Some(clauses) = &self.clauses else {
            let verdict =
                if topic.is_internal() { Verdict::denied } else { |by| Verdict::allowed(QoS::ExactlyOnce, by) };
            return verdict(Decided::WithoutRules);
        };
        let mut speaking = clauses.iter().filter(|clause| clause.speaks_of_publishing(topic));
        let decisive = speaking.find(|clause| clause.speaks_of(qos, retain));
        decisive.map_or(Verdict::denied(Decided::ByNone), Clause::verdict)
    }

    /// Whether all that a filter matches may be read. A shared one is judged by the filter in it.
    pub fn subscribe(&self, filter: &TopicFilter) -> Verdict {
        self.read(filter.inner())
    }

    /// Whether messages on this topic may be read.
    pub fn may_read(&self, topic: &TopicName) -> bool {
        self.read(topic.as_bytes()).is_allowed
    }

    fn read(&self, asked: &[u8]) -> Verdict {
        let Some(clauses) = &self.clauses else {
            return Verdict::allowed(QoS::ExactlyOnce, Decided::WithoutRules);
        };
        for clause in clauses.iter().filter(|clause| clause.action != Action::Publish) {
            if clause.filters.iter().any(|filter| covers(filter.as_bytes(), asked)) {
                return clause.verdict();
            }
            // What is allowed further down would let through what is denied here.
            let is_part_denied =
                clause.effect == Effect::Deny && clause.filters.iter().any(|filter| overlaps(filter.as_bytes(), asked));
            if is_part_denied {
                return Verdict::denied(Decided::ByPartOf(clause.place));
            }
        }
        Verdict::denied(Decided::ByNone)
    }
}

impl Clause {
    fn speaks_of_publishing(&self, topic: &TopicName) -> bool {
        // A topic is a filter that matches itself alone.
        let is_held = |filter: &String| covers(filter.as_bytes(), topic.as_bytes());
        self.action != Action::Subscribe && self.filters.iter().any(is_held)
    }

    fn speaks_of(&self, qos: QoS, retain: bool) -> bool {
        qos <= self.qos_max && self.retain.is_none_or(|retained| retained == retain)
    }

    fn verdict(&self) -> Verdict {
        match self.effect {
            Effect::Allow => Verdict::allowed(self.qos_max, Decided::By(self.place)),
            Effect::Deny => Verdict::denied(Decided::By(self.place)),
        }
    }
}

fn is_sys(topic: &[u8]) -> bool {
    topic.split(|byte| *byte == b'/').next() == Some(b"$SYS")
}
