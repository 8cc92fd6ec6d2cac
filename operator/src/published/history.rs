//! Which revision changed which object, as long as it matters. Pure.
//!
//! An object is programmed on a pod when no revision after the pod's changed it. So nothing has to
//! be kept per object: only the changes that some live pod has not acknowledged, which is usually
//! none.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::objects::ObjectRef;

/// Changes that some pod may not have yet.
#[derive(Debug)]
pub(crate) struct History {
    /// Below this revision nothing is known: a pod there has nothing for sure.
    floor: u64,
    changes: BTreeMap<u64, Change>,
}

#[derive(Debug)]
struct Change {
    objects: HashSet<ObjectRef>,
    at: Instant,
}

impl History {
    /// Nothing is known of what came before `revision`.
    pub(crate) fn starting_at(revision: u64) -> Self {
        Self {
            floor: revision,
            changes: BTreeMap::new(),
        }
    }

    /// `revision` was published at `at` and changed `objects`.
    pub(crate) fn record(&mut self, revision: u64, objects: HashSet<ObjectRef>, at: Instant) {
        self.changes.insert(revision, Change { objects, at });
    }

    /// Every live pod has `revision`, and whatever starts later starts with a later one.
    pub(crate) fn acknowledged(&mut self, revision: u64) {
        self.floor = self.floor.max(revision);
        self.changes.retain(|changed, _| *changed > revision);
    }

    /// Does a pod that serves `revision` have the latest version of `object`?
    pub(crate) fn contains(&self, revision: u64, object: &ObjectRef) -> bool {
        let mut missed = self.changes.range(revision.saturating_add(1)..);
        revision >= self.floor && !missed.any(|(_, change)| change.objects.contains(object))
    }

    /// Did a revision that some pod may not have change `object`?
    pub(crate) fn mentions(&self, object: &ObjectRef) -> bool {
        let mut changes = self.changes.values();
        changes.any(|change| change.objects.contains(object))
    }

    /// How long the oldest change has been waiting that a pod at `revision` does not have.
    pub(crate) fn lag(&self, revision: u64, now: Instant) -> Duration {
        let mut missed = self.changes.range(revision.saturating_add(1)..);
        missed
            .next()
            .map_or(Duration::ZERO, |(_, change)| now.duration_since(change.at))
    }
}

#[cfg(test)]
mod tests;
