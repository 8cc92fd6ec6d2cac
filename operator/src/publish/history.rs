//! Which revision changed which object, for as long as a live pod may not have it. Pure.
//!
//! A pod has the latest version of an object when no revision after the pod's changed it. So nothing is kept
//! per object: only the changes that some live pod has not acknowledged, which is usually none.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::objects::ObjectRef;
use crate::snapshot::Pods;

/// Changes that some live pod may not have.
#[derive(Debug)]
pub(crate) struct History {
    /// Nothing is known of the revisions below: a pod with one of them may have no object's latest version.
    floor: u64,
    changes: BTreeMap<u64, Change>,
}

#[derive(Debug)]
struct Change {
    objects: HashSet<ObjectRef>,
    at: Instant,
}

/// How many live pods have the latest version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Live pods.
    pub(crate) total: usize,
    /// Pods that do not have the latest version yet.
    pub(crate) lagging: Vec<String>,
    /// Pods that rejected the latest version, and why.
    pub(crate) rejected: Vec<(String, String)>,
    /// Why the first lagging pod does not apply it, when the pod says so.
    pub(crate) error: Option<String>,
}

impl Applied {
    /// Nothing is published, so no pod has it.
    pub(crate) fn by_none(pods: &Pods) -> Self {
        Self {
            total: pods.len(),
            lagging: pods.lagging(u64::MAX),
            ..Self::default()
        }
    }

    /// Pods that serve the latest version.
    pub(crate) fn count(&self) -> usize {
        self.total - self.lagging.len() - self.rejected.len()
    }

    /// `2/3`.
    pub(crate) fn summary(&self) -> String {
        format!("{}/{}", self.count(), self.total)
    }
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

    /// Every live pod has `revision`, and every later pod starts with a later one.
    pub(crate) fn acknowledged(&mut self, revision: u64) {
        self.floor = self.floor.max(revision);
        self.changes.retain(|changed, _| *changed > revision);
    }

    /// Has a pod that serves `revision` the latest version of `object`?
    pub(crate) fn is_latest(&self, revision: u64, object: &ObjectRef) -> bool {
        let mut missed = self.changes.range(revision.saturating_add(1)..);
        revision >= self.floor && !missed.any(|(_, change)| change.objects.contains(object))
    }

    /// Objects that some live pod may not have the latest version of.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &ObjectRef> {
        self.changes.values().flat_map(|change| &change.objects)
    }

    /// Did a revision that some pod may not have change `object`?
    pub(crate) fn mentions(&self, object: &ObjectRef) -> bool {
        let mut changes = self.changes.values();
        changes.any(|change| change.objects.contains(object))
    }

    /// Which of `pods` have the latest version of `object`.
    pub(crate) fn applied(&self, pods: &Pods, object: &ObjectRef) -> Applied {
        let mut applied = Applied {
            total: pods.len(),
            ..Applied::default()
        };
        for (pod, ack) in pods.iter() {
            let rejected = ack.rejected.iter().find(|rejected| {
                rejected.kind == object.kind.as_str() && rejected.key == object.key
            });
            if !self.is_latest(ack.revision, object) {
                applied.lagging.push(pod.to_owned());
                applied.error = applied.error.or_else(|| ack.error.clone());
            } else if let Some(rejected) = rejected {
                let message = rejected.message.clone();
                applied.rejected.push((pod.to_owned(), message));
            }
        }
        applied
    }

    /// How long the oldest change has been waiting for a pod that serves `revision`.
    pub(crate) fn lag(&self, revision: u64, now: Instant) -> Duration {
        let mut missed = self.changes.range(revision.saturating_add(1)..);
        missed
            .next()
            .map_or(Duration::ZERO, |(_, change)| now.duration_since(change.at))
    }

    /// How long the oldest change has been waiting for the pod that lags most; 0 without pods.
    pub(crate) fn longest_lag(&self, pods: &Pods, now: Instant) -> Duration {
        let lowest = pods.lowest_revision();
        lowest.map_or(Duration::ZERO, |revision| self.lag(revision, now))
    }
}

#[cfg(test)]
mod tests;
