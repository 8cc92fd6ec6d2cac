//! Which objects belong to a key: many of one kind to many of another.

use std::collections::{BTreeMap, BTreeSet};

/// Sets by key. A set is never empty.
#[derive(Debug)]
pub(crate) struct Links<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Links<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Ord> Links<K, V> {
    /// True when it is the first of its key.
    pub(crate) fn add(&mut self, key: K, value: V) -> bool {
        let values = self.0.entry(key).or_default();
        values.insert(value) && values.len() == 1
    }

    /// True when it was the last of its key.
    pub(crate) fn remove(&mut self, key: &K, value: &V) -> bool {
        let Some(values) = self.0.get_mut(key) else {
            return false;
        };
        let removed = values.remove(value);
        let is_empty = values.is_empty();
        if is_empty {
            self.0.remove(key);
        }
        removed && is_empty
    }

    pub(crate) fn of(&self, key: &K) -> impl Iterator<Item = &V> {
        self.0.get(key).into_iter().flatten()
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }
}
