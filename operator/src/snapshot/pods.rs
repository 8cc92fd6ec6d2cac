//! The live pods of one Gateway, and what they say. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::{Dependency, ObjectKey, Rejected, Unreachable};

use crate::watch::Ack;

/// The live pods of one Gateway, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods(Vec<(String, Arc<Ack>)>);

/// What a pod says of what it serves, but the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodFacts {
    pod: String,
    rejected: Vec<Rejected>,
    error: Option<String>,
    unreachable: Vec<Unreachable>,
}

/// A dependency that some pods cannot reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnreachableDependency {
    pub(crate) dependency: Dependency,
    pub(crate) address: String,
    /// What the first pod says.
    pub(crate) message: String,
    /// The earliest time that a pod says.
    pub(crate) since: String,
    /// How many pods cannot reach it.
    pub(crate) pods: usize,
    /// The WebSocketApi, when it is the backend of one.
    pub(crate) api: Option<ObjectKey>,
}

impl Pods {
    pub(crate) fn new(mut live: Vec<(String, Arc<Ack>)>) -> Self {
        live.sort_by(|a, b| a.0.cmp(&b.0));
        Self(live)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Names and acknowledgements, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Ack)> {
        self.0.iter().map(|(pod, ack)| (pod.as_str(), ack.as_ref()))
    }

    /// The lowest revision that a live pod serves; `None` when there is no pod.
    pub(crate) fn lowest_revision(&self) -> Option<u64> {
        self.0.iter().map(|(_, ack)| ack.revision).min()
    }

    /// Names of the pods that serve a lower revision than `revision`.
    pub(crate) fn lagging(&self, revision: u64) -> Vec<String> {
        let lagging = self.0.iter().filter(|(_, ack)| ack.revision < revision);
        lagging.map(|(pod, _)| pod.clone()).collect()
    }

    /// What the pods say of what they serve, but the revision.
    pub(crate) fn facts(&self) -> Vec<PodFacts> {
        let facts = self.0.iter().map(|(pod, ack)| PodFacts {
            pod: pod.clone(),
            rejected: ack.rejected.clone(),
            error: ack.error.clone(),
            unreachable: ack.unreachable.clone(),
        });
        facts.collect()
    }

    /// What the pods cannot reach: one entry for each dependency.
    pub(crate) fn unreachable(&self) -> Vec<UnreachableDependency> {
        merge(self.0.iter().flat_map(|(_, ack)| &ack.unreachable))
    }
}

/// Merges what several pods say into one entry for each dependency.
fn merge<'a>(reports: impl Iterator<Item = &'a Unreachable>) -> Vec<UnreachableDependency> {
    let mut merged: BTreeMap<_, UnreachableDependency> = BTreeMap::new();
    for report in reports {
        let key = (
            report.dependency,
            report.place.as_str(),
            report.api.as_ref(),
        );
        let entry = merged.entry(key).or_insert_with(|| UnreachableDependency {
            dependency: report.dependency,
            address: report.place.clone(),
            message: report.message.clone(),
            since: report.since.clone(),
            pods: 0,
            api: report.api.clone(),
        });
        entry.pods += 1;
        if report.since < entry.since {
            entry.since.clone_from(&report.since);
        }
    }
    merged.into_values().collect()
}
