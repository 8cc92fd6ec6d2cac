//! From a plan and what the pods say to the statuses that have to be written. Pure but for the time of
//! transitions.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_api::{ConditionType, Reason};
use tidegate_config::ObjectKey;
use tidegate_plan::{ConditionState, Plan};

use super::api::api_status;
use super::conditions::ConditionBuilder;
use super::gateway::{GatewayFacts, gateway_status};
use super::policy_fragment::policy_fragment_status;
use super::product::product_status;
use super::programmed::Progress;
use super::subscription::subscription_status;
use super::update::{HasStatus, StatusUpdate};
use crate::manifests;
use crate::objects::{ObjectRef, OwnedKind};
use crate::publish::Published;
use crate::snapshot::{Snapshot, key_of};
use crate::watch::{SharedCache, Unreadable};

/// What statuses follow from.
pub(crate) struct StatusInputs<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) plan: &'a Plan,
    pub(crate) progress: &'a Progress<'a>,
    /// Where a Gateway's Service and Deployment are.
    pub(crate) cache: &'a SharedCache,
    /// What is published of each Gateway.
    pub(crate) published: &'a BTreeMap<ObjectKey, Option<Published>>,
}

/// The statuses that have to be written, except those of unreadable objects.
pub(crate) fn status_updates(inputs: &StatusInputs<'_>) -> BTreeMap<ObjectRef, StatusUpdate> {
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    let unreadable = inputs.snapshot.unreadable.iter();
    let mut updates = Updates {
        now: &now,
        unreadable: unreadable.map(|(object, _)| object).collect(),
        updates: BTreeMap::new(),
    };
    add_gateways(inputs, &mut updates);
    add_apis(inputs, &mut updates);
    add_products(inputs, &mut updates);
    add_fragments(inputs, &mut updates);
    add_subscriptions(inputs, &mut updates);
    updates.updates
}

/// The condition of an object that cannot be read.
pub(crate) fn unreadable_condition(unreadable: &Unreadable) -> Condition {
    let text = format!(
        "this version of the operator cannot read the object: {}",
        unreadable.error
    );
    let state = ConditionState::bad(Reason::Invalid, text);
    let now = Time(k8s_openapi::jiff::Timestamp::now());
    let builder = ConditionBuilder {
        now: &now,
        live: &[],
    };
    builder.condition(ConditionType::Accepted, &state, unreadable.generation)
}

fn add_gateways(inputs: &StatusInputs<'_>, updates: &mut Updates<'_>) {
    for (key, gateway) in &inputs.snapshot.gateways {
        let Some(verdict) = inputs.plan.gateway_verdicts.get(key) else {
            continue;
        };
        let owned = |kind| inputs.cache.owned(&manifests::same_name_key(kind, key));
        let service = owned(OwnedKind::Service);
        let deployment = owned(OwnedKind::Deployment);
        let facts = GatewayFacts {
            published: inputs.published.get(key).and_then(Option::as_ref),
            pods: inputs.snapshot.pods(key),
            service: service.as_deref(),
            deployment: deployment.as_deref(),
        };
        let builder = updates.builder(gateway.as_ref());
        let progress = inputs.progress;
        let status = gateway_status(key, gateway, verdict, progress, (facts, builder));
        updates.add(key, gateway.as_ref(), status);
    }
}

fn add_apis(inputs: &StatusInputs<'_>, updates: &mut Updates<'_>) {
    for api in &inputs.snapshot.apis {
        let key = key_of(api.as_ref());
        if let Some(verdict) = inputs.plan.api_verdicts.get(&key) {
            let builder = updates.builder(api.as_ref());
            let status = api_status(&key, api, verdict, inputs.progress, builder);
            updates.add(&key, api.as_ref(), status);
        }
    }
}

fn add_products(inputs: &StatusInputs<'_>, updates: &mut Updates<'_>) {
    for product in &inputs.snapshot.products {
        let key = key_of(product.as_ref());
        if let Some(verdict) = inputs.plan.product_verdicts.get(&key) {
            let builder = updates.builder(product.as_ref());
            let status = product_status(&key, verdict, inputs.progress, builder);
            updates.add(&key, product.as_ref(), status);
        }
    }
}

fn add_fragments(inputs: &StatusInputs<'_>, updates: &mut Updates<'_>) {
    for fragment in &inputs.snapshot.fragments {
        let key = key_of(fragment.as_ref());
        if let Some(verdict) = inputs.plan.fragment_verdicts.get(&key) {
            let builder = updates.builder(fragment.as_ref());
            let status = policy_fragment_status(verdict, builder);
            updates.add(&key, fragment.as_ref(), status);
        }
    }
}

fn add_subscriptions(inputs: &StatusInputs<'_>, updates: &mut Updates<'_>) {
    for subscription in &inputs.snapshot.subscriptions {
        let key = key_of(subscription.as_ref());
        if let Some(verdict) = inputs.plan.subscription_verdicts.get(&key) {
            let builder = updates.builder(subscription.as_ref());
            let status = subscription_status(&key, verdict, inputs.progress, builder);
            updates.add(&key, subscription.as_ref(), status);
        }
    }
}

/// Collects updates.
struct Updates<'a> {
    now: &'a Time,
    /// The verdict on these objects is about an earlier version: their status only says that the latest one
    /// cannot be read.
    unreadable: BTreeSet<&'a ObjectRef>,
    updates: BTreeMap<ObjectRef, StatusUpdate>,
}

impl<'a> Updates<'a> {
    fn builder<'s, K: HasStatus>(&self, object: &'s K) -> ConditionBuilder<'s>
    where
        'a: 's,
    {
        ConditionBuilder {
            now: self.now,
            live: object.live().map_or(&[], K::conditions),
        }
    }

    fn add<K: HasStatus>(&mut self, key: &ObjectKey, object: &K, status: K::Status) {
        let Some(update) = StatusUpdate::of(object, status) else {
            return;
        };
        let object = ObjectRef::new(K::KIND, key);
        if !self.unreadable.contains(&object) {
            self.updates.insert(object, update);
        }
    }
}
