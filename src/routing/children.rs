//! The trie's nodes and how a node keeps the nodes below it.
use super::audience::Audience;
use super::key::Key;
use std::collections::BTreeMap;

/// A place in the trie. The label that leads here is its key in the parent's children.
pub(super) struct Node<S> {
    /// Who subscribed with the filter that ends here.
    pub audience: Option<Box<Audience<S>>>,
    /// Never empty.
    pub children: Option<Box<Children<S>>>,
}

/// Labelled nodes, found by their label's first level, in which no two siblings agree.
pub(super) enum Children<S> {
    /// Most nodes have few children, and an ordered map's first node has room for eleven.
    Few(Vec<(Key<'static>, Node<S>)>),
    Many(BTreeMap<Key<'static>, Node<S>>),
}

const FEW_MAX: usize = 8;

impl<S> Default for Node<S> {
    fn default() -> Self {
        Self { audience: None, children: None }
    }
}

impl<S> Default for Children<S> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<S> Node<S> {
    pub fn child_mut(&mut self, key: &Key<'static>) -> Option<&mut Node<S>> {
        match self.children.as_deref_mut()? {
            Children::Few(few) => {
                let place = place(few, key).ok()?;
                few.get_mut(place).map(|(_, node)| node)
            }
            Children::Many(many) => many.get_mut(key),
        }
    }

    pub fn take_child(&mut self, key: &Key<'static>) -> Option<(Key<'static>, Node<S>)> {
        let children = self.children.as_deref_mut()?;
        let taken = children.take(key);
        if children.len() == 0 {
            self.children = None;
        }
        taken
    }

    pub fn put_child(&mut self, key: Key<'static>, node: Node<S>) {
        self.children.get_or_insert_default().put(key, node);
    }
}

impl<S> Children<S> {
    pub fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    /// The child whose label begins with the key's first level, and its label.
    pub fn find<'t>(&'t self, key: &Key<'t>) -> Option<(&'t [u8], &'t Node<S>)> {
        match self {
            Self::Few(few) => few.get(place(few, key).ok()?).map(|(key, node)| (key.bytes(), node)),
            Self::Many(many) => {
                // The map of owned keys passes for one of shorter-lived keys, so that no key is copied to look it up.
                let many: &BTreeMap<Key<'t>, Node<S>> = many;
                many.get_key_value(key).map(|(key, node)| (key.bytes(), node))
            }
        }
    }

    fn take(&mut self, key: &Key<'static>) -> Option<(Key<'static>, Node<S>)> {
        match self {
            Self::Few(few) => {
                let taken = few.remove(place(few, key).ok()?);
                few.shrink_to_fit();
                Some(taken)
            }
            Self::Many(many) => many.remove_entry(key),
        }
    }

    fn put(&mut self, key: Key<'static>, node: Node<S>) {
        match self {
            Self::Few(few) if few.len() < FEW_MAX => {
                let place = place(few, &key).unwrap_or_else(|place| place);
                few.reserve_exact(1);
                few.insert(place, (key, node));
            }
            Self::Few(few) => {
                let mut many: BTreeMap<_, _> = std::mem::take(few).into_iter().collect();
                many.insert(key, node);
                *self = Self::Many(many);
            }
            Self::Many(many) => {
                many.insert(key, node);
            }
        }
    }

    pub fn into_nodes(self) -> impl Iterator<Item = (Key<'static>, Node<S>)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(many)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

fn place<S>(few: &[(Key<'static>, Node<S>)], key: &Key<'_>) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(key))
}
