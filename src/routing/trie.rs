//! Filters with wildcards, in a trie of levels whose labels are as long as they can be.
//!
//! A label is a run of levels, wildcards included, joined by slashes. Every node but the root has subscribers or at
//! least two children, so there are fewer than two nodes per filter however many levels the filters have: two filters
//! of 65,535 slashes cost three nodes. Nothing here recurses, dropping included: depth is for peers to choose.
use super::audience::Audience;
use super::children::{Children, Node};
use super::key::Key;
use super::levels::split_level;
use super::subscription::Subscriber;
use crate::types::TopicName;

pub(super) struct Trie<S> {
    root: Node<S>,
}

/// What a label leaves of a topic.
enum Stripped<'a> {
    Mismatch,
    /// The label fits; `None` is no level left.
    Rest(Option<&'a [u8]>),
    /// The label ends in `#`, which takes all that is left.
    Everything,
}

impl<S> Default for Trie<S> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<S: Subscriber> Trie<S> {
    /// Passes on the audience of each filter that matches the topic; tells how many nodes were looked at.
    ///
    /// A node is looked at once at most, and only if all levels above it match, for at most three children per node
    /// that matches: `#`, `+` and the level itself. So the work is bounded by the filters that match a beginning of the
    /// topic, times the topic's length; there is no way to make it more than the filters that were subscribed.
    pub fn walk<'t>(&'t self, topic: &'t TopicName, mut found: impl FnMut(&'t Audience<S>)) -> usize {
        let (plus, hash) = (Key::first_level(b"+"), Key::first_level(b"#"));
        let mut looked_at = 0;
        let mut open: Vec<(&Children<S>, Option<&[u8]>)> = Vec::new();
        open.extend(self.root.children.as_deref().map(|children| (children, Some(topic.as_bytes().as_ref()))));
        // [MQTT-4.7.2-1]: holds for the first level, so for the root's children.
        let mut wildcards_hidden = topic.is_internal();
        while let Some((children, rest)) = open.pop() {
            let literal = rest.map(|rest| Key::first_level(split_level(rest).0));
            let wildcards = if wildcards_hidden { [None, None] } else { [Some(&hash), rest.and(Some(&plus))] };
            wildcards_hidden = false;
            for key in wildcards.into_iter().flatten().chain(literal.as_ref()) {
                let Some((label, node)) = children.find(key) else { continue };
                looked_at += 1;
                match strip(label, rest) {
                    Stripped::Mismatch => {}
                    Stripped::Everything => node.audience.as_deref().into_iter().for_each(&mut found),
                    Stripped::Rest(rest) => {
                        if rest.is_none() {
                            node.audience.as_deref().into_iter().for_each(&mut found);
                        }
                        open.extend(node.children.as_deref().map(|children| (children, rest)));
                    }
                }
            }
        }
        looked_at
    }

    pub fn find<'t>(&'t self, filter: &'t [u8]) -> Option<&'t Audience<S>> {
        let (mut node, mut rest) = (&self.root, Some(filter));
        while let Some(levels) = rest {
            let (label, child) = node.children.as_deref()?.find(&Key::first_level(levels))?;
            rest = after_label(levels, label)?;
            node = child;
        }
        node.audience.as_deref()
    }

    pub fn find_mut(&mut self, filter: &[u8]) -> Option<&mut Audience<S>> {
        let starts = self.starts(filter)?;
        self.node_mut(filter, &starts).audience.as_deref_mut()
    }

    /// The audience of the filter, made if there is none.
    pub fn find_or_make(&mut self, filter: &[u8]) -> &mut Audience<S> {
        let (mut node, mut rest) = (&mut self.root, Some(filter));
        while let Some(levels) = rest {
            let key = Key::first_level(levels).into_owned();
            let label = node.children.as_deref().and_then(|children| children.find(&key)).map(|(label, _)| label);
            let Some((shared_bytes, label_bytes)) = label.map(|label| (shared_levels(label, levels), label.len()))
            else {
                node.put_child(key, Node::default());
                break;
            };
            if shared_bytes < label_bytes {
                split_child(node, &key, shared_bytes);
            }
            rest = levels.get(shared_bytes + 1..);
            node = node.child_mut(&key).expect("found or split just now");
        }
        if let Some(levels) = rest {
            node = node.child_mut(&Key::first_level(levels).into_owned()).expect("put there just now");
        }
        node.audience.get_or_insert_default()
    }

    /// Takes the filter's audience away, and the nodes that are there for nothing then.
    pub fn remove(&mut self, filter: &[u8]) {
        let Some(starts) = self.starts(filter) else { return };
        self.node_mut(filter, &starts).audience = None;
        self.tidy(filter, &starts);
        // Its parent may be left with one child; it was there for two or for subscribers, so it goes no further up.
        if let Some((_, above)) = starts.split_last() {
            self.tidy(filter, above);
        }
    }

    /// Where the labels on the way to the filter's node start in it; `None` if there is no such node.
    fn starts(&self, filter: &[u8]) -> Option<Vec<usize>> {
        let (mut node, mut rest, mut starts) = (&self.root, Some(filter), Vec::new());
        while let Some(levels) = rest {
            let (label, child) = node.children.as_deref()?.find(&Key::first_level(levels))?;
            rest = after_label(levels, label)?;
            starts.push(filter.len() - levels.len());
            node = child;
        }
        Some(starts)
    }

    fn node_mut(&mut self, filter: &[u8], starts: &[usize]) -> &mut Node<S> {
        starts.iter().fold(&mut self.root, |node, start| {
            node.child_mut(&key_at(filter, *start)).expect("the way was found just now")
        })
    }

    /// Removes the node at the end of the way if it is empty; joins it with its child if it is there for that only.
    fn tidy(&mut self, filter: &[u8], starts: &[usize]) {
        let Some((last, above)) = starts.split_last() else { return };
        let parent = self.node_mut(filter, above);
        let key = key_at(filter, *last);
        let node = parent.child_mut(&key).expect("the way was found just now");
        let children = node.children.as_ref().map_or(0, |children| children.len());
        if node.audience.is_some() || children > 1 {
            return;
        }
        let (label, node) = parent.take_child(&key).expect("seen just now");
        if let Some((below, child)) = node.children.and_then(|only| only.into_nodes().next()) {
            let joined = [label.bytes(), below.bytes()].join(&b'/');
            parent.put_child(Key::first_level(&joined).into_owned(), child);
        }
    }

    /// How many nodes there are, without the root.
    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        let mut count = 0;
        let mut open: Vec<&Children<S>> = self.root.children.as_deref().into_iter().collect();
        while let Some(children) = open.pop() {
            count += children.len();
            open.extend(children.nodes().filter_map(|node| node.children.as_deref()));
        }
        count
    }
}

