//! The key of the tree's ordered maps: a hash first, then the bytes.
//!
//! Peers choose the filters, so a hash table would need a secret seed, and growing one past a million entries would
//! stop all routing while it is rehashed. An ordered map has neither fault, and with a hash as the first thing compared
//! a search reads the map's nodes only, not each key's bytes. Equal hashes fall back to comparing bytes, so colliding
//! keys, chosen or not, still cost the logarithm: the hash need not resist anybody.
use super::levels::split_level;
use crate::types::TopicFilter;
use rustc_hash::FxHasher;
use std::cmp::Ordering;
use std::hash::Hasher;
use std::ops::Deref;
use std::sync::Arc;

/// A run of levels, ordered by its head: all of it for exact filters, its first level for the trie's labels.
#[derive(Debug, Clone)]
pub(super) struct Key<'a> {
    hash: u32,
    head_bytes: u16,
    bytes: Levels<'a>,
}

#[derive(Debug, Clone)]
enum Levels<'a> {
    Lent(&'a [u8]),
    Own(Box<[u8]>),
    /// Of a filter, which its session keeps as well.
    Shared(Arc<[u8]>),
}

impl Deref for Levels<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Lent(bytes) => bytes,
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Key<'static> {
    /// Of a filter without wildcards, compared by all its bytes.
    pub fn exact(filter: &TopicFilter) -> Self {
        let key = Key::whole(filter.inner());
        if filter.is_shared() {
            return key.into_owned();
        }
        Self { hash: key.hash, head_bytes: key.head_bytes, bytes: Levels::Shared(filter.to_bytes()) }
    }
}

impl<'a> Key<'a> {
    /// Compared by all its bytes.
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self::with_head(bytes, bytes)
    }

    /// Compared by its first level only.
    pub fn first_level(bytes: &'a [u8]) -> Self {
        Self::with_head(bytes, split_level(bytes).0)
    }

    fn with_head(bytes: &'a [u8], head: &[u8]) -> Self {
        let mut hasher = FxHasher::default();
        hasher.write(head);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        let head_bytes = u16::try_from(head.len()).expect("a text has at most 65,535 bytes");
        Self { hash: u32::from_le_bytes([a, b, c, d]), head_bytes, bytes: Levels::Lent(bytes) }
    }

    /// With bytes of its own, so that no read buffer is kept alive.
    pub fn into_owned(self) -> Key<'static> {
        let bytes = match self.bytes {
            Levels::Lent(bytes) => Levels::Own(bytes.into()),
            Levels::Own(bytes) => Levels::Own(bytes),
            Levels::Shared(bytes) => Levels::Shared(bytes),
        };
        Key { hash: self.hash, head_bytes: self.head_bytes, bytes }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn head(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.head_bytes)).unwrap_or_default()
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.head().cmp(other.head()))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key<'_> {}
