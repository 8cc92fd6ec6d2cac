//! Subscriptions that give no access, for the reason of a refusal: which ones a Gateway knows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use tidegate_api::{Reason, SubscriptionPhase};
use tidegate_config::{InactiveState, InactiveSubscription, ObjectKey};

use super::{SubscriptionContext, SubscriptionDraft, names, target_key};
use crate::index::age_of;
use crate::problem::Problem;

/// At most so many per Gateway: below two megabytes of its memory and of its Secrets.
const MAX_INACTIVE: usize = 4096;

/// A subscription that gives no access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inactive {
    rank: Rank,
    subscription: InactiveSubscription,
    /// At which its keys would work.
    pub(crate) gateways: BTreeSet<ObjectKey>,
}

/// The inactive subscriptions of one Gateway, the most useful first.
#[derive(Debug, Default)]
pub(crate) struct InactiveSubscriptions(BTreeMap<(Rank, ObjectKey), InactiveSubscription>);

/// Those that may work again come first, then the youngest.
type Rank = (bool, Reverse<Option<Timestamp>>);

impl InactiveSubscriptions {
    pub(crate) fn add(&mut self, found: &Inactive) {
        let subscription = found.subscription.clone();
        self.0
            .insert((found.rank, subscription.key.clone()), subscription);
    }

    pub(crate) fn remove(&mut self, found: &Inactive) {
        self.0.remove(&(found.rank, found.subscription.key.clone()));
    }

    /// Those that are published, sorted by key.
    pub(crate) fn few(&self) -> Vec<InactiveSubscription> {
        let mut few: Vec<_> = self.0.values().take(MAX_INACTIVE).cloned().collect();
        few.sort_by(|a, b| a.key.cmp(&b.key));
        few
    }
}

/// Why a subscription gives no access; `None`: it does, or its scope does not exist.
fn state(draft: &SubscriptionDraft<'_>, problems: &[Problem]) -> Option<InactiveState> {
    use SubscriptionPhase as P;
    let has = |reason| problems.iter().any(|problem| problem.reason == reason);
    match draft.phase {
        P::Submitted if has(Reason::LimitReached) => Some(InactiveState::OverLimit),
        P::Submitted => Some(InactiveState::NotApproved),
        P::Rejected => Some(InactiveState::Rejected),
        P::Suspended => Some(InactiveState::Suspended),
        P::Expired => Some(InactiveState::Expired),
        P::Cancelled => Some(InactiveState::Cancelled),
        P::Active => has(Reason::NotPublished).then_some(InactiveState::NotPublished),
    }
}

impl SubscriptionContext<'_> {
    /// What a refusal may say of a subscription.
    pub(super) fn inactive(
        &self,
        draft: &SubscriptionDraft<'_>,
        problems: &[Problem],
        key_hashes: Vec<String>,
    ) -> Option<Inactive> {
        let state = state(draft, problems).filter(|_| !key_hashes.is_empty())?;
        Some(Inactive {
            rank: (state.is_final(), Reverse(age_of(draft.subscription))),
            subscription: InactiveSubscription {
                key: draft.key.clone(),
                state,
                key_hashes,
            },
            gateways: self.gateways_of(draft),
        })
    }

    /// The Gateways that serve what its scope names, published or not.
    fn gateways_of(&self, draft: &SubscriptionDraft<'_>) -> BTreeSet<ObjectKey> {
        let scope = &draft.subscription.spec.scope;
        let target = |name: &String| target_key(draft.key, draft.subscription, name);
        let of_api = |name: &String| {
            let verdict = self.apis.get(&target(name));
            verdict.map_or_else(Vec::new, |verdict| names(&verdict.gateways))
        };
        if let Some((key, product)) = draft.product {
            return match self.rendered.get(key) {
                Some(verdict) if product.is_published() => {
                    names(&verdict.gateways).into_iter().collect()
                }
                _ => product.apis.iter().flat_map(of_api).collect(),
            };
        }
        let gateway = scope.gateway.as_ref().map(target);
        let gateway = gateway.filter(|key| self.world.gateways.contains_key(key));
        let apis = scope.api.iter().filter(|_| draft.is_admitted);
        let apis = apis.flat_map(of_api);
        apis.chain(gateway).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_those_that_may_work_again_are_known_and_the_youngest() {
        let subscription = |i: i64, state: InactiveState| {
            let created = Timestamp::from_second(i).unwrap();
            let found = InactiveSubscription {
                key: ObjectKey::new("shop", format!("{i:06}")),
                state,
                key_hashes: vec!["x".to_owned()],
            };
            Inactive {
                rank: (state.is_final(), Reverse(Some(created))),
                subscription: found,
                gateways: BTreeSet::new(),
            }
        };
        let count = i64::try_from(MAX_INACTIVE).unwrap();
        let cancelled = (0..count).map(|i| subscription(i, InactiveState::Cancelled));
        let suspended =
            (count..count + 2).map(|i| subscription(i - count, InactiveState::Suspended));
        let mut all = InactiveSubscriptions::default();
        cancelled.chain(suspended).for_each(|found| all.add(&found));
        let few = all.few();
        assert_eq!(few.len(), MAX_INACTIVE);
        let suspended = |found: &&InactiveSubscription| found.state == InactiveState::Suspended;
        assert_eq!(few.iter().filter(suspended).count(), 2);
        // The two oldest of the others are left out.
        let cancelled = few.iter().find(|found| !suspended(found));
        assert_eq!(cancelled.map(|found| &*found.key.name), Some("000002"));
        assert!(few.is_sorted_by(|a, b| a.key <= b.key));
    }
}
