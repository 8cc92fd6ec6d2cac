//! Leases of gateway pods, sorted by what they mean. Pure.
//!
//! A pod may write its own Lease and no other, see `render/access.rs`; what it writes there is still
//! its own word. A Lease speaks for the Gateway of its pod only, and a revision that nobody published
//! acknowledges nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::ObjectKey;
use tokio::time::Instant;

use crate::gather::{Ack, Store};
use crate::published::Pods;

/// A Lease that expired this long ago is nobody's.
const LEASE_KEPT: Duration = Duration::from_secs(600);

/// Without a published revision the highest acknowledged one says where to go on: for pods of an earlier
/// Gateway of the same name. One each second reaches this in 136 years: what is above is made up.
const BELIEVED: u64 = u32::MAX as u64;

/// Why an acknowledgement does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ignored {
    /// The Lease's pod belongs to another Gateway.
    OtherGateway,
    /// The revision is above everything that was published.
    NeverPublished,
}

impl Ignored {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::OtherGateway => "the pod belongs to another Gateway",
            Self::NeverPublished => "the revision was never published",
        }
    }
}

/// The Leases at one moment.
#[derive(Debug, Default)]
pub(super) struct Leases {
    live: BTreeMap<ObjectKey, Vec<(String, Arc<Ack>)>>,
    /// The highest revision that a pod of a Gateway, dead ones included, says it has.
    pub(super) acknowledged: BTreeMap<ObjectKey, u64>,
    pub(super) stale: Vec<ObjectKey>,
    /// Leases that do not count, the Gateway they speak of, and why.
    pub(super) ignored: Vec<(ObjectKey, ObjectKey, Ignored)>,
}

impl Leases {
    /// `pods` are the Gateways of pods by name, as far as pods are known.
    pub(super) fn of(acks: &Store<Ack>, pods: &Store<String>, now: Instant) -> Self {
        let mut leases = Self::default();
        for (key, ack) in acks.iter() {
            let gateway = ObjectKey::new(key.namespace.clone(), ack.gateway.clone());
            let live = ack.is_live(now);
            if !live && now >= ack.expires() + LEASE_KEPT {
                leases.stale.push(key.clone());
            }
            if pods.get(key).is_some_and(|owner| **owner != ack.gateway) {
                if live {
                    leases
                        .ignored
                        .push((key.clone(), gateway, Ignored::OtherGateway));
                }
                continue;
            }
            let highest = leases.acknowledged.entry(gateway.clone()).or_default();
            if ack.revision <= BELIEVED {
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

    /// Takes back what is acknowledged above what was published, `published` by Gateway; 0: nothing is.
    pub(super) fn ignore_unpublished(&mut self, published: impl Fn(&ObjectKey) -> u64) {
        for (gateway, pods) in &mut self.live {
            let highest = match published(gateway) {
                0 => BELIEVED,
                highest => highest,
            };
            for (pod, ack) in pods {
                if ack.revision > highest {
                    let lease = ObjectKey::new(gateway.namespace.clone(), pod.clone());
                    let why = Ignored::NeverPublished;
                    self.ignored.push((lease, gateway.clone(), why));
                    let said = format!(
                        "it acknowledges {}, which was never published",
                        ack.revision
                    );
                    *ack = Arc::new(ack.without_revision(said));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gather::Wake;
    use crate::testing::lease;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("shop", name)
    }

    fn ack(acks: &mut Store<Ack>, pod: &str, revision: u64) {
        let keep = |_: Option<&Ack>| Ok(Ack::of(lease(revision, &json!([])), None, Instant::now()));
        acks.upsert(key(pod), "1".to_owned(), keep, |_, _| Wake::Now);
    }

    fn pod(pods: &mut Store<String>, name: &str, gateway: &str) {
        let keep = |_: Option<&String>| Ok(gateway.to_owned());
        pods.upsert(key(name), "1".to_owned(), keep, |_, _| Wake::Now);
    }

    #[test]
    fn a_lease_speaks_for_the_gateway_of_its_pod_only() {
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
        let ignored = (key("others"), key("edge"), Ignored::OtherGateway);
        assert_eq!(leases.ignored, [ignored]);
    }

    #[test]
    fn a_revision_that_nobody_published_acknowledges_nothing() {
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
