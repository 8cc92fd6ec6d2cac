//! Subscriptions that give no access, for the reason of a refusal: which ones a Gateway knows.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use tidegate_api::{Reason, SubscriptionPhase};
use tidegate_config::{InactiveState, InactiveSubscription, ObjectKey};

use super::{SubscriptionContext, SubscriptionDraft, SubscriptionPlan};
use crate::problem::Problem;

/// At most so many per Gateway: below two megabytes of its memory and of its Secrets.
const MAX_INACTIVE: usize = 4096;

/// The inactive subscriptions of one Gateway.
#[derive(Default)]
pub(crate) struct Inactive(Vec<(Rank, InactiveSubscription)>);

/// Those that may work again come first, then the youngest.
type Rank = (bool, Reverse<Option<Timestamp>>);

impl Inactive {
    /// Those that are published, sorted by key.
    pub(crate) fn few(mut self) -> Vec<InactiveSubscription> {
        if self.0.len() > MAX_INACTIVE {
            self.0.sort_by_key(|(rank, _)| *rank);
            self.0.truncate(MAX_INACTIVE);
        }
        let mut few: Vec<_> = self.0.into_iter().map(|(_, found)| found).collect();
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
    /// Notes it on every Gateway at which its keys would work.
    pub(super) fn note_inactive(
        &self,
        draft: &SubscriptionDraft<'_>,
        problems: &[Problem],
        key_hashes: Vec<String>,
        planned: &mut SubscriptionPlan<'_>,
    ) {
        let state = state(draft, problems).filter(|_| !key_hashes.is_empty());
        let Some(state) = state else {
            return;
        };
        let created = draft.subscription.metadata.creation_timestamp.as_ref();
        let rank = (state.is_final(), Reverse(created.map(|time| time.0)));
        let found = InactiveSubscription {
            key: draft.key.clone(),
            state,
            key_hashes,
        };
        for gateway in self.gateways_of(draft) {
            let on = planned.inactive.entry(gateway.clone()).or_default();
            on.0.push((rank, found.clone()));
        }
    }

    /// The Gateways that serve what its scope names, published or not.
    fn gateways_of(&self, draft: &SubscriptionDraft<'_>) -> BTreeSet<&ObjectKey> {
        let scope = &draft.subscription.spec.scope;
        let sibling = |name: &String| ObjectKey::new(&draft.key.namespace, name);
        let of_api = |name: &String| self.gateways_of_api.get(&sibling(name)).into_iter();
        if let Some((key, product)) = draft.product {
            return match self.gateways_of_product.get(key) {
                Some(gateways) if product.is_published() => gateways.iter().collect(),
                _ => product.apis.iter().flat_map(of_api).flatten().collect(),
            };
        }
        let gateway = scope.gateway.as_ref().map(sibling);
        let gateway = gateway.and_then(|key| self.index.gateways.get_key_value(&key));
        let apis = scope.api.iter().flat_map(of_api).flatten();
        apis.chain(gateway.map(|(key, _)| key)).collect()
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
            ((state.is_final(), Reverse(Some(created))), found)
        };
        let count = i64::try_from(MAX_INACTIVE).unwrap();
        let cancelled = (0..count).map(|i| subscription(i, InactiveState::Cancelled));
        let suspended =
            (count..count + 2).map(|i| subscription(i - count, InactiveState::Suspended));
        let all: Vec<_> = cancelled.chain(suspended).collect();
        let few = Inactive(all).few();
        assert_eq!(few.len(), MAX_INACTIVE);
        let suspended = |found: &&InactiveSubscription| found.state == InactiveState::Suspended;
        assert_eq!(few.iter().filter(suspended).count(), 2);
        // The two oldest of the others are left out.
        let cancelled = few.iter().find(|found| !suspended(found));
        assert_eq!(cancelled.map(|found| &*found.key.name), Some("000002"));
        assert!(few.is_sorted_by(|a, b| a.key <= b.key));
    }
}
