//! Retained messages (section 3.3.1.3), in the order of their topics.
//!
//! All topics below one level are neighbours: those that begin with `a/` lie from `a/` up to but not including `a0`, as
//! `0` is the byte after the slash. So a filter is answered by jumps: at a topic that does not match, the topic itself
//! tells how far no match can be.
use super::levels::split_level;
use crate::types::{TopicFilter, TopicName};
use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::ops::Bound::{self, Excluded, Included, Unbounded};

/// One message per topic. Topics and messages are kept as they are given: pass ones that own their bytes.
#[derive(Debug, Clone)]
pub struct Retained<M> {
    messages: BTreeMap<Topic, M>,
}

pub type Entry<'a, M> = btree_map::Entry<'a, Topic, M>;

/// A part of an answer.
#[derive(Debug, Clone)]
pub struct Page<M> {
    /// In topic order.
    pub found: Vec<(TopicName, M)>,
    /// What to pass as `after` for the next page; `None` after the last one.
    pub next: Option<TopicName>,
}

/// A topic that can be looked up by bytes that are no topic, such as the end of a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(TopicName);

impl Borrow<[u8]> for Topic {
    fn borrow(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What a look at one topic says.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Match,
    /// No match; the next may be right behind it.
    Step,
    /// No match before these bytes, which are greater than the topic.
    Jump(Vec<u8>),
    /// No match from here on.
    End,
}

/// The byte after the slash, and the one after `$`: where the topics that begin with those end.
const AFTER_SLASH: u8 = b'/' + 1;
const AFTER_DOLLAR: u8 = b'$' + 1;

impl<M> Default for Retained<M> {
    fn default() -> Self {
        Self { messages: BTreeMap::new() }
    }
}

impl<M: Clone> Retained<M> {
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the message in the place of the one before [MQTT-3.3.1-5], which is returned.
    pub fn insert(&mut self, topic: TopicName, message: M) -> Option<M> {
        self.messages.insert(Topic(topic), message)
    }

    /// The place of a topic, whether there is a message or not.
    pub fn entry(&mut self, topic: TopicName) -> Entry<'_, M> {
        self.messages.entry(Topic(topic))
    }

    pub fn remove(&mut self, topic: &TopicName) -> Option<M> {
        self.messages.remove(topic.as_bytes().as_ref())
    }

    pub fn get(&self, topic: &TopicName) -> Option<&M> {
        self.messages.get(topic.as_bytes().as_ref())
    }

    pub fn len(&self) -> usize {
        self.messages.len()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Up to `at_most` matches, starting behind the topic `after`, in topic order.
    ///
    /// Fewer matches than asked for mean that there are no more. How many topics that do not match are looked at on the
    /// way is not bounded; `page` bounds it.
    pub fn matching(&self, filter: &TopicFilter, after: Option<&TopicName>, at_most: usize) -> Vec<(TopicName, M)> {
        self.scan(filter, after, at_most, usize::MAX).0.found
    }

    /// As `matching`, but looks at `looks_max` topics at most, so that a page may end before it is full, or empty. A
    /// caller that holds a lock can let go of it between pages. Both limits count as 1 at least.
    pub fn page(&self, filter: &TopicFilter, after: Option<&TopicName>, at_most: usize, looks_max: usize) -> Page<M> {
        self.scan(filter, after, at_most.max(1), looks_max.max(1)).0
    }

    /// The page, and how many topics were looked at.
    fn scan(
        &self,
        filter: &TopicFilter,
        after: Option<&TopicName>,
        at_most: usize,
        looks_max: usize,
    ) -> (Page<M>, usize) {
        let mut page = Page { found: Vec::new(), next: after.cloned() };
        let mut looks = 0;
        let levels: Vec<&[u8]> = filter.inner().split(|byte| *byte == b'/').collect();
        let mut candidates = self.range(after.map_or(Unbounded, |after| Excluded(after.as_bytes().as_ref())));
        while page.found.len() < at_most && looks < looks_max {
            let Some((topic, message)) = candidates.next() else {
                page.next = None;
                break;
            };
            looks += 1;
            match look(&levels, &topic.0) {
                Look::Match => page.found.push((topic.0.clone(), message.clone())),
                Look::Step => {}
                Look::Jump(to) => candidates = self.range(Included(&to)),
                Look::End => {
                    page.next = None;
                    break;
                }
            }
            page.next = Some(topic.0.clone());
        }
        (page, looks)
    }

    fn range(&self, from: Bound<&[u8]>) -> std::collections::btree_map::Range<'_, Topic, M> {
        self.messages.range::<[u8], _>((from, Unbounded))
    }
}

/// Compares a topic with a filter's levels (sections 4.7.1 and 4.7.2).
fn look(levels: &[&[u8]], topic: &TopicName) -> Look {
    // [MQTT-4.7.2-1]
    if topic.is_internal() && matches!(levels.first(), Some(&(b"+" | b"#"))) {
        return Look::Jump(vec![AFTER_DOLLAR]);
    }
    let bytes: &[u8] = topic.as_bytes();
    let (mut wanted, mut rest) = (levels, Some(bytes));
    while let Some((first, further)) = wanted.split_first() {
        if *first == b"#" {
            return Look::Match;
        }
        let Some(left) = rest else { return Look::Step };
        let (level, below) = split_level(left);
        if *first != b"+" && *first != level {
            let (above, _) = bytes.split_at(bytes.len() - left.len());
            return jump_to_literal(above, left, wanted);
        }
        (wanted, rest) = (further, below);
    }
    let Some(below) = rest else { return Look::Match };
    // The topic goes on where the filter ends, and so do all topics in this place.
    let (above, _) = bytes.split_at(bytes.len() - below.len());
    past_all_below(above)
}

/// How far no match can be, given that `left` of a topic does not begin with the literal level that is wanted there.
fn jump_to_literal(above: &[u8], left: &[u8], wanted: &[&[u8]]) -> Look {
    let Some((literal, further)) = wanted.split_first() else { return Look::Step };
    if left < *literal {
        return Look::Jump(least_match(above, wanted));
    }
    // Topics such as `a!` are between `a` and `a/`.
    let is_before_slash = matches!(left.strip_prefix(*literal), Some([byte, ..]) if *byte < b'/');
    if !further.is_empty() && is_before_slash {
        let mut least = least_match(above, wanted);
        if further.first() == Some(&b"#".as_slice()) {
            least.push(b'/');
        }
        return Look::Jump(least);
    }
    past_all_below(above)
}

/// The least bytes that a match below `above` can begin with: the literal levels up to a wildcard.
fn least_match(above: &[u8], wanted: &[&[u8]]) -> Vec<u8> {
    let mut least = above.to_vec();
    for (place, level) in wanted.iter().enumerate() {
        if *level == b"#" {
            break;
        }
        if place > 0 {
            least.push(b'/');
        }
        if *level == b"+" {
            break;
        }
        least.extend_from_slice(level);
    }
    least
}

/// Jumps over all topics that begin with `above`, which is empty or ends in a slash.
fn past_all_below(above: &[u8]) -> Look {
    let Some((_, parent)) = above.split_last() else { return Look::End };
    let mut end = parent.to_vec();
    end.push(AFTER_SLASH);
    Look::Jump(end)
}

#[cfg(test)]
mod tests;
