//! The rules of one file, in their order.
use super::pattern::{Filled, Pattern};
use super::rights::Clause;
use super::who::Who;
use super::{Fault, Rights, Subject, mosquitto, own_form};
use crate::types::QoS;
use std::collections::BTreeMap;
use std::fmt;

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1; `None` where rules are lines.
    pub rule: Option<usize>,
    /// Counted from 1; `None` where it is not known.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rule, self.line) {
            (Some(rule), Some(line)) => write!(formatter, "rule {rule} (line {line})"),
            (Some(rule), None) => write!(formatter, "rule {rule}"),
            (None, Some(line)) => write!(formatter, "line {line}"),
            (None, None) => formatter.write_str("the file"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Publish,
    Subscribe,
    All,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub place: Place,
    pub effect: Effect,
    pub action: Action,
    pub who: Who,
    pub topics: Vec<Pattern>,
    /// The highest level that it allows.
    pub qos_max: QoS,
    /// It speaks only of publishes with RETAIN set, or only of those without.
    pub retain: Option<bool>,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules(Option<Listed>);

#[derive(Debug, Clone, PartialEq)]
struct Listed {
    rules: Vec<Rule>,
    /// Rules that name their users, by user, so that a file with many users costs each of them little.
    by_user: BTreeMap<String, Vec<usize>>,
    /// All the others.
    general: Vec<usize>,
}

impl Rules {
    /// No file: everything but writing to topics that begin with `$`.
    pub fn open() -> Self {
        Self(None)
    }

    /// Reads a file of VowMQ's own form (docs/ACCESS.md). One without any rule denies everything.
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        own_form::parse(text).map(Self::of)
    }

    /// Reads a file as Mosquitto's `acl_file` is written.
    pub fn parse_mosquitto(text: &str) -> Result<Self, Vec<Fault>> {
        mosquitto::parse(text).map(Self::of)
    }

    fn of(rules: Vec<Rule>) -> Self {
        let (mut by_user, mut general) = (BTreeMap::<String, Vec<usize>>::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            match rule.who.exact_users() {
                Some(users) => {
                    users.into_iter().for_each(|user| by_user.entry(user.to_owned()).or_default().push(index));
                }
                None => general.push(index),
            }
        }
        Self(Some(Listed { rules, by_user, general }))
    }

    pub fn is_open(&self) -> bool {
        self.0.is_none()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |listed| listed.rules.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What follows from the rules for one client.
    pub fn rights(&self, subject: Subject<'_>) -> Rights {
        let Some(listed) = &self.0 else { return Rights::open() };
        let user = subject.identity.user.as_ref().map(|user| user.as_str());
        let own = user.and_then(|user| listed.by_user.get(user)).map_or(&[][..], Vec::as_slice);
        let mut indices: Vec<_> = own.iter().chain(&listed.general).copied().collect();
        indices.sort_unstable();
        indices.dedup();
        let speaking = indices.into_iter().filter_map(|index| listed.rules.get(index));
        let (mut clauses, mut left_out) = (Vec::new(), Vec::new());
        for rule in speaking.filter(|rule| rule.who.matches(subject)) {
            let (clause, is_whole) = rule.clause(subject);
            clauses.push(clause);
            left_out.extend((!is_whole).then_some(rule.place));
        }
        Rights::listed(clauses, left_out)
    }
}

impl Rule {
    /// The rule with the client's names put in; false if one of them cannot be.
    fn clause(&self, subject: Subject<'_>) -> (Clause, bool) {
        let mut is_whole = true;
        let mut filters = Vec::with_capacity(self.topics.len());
        for pattern in &self.topics {
            match (pattern.fill(subject), self.effect) {
                (Filled::Filter(filter), _) => filters.push(filter),
                (Filled::Missing, _) => {}
                (Filled::Unusable { .. }, Effect::Allow) => is_whole = false,
                // A name that cannot be put in must not lead around a denial: everything is denied it may have meant.
                (Filled::Unusable { within }, Effect::Deny) => {
                    is_whole = false;
                    filters.push(within);
                }
            }
        }
        let Self { place, effect, action, qos_max, retain, .. } = *self;
        (Clause { place, effect, action, filters, qos_max, retain }, is_whole)
    }
}
