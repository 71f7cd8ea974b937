//! The trie's nodes and how a node keeps the nodes below it.
use super::audience::Audience;
use super::key::Key;
use crate::types::SmallMap;

/// A place in the trie. The label that leads here is its key in the parent's children.
pub(super) struct Node<S> {
    /// Who subscribed with the filter that ends here.
    pub audience: Option<Box<Audience<S>>>,
    /// Never empty.
    pub children: Option<Box<Children<S>>>,
}

/// Labelled nodes, found by their label's first level, in which no two siblings agree. Most nodes have few.
pub(super) struct Children<S>(SmallMap<Key<'static>, Node<S>>);

impl<S> Default for Node<S> {
    fn default() -> Self {
        Self { audience: None, children: None }
    }
}

impl<S> Default for Children<S> {
    fn default() -> Self {
        Self(SmallMap::default())
    }
}

impl<S> Node<S> {
    pub fn child_mut(&mut self, key: &Key<'static>) -> Option<&mut Node<S>> {
        self.children.as_deref_mut()?.0.get_mut(key)
    }

    pub fn take_child(&mut self, key: &Key<'static>) -> Option<(Key<'static>, Node<S>)> {
        let children = self.children.as_deref_mut()?;
        let taken = children.0.remove_entry(key);
        if children.len() == 0 {
            self.children = None;
        }
        taken
    }

    pub fn put_child(&mut self, key: Key<'static>, node: Node<S>) {
        self.children.get_or_insert_default().0.insert(key, node);
    }
}

impl<S> Children<S> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The child whose label begins with the key's first level, and its label.
    pub fn find<'t>(&'t self, key: &Key<'t>) -> Option<(&'t [u8], &'t Node<S>)> {
        // The map of owned keys passes for one of shorter-lived keys, so that no key is copied to look it up.
        let children: &'t SmallMap<Key<'t>, Node<S>> = &self.0;
        children.get_key_value(key).map(|(key, node)| (key.bytes(), node))
    }

    #[cfg(test)]
    pub fn nodes(&self) -> impl Iterator<Item = &Node<S>> {
        self.0.iter().map(|(_, node)| node)
    }

    pub fn into_nodes(self) -> impl Iterator<Item = (Key<'static>, Node<S>)> {
        self.0.into_entries()
    }
}
