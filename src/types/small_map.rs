//! An ordered map that is small while it holds little.
use std::collections::BTreeMap;
use std::mem;

/// Like a [`BTreeMap`], whose first node has room for eleven entries; most of these hold one or two, and take as much as
/// that. A map that was large once stays a tree.
#[derive(Debug, Clone)]
pub enum SmallMap<K, V> {
    /// In the order of their keys.
    Few(Vec<(K, V)>),
    Many(Box<BTreeMap<K, V>>),
}

const FEW_MAX: usize = 8;

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Ord, V> SmallMap<K, V> {
    pub fn len(&self) -> usize {
        match self {
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.get_key_value(key).is_some()
    }

    /// The entry with this key, as it was put in.
    pub fn get_key_value(&self, key: &K) -> Option<(&K, &V)> {
        match self {
            Self::Few(few) => few.get(place(few, key).ok()?).map(|(key, value)| (key, value)),
            Self::Many(many) => many.get_key_value(key),
        }
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Few(few) => {
                let place = place(few, key).ok()?;
                few.get_mut(place).map(|(_, value)| value)
            }
            Self::Many(many) => many.get_mut(key),
        }
    }

    /// Puts a value in, and returns the one that had its key; the key itself stays the first one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Few(few) => match place(few, &key) {
                Ok(place) => few.get_mut(place).map(|(_, old)| mem::replace(old, value)),
                Err(place) if few.len() < FEW_MAX => {
                    few.reserve_exact(1);
                    few.insert(place, (key, value));
                    None
                }
                Err(_) => {
                    let mut many: Box<BTreeMap<_, _>> = Box::new(mem::take(few).into_iter().collect());
                    many.insert(key, value);
                    *self = Self::Many(many);
                    None
                }
            },
            Self::Many(many) => many.insert(key, value),
        }
    }

    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.remove_entry(key).map(|(_, value)| value)
    }

    pub fn remove_entry(&mut self, key: &K) -> Option<(K, V)> {
        match self {
            Self::Few(few) => {
                let removed = few.remove(place(few, key).ok()?);
                few.shrink_to_fit();
                Some(removed)
            }
            Self::Many(many) => many.remove_entry(key),
        }
    }

    /// In the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few.iter().map(|(key, value)| (key, value))), None),
            Self::Many(many) => (None, Some(many.iter())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

impl<K, V> SmallMap<K, V> {
    pub fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        let (few, many) = match self {
            Self::Few(few) => (Some(few), None),
            Self::Many(many) => (None, Some(*many)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SmallMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

fn place<K: Ord, V>(few: &[(K, V)], key: &K) -> Result<usize, usize> {
    few.binary_search_by(|(other, _)| other.cmp(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_ordered_map_whatever_its_size(steps in proptest::collection::vec((0..24u8, 0..3u8), 0..200)) {
            let (mut small, mut map) = (SmallMap::default(), BTreeMap::new());
            for (number, (key, what)) in steps.into_iter().enumerate() {
                match what {
                    0 => prop_assert_eq!(small.remove_entry(&key), map.remove_entry(&key)),
                    _ => prop_assert_eq!(small.insert(key, number), map.insert(key, number)),
                }
                prop_assert_eq!(small.get_key_value(&key), map.get_key_value(&key));
                prop_assert_eq!(small.get_mut(&key), map.get_mut(&key));
                prop_assert_eq!((small.len(), small.is_empty()), (map.len(), map.is_empty()));
                prop_assert!(small.iter().eq(map.iter()));
            }
            prop_assert!(small.into_entries().eq(map));
        }
    }

    #[test]
    fn one_entry_takes_the_room_of_one() {
        let mut map = SmallMap::default();
        map.insert(1, [0u8; 40]);
        assert!(matches!(&map, SmallMap::Few(few) if few.capacity() == 1));
        for key in 0..20 {
            map.insert(key, [0; 40]);
        }
        assert!(matches!(map, SmallMap::Many(_)));
    }
}
