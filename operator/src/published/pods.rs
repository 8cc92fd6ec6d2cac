//! The live pods of one Gateway, and what they have. Pure.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::History;
use crate::gather::Ack;
use crate::objects::ObjectRef;
use crate::status::{Away, together};

/// The live pods of one Gateway, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods(Vec<(String, Arc<Ack>)>);

/// How far one object is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Live pods.
    pub(crate) total: usize,
    /// Those that do not have its latest version yet.
    pub(crate) lagging: Vec<String>,
    /// Those that have seen it and refused it, and why.
    pub(crate) rejected: Vec<(String, String)>,
    /// Why the first lagging pod does not get on, when it says so.
    pub(crate) problem: Option<String>,
}

impl Applied {
    /// Pods that serve the latest version.
    pub(crate) fn count(&self) -> usize {
        self.total - self.lagging.len() - self.rejected.len()
    }

    /// `2/3`.
    pub(crate) fn summary(&self) -> String {
        format!("{}/{}", self.count(), self.total)
    }
}

impl Pods {
    pub(crate) fn new(mut live: Vec<(String, Arc<Ack>)>) -> Self {
        live.sort_by(|a, b| a.0.cmp(&b.0));
        Self(live)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The revision that every live pod has at least; none when there is no pod.
    pub(crate) fn slowest(&self) -> Option<u64> {
        self.0.iter().map(|(_, ack)| ack.revision).min()
    }

    /// Names of pods that serve an older revision than `revision`.
    pub(crate) fn behind(&self, revision: u64) -> Vec<String> {
        let behind = self.0.iter().filter(|(_, ack)| ack.revision < revision);
        behind.map(|(pod, _)| pod.clone()).collect()
    }

    /// How far the latest version of `object` is.
    pub(crate) fn applied(&self, history: &History, object: &ObjectRef) -> Applied {
        let mut applied = Applied {
            total: self.0.len(),
            ..Applied::default()
        };
        for (pod, ack) in &self.0 {
            let refusal = ack
                .rejected
                .iter()
                .find(|refused| refused.kind == object.kind.as_str() && refused.key == object.key);
            if !history.contains(ack.revision, object) {
                applied.lagging.push(pod.clone());
                applied.problem = applied.problem.or_else(|| ack.error.clone());
            } else if let Some(refusal) = refusal {
                applied
                    .rejected
                    .push((pod.clone(), refusal.message.clone()));
            }
        }
        applied
    }

    /// What they need and cannot reach, each dependency once.
    pub(crate) fn unreachable(&self) -> Vec<Away> {
        together(self.0.iter().flat_map(|(_, ack)| &ack.unreachable))
    }

    /// How long the oldest change has been waiting for the slowest pod.
    pub(crate) fn lag(&self, history: &History, now: Instant) -> Duration {
        self.slowest()
            .map_or(Duration::ZERO, |revision| history.lag(revision, now))
    }
}
