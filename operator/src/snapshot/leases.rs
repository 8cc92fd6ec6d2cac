//! Which Leases of gateway pods count, and for what. Pure.
//!
//! A pod may write its own Lease and no other, see `manifests/access.rs`; but it may write anything there.
//! So a Lease counts only for the Gateway of its pod, and a revision that was never published acknowledges
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::ObjectKey;
use tokio::time::Instant;

use super::pods::Pods;
use crate::watch::{Ack, Store};

/// A Lease is deleted when it expired this long ago.
const STALE_LEASE_AGE: Duration = Duration::from_secs(600);

/// Highest revision that is plausible. While nothing is published, revisions continue after the highest
/// acknowledged one, which pods of an earlier Gateway of the same name may have. One revision a second
/// reaches this number in 136 years: a higher one is made up.
const MAX_PLAUSIBLE_REVISION: u64 = u32::MAX as u64;

/// Why an acknowledgement does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum IgnoredReason {
    /// The Lease's pod belongs to another Gateway.
    OtherGateway,
    /// The revision is higher than every published one.
    NeverPublished,
}

impl IgnoredReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OtherGateway => "the pod belongs to another Gateway",
            Self::NeverPublished => "the revision was never published",
        }
    }
}

/// The Leases of gateway pods at one moment.
#[derive(Debug, Default)]
pub(super) struct Leases {
    live: BTreeMap<ObjectKey, Vec<(String, Arc<Ack>)>>,
    /// The highest revision that a pod of a Gateway acknowledged, dead pods included.
    pub(super) acknowledged: BTreeMap<ObjectKey, u64>,
    /// Leases of pods that are long gone.
    pub(super) stale: Vec<ObjectKey>,
    /// Leases that do not count, the Gateway that they name, and why.
    pub(super) ignored: Vec<(ObjectKey, ObjectKey, IgnoredReason)>,
}

impl Leases {
    /// `pods`: the Gateway of each pod, as far as pods are known.
    pub(super) fn of(acks: &Store<Ack>, pods: &Store<String>, now: Instant) -> Self {
        let mut leases = Self::default();
        for (key, ack) in acks.iter() {
            let gateway = ObjectKey::new(key.namespace.clone(), ack.gateway.clone());
            let live = ack.is_live(now);
            if !live && now >= ack.expires() + STALE_LEASE_AGE {
                leases.stale.push(key.clone());
            }
            if pods.get(key).is_some_and(|owner| **owner != ack.gateway) {
                if live {
                    leases
                        .ignored
                        .push((key.clone(), gateway, IgnoredReason::OtherGateway));
                }
                continue;
            }
            let highest = leases.acknowledged.entry(gateway.clone()).or_default();
            if ack.revision <= MAX_PLAUSIBLE_REVISION {
                *highest = (*highest).max(ack.revision);
            }
            if live {
                let live = leases.live.entry(gateway).or_default();
                live.push((key.name.clone(), ack.clone()));
            }
        }
        leases
    }

    /// The live pods of each Gateway.
    pub(super) fn pods(&self) -> BTreeMap<ObjectKey, Pods> {
        let live = self.live.iter();
        live.map(|(key, live)| (key.clone(), Pods::new(live.clone())))
            .collect()
    }

    /// Ignores acknowledgements of revisions above the published one, which `published` returns for a
    /// Gateway; 0 when nothing is published.
    pub(super) fn ignore_unpublished(&mut self, published: impl Fn(&ObjectKey) -> u64) {
        for (gateway, pods) in &mut self.live {
            let highest = match published(gateway) {
                0 => MAX_PLAUSIBLE_REVISION,
                highest => highest,
            };
            for (pod, ack) in pods {
                if ack.revision > highest {
                    let lease = ObjectKey::new(gateway.namespace.clone(), pod.clone());
                    let reason = IgnoredReason::NeverPublished;
                    self.ignored.push((lease, gateway.clone(), reason));
                    let error = format!(
                        "it acknowledges revision {}, which was never published",
                        ack.revision
                    );
                    *ack = Arc::new(ack.without_revision(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::lease;
    use crate::watch::Urgency;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn ack(acks: &mut Store<Ack>, pod: &str, revision: u64) {
        let keep = |_: Option<&Ack>| Ok(Ack::of(lease(revision, &json!([])), None, Instant::now()));
        acks.upsert(key(pod), "1".to_owned(), keep, |_, _| Urgency::Now);
    }

    fn pod(pods: &mut Store<String>, name: &str, gateway: &str) {
        let keep = |_: Option<&String>| Ok(gateway.to_owned());
        pods.upsert(key(name), "1".to_owned(), keep, |_, _| Urgency::Now);
    }

    #[test]
    fn a_lease_counts_for_the_gateway_of_its_pod_only() {
        let (mut acks, mut pods) = (Store::default(), Store::default());
        for name in ["own", "others", "unknown"] {
            ack(&mut acks, name, 7);
        }
        pod(&mut pods, "own", "edge");
        pod(&mut pods, "others", "inner");
        let leases = Leases::of(&acks, &pods, Instant::now());
        let live = &leases.live[&key("edge")];
        let names: Vec<_> = live.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["own", "unknown"]);
        let ignored = (key("others"), key("edge"), IgnoredReason::OtherGateway);
        assert_eq!(leases.ignored, [ignored]);
    }

    #[test]
    fn a_revision_that_was_never_published_acknowledges_nothing() {
        for (name, published, revision, counts, floor) in [
            ("the newest", 7, 7, 7, 7),
            ("an older one", 7, 3, 3, 3),
            ("one more than the newest", 7, 8, 0, 8),
            ("the highest number", 7, u64::MAX, 0, 0),
            ("of an earlier Gateway", 0, 41, 41, 41),
            ("the highest number, nothing published", 0, u64::MAX, 0, 0),
        ] {
            let (mut acks, pods) = (Store::default(), Store::default());
            ack(&mut acks, "pod", revision);
            let mut leases = Leases::of(&acks, &pods, Instant::now());
            leases.ignore_unpublished(|_| published);
            let (_, found) = &leases.live[&key("edge")][0];
            assert_eq!(found.revision, counts, "{name}");
            assert_eq!(found.error.is_some(), counts != revision, "{name}");
            assert_eq!(leases.acknowledged[&key("edge")], floor, "{name}");
            assert_eq!(
                leases.ignored.len(),
                usize::from(counts != revision),
                "{name}"
            );
        }
    }
}
