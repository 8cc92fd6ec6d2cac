//! Keys whose hash is computed once: a tunnel's are looked up a dozen times from its handshake to its
//! end, and hashing their names was an eighth of what a handshake cost outside the kernel.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::ops::Deref;

/// A key and its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hashed<K> {
    // First, so that keys that differ are told apart by it.
    hash: u64,
    key: K,
}

/// For maps of hashed keys. Clients choose some of what is in a key, but not its hash: that is from
/// a keyed function.
pub(super) type ByHash = BuildHasherDefault<Known>;

/// Takes a hash as it is.
#[derive(Debug, Default)]
pub(super) struct Known(u64);

impl<K: Hash> Hashed<K> {
    pub(super) fn new(key: K, hasher: &RandomState) -> Self {
        let hash = hasher.hash_one(&key);
        Self { hash, key }
    }
}

impl<K> Hashed<K> {
    /// One of `count` parts, chosen by other bits than a map goes by.
    pub(super) const fn shut_legs(&self, count: usize) -> usize {
        (self.hash >> 32) as usize % count
    }
}

impl<K> Deref for Hashed<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K> Hash for Hashed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hasher for Known {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_key_is_found_by_an_equal_one_and_no_other() {
        let hasher = RandomState::new();
        let key = |number: u32| Hashed::new(number.to_string(), &hasher);
        let map: HashMap<_, _, ByHash> = (0..1000).map(|n| (Arc::new(key(n)), n)).collect();
        assert!((0..1000).all(|n| map.get(&key(n)) == Some(&n)));
        assert_eq!(map.get(&key(1000)), None);
        let parts: Vec<usize> = (0..1000).map(|n| key(n).shut_legs(4)).collect();
        assert!((0..4).all(|part| parts.contains(&part)), "keys are spread");
    }
}