/// Nodes own their children, so dropping the root as it is would recurse as deep as the longest filter.
impl<S> Drop for Trie<S> {
    fn drop(&mut self) {
        let mut open: Vec<_> = self.root.children.take().into_iter().collect();
        while let Some(children) = open.pop() {
            open.extend(children.into_nodes().filter_map(|(_, mut node)| node.children.take()));
        }
    }
}

/// The key of the label that starts there.
fn key_at(filter: &[u8], start: usize) -> Key<'static> {
    Key::first_level(filter.get(start..).unwrap_or_default()).into_owned()
}

/// Cuts a child's label in two behind the first `kept_bytes` of it, with a node between the halves.
fn split_child<S>(parent: &mut Node<S>, key: &Key<'static>, kept_bytes: usize) {
    let (label, child) = parent.take_child(key).expect("the caller found it");
    let (upper, slash_and_lower) = label.bytes().split_at(kept_bytes);
    let lower = slash_and_lower.strip_prefix(b"/").expect("labels are cut between levels");
    let mut between = Node::default();
    between.put_child(Key::first_level(lower).into_owned(), child);
    parent.put_child(Key::first_level(upper).into_owned(), between);
}

/// How many bytes of whole levels two runs begin with in common, slashes between them included.
fn shared_levels(a: &[u8], b: &[u8]) -> usize {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let ends_level = |run: &[u8]| run.get(same).is_none_or(|byte| *byte == b'/');
    if ends_level(a) && ends_level(b) {
        return same;
    }
    a.iter().take(same).rposition(|byte| *byte == b'/').unwrap_or(0)
}

/// What follows the label in a filter that begins with it, wildcards taken literally: outer `None` if it does not.
fn after_label<'a>(levels: &'a [u8], label: &[u8]) -> Option<Option<&'a [u8]>> {
    match levels.strip_prefix(label)? {
        [] => Some(None),
        [b'/', rest @ ..] => Some(Some(rest)),
        _ => None,
    }
}

/// Matches a label against the levels left of a topic (section 4.7.1).
fn strip<'a>(label: &[u8], mut rest: Option<&'a [u8]>) -> Stripped<'a> {
    for wanted in label.split(|byte| *byte == b'/') {
        if wanted == b"#" {
            return Stripped::Everything;
        }
        let Some((level, below)) = rest.map(split_level) else { return Stripped::Mismatch };
        if wanted != b"+" && wanted != level {
            return Stripped::Mismatch;
        }
        rest = below;
    }
    Stripped::Rest(rest)
}
