//! What only some can have: the older ones get it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use tidegate_config::ObjectKey;

/// Somebody who asks. In order of age.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimant {
    pub(crate) age: Option<Timestamp>,
    pub(crate) key: Arc<ObjectKey>,
}

/// Who asks for what, the oldest first.
#[derive(Debug)]
pub(crate) struct ClaimQueue<T>(HashMap<T, Vec<Claimant>>);

impl<T> Default for ClaimQueue<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq + Clone> ClaimQueue<T> {
    pub(crate) fn add(&mut self, what: &T, claimant: &Claimant) {
        let Some(queue) = self.0.get_mut(what) else {
            // Nearly everything has one claimant: no room for more.
            self.0.insert(what.clone(), vec![claimant.clone()]);
            return;
        };
        if let Err(position) = queue.binary_search(claimant) {
            queue.insert(position, claimant.clone());
        }
    }

    pub(crate) fn remove(&mut self, what: &T, claimant: &Claimant) {
        let Some(queue) = self.0.get_mut(what) else {
            return;
        };
        if let Ok(position) = queue.binary_search(claimant) {
            queue.remove(position);
        }
        if queue.is_empty() {
            self.0.remove(what);
        }
    }

    /// All who ask, the oldest first.
    pub(crate) fn of(&self, what: &T) -> &[Claimant] {
        self.0.get(what).map_or(&[], Vec::as_slice)
    }

    /// How many older ones ask for the same.
    pub(crate) fn older(&self, what: &T, claimant: &Claimant) -> usize {
        let queue = self.of(what);
        queue
            .binary_search(claimant)
            .unwrap_or_else(|position| position)
    }
}
