//! What outlives snapshots, for each namespace by itself: no tenant of a Gateway finds or fills what is
//! another one's.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// One for each namespace that some policy asks for.
pub(crate) struct PerNamespace<T> {
    make: fn() -> T,
    /// Those that no policy holds any more go when another namespace comes.
    known: Mutex<HashMap<String, Arc<T>>>,
}

impl<T> fmt::Debug for PerNamespace<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerNamespace").finish_non_exhaustive()
    }
}

impl<T> PerNamespace<T> {
    pub(super) fn new(make: fn() -> T) -> Self {
        Self {
            make,
            known: Mutex::default(),
        }
    }

    /// The namespace's own, to be held by what a policy is compiled to.
    pub(super) fn of(&self, namespace: &str) -> Arc<T> {
        let mut known = self.known.lock();
        if let Some(own) = known.get(namespace).map(Arc::clone) {
            return own;
        }
        known.retain(|_, own| Arc::strong_count(own) > 1);
        let own = Arc::new((self.make)());
        known.insert(namespace.to_owned(), Arc::clone(&own));
        own
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn each_namespace_has_its_own_for_as_long_as_a_policy_holds_it() {
        let all: PerNamespace<AtomicU32> = PerNamespace::new(AtomicU32::default);
        let (a, b) = (all.of("a"), all.of("b"));
        assert!(!Arc::ptr_eq(&a, &b));
        assert!(Arc::ptr_eq(&a, &all.of("a")));
        drop(a);
        drop(all.of("c"));
        assert!(Arc::ptr_eq(&b, &all.of("b")));
        assert_eq!(all.known.lock().len(), 2, "a is gone");
    }
}
