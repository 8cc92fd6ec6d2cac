//! From a plan and what the pods say to the statuses that have to be written. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_api::{ConditionType, Reason};
use tidegate_config::ObjectKey;
use tidegate_plan::{ConditionState, Plan, World};

use super::api::api_status;
use super::conditions::ConditionBuilder;
use super::gateway::{GatewayFacts, gateway_status};
use super::policy_fragment::policy_fragment_status;
use super::product::product_status;
use super::programmed::Progress;
use super::subscription::subscription_status;
use super::subscription_request::subscription_request_status;
use super::update::{HasStatus, StatusUpdate};
use crate::manifests;
use crate::objects::{CustomKind, ObjectRef, OwnedKind};
use crate::publish::Published;
use crate::snapshot::Snapshot;
use crate::watch::{SharedCache, Unreadable};

/// What statuses follow from.
pub(crate) struct StatusInputs<'a> {
    pub(crate) snapshot: &'a Snapshot,
    /// All objects.
    pub(crate) world: &'a World,
    pub(crate) plan: &'a Plan,
    pub(crate) progress: &'a Progress<'a>,
    /// Where a Gateway's Service and Deployment are.
    pub(crate) cache: &'a SharedCache,
    /// What is published of each Gateway.
    pub(crate) published: &'a BTreeMap<ObjectKey, Option<Published>>,
    /// The time of transitions.
    pub(crate) now: Time,
}

impl StatusInputs<'_> {
    /// The status that has to be written of an object; `None` when it has it, or is gone.
    pub(crate) fn update(&self, object: &ObjectRef) -> Option<StatusUpdate> {
        let (key, progress) = (&object.key, self.progress);
        match object.kind {
            CustomKind::Gateway => self.gateway(key),
            CustomKind::WebSocketApi => {
                let api = self.world.apis.get(key)?;
                let verdict = self.plan.api_verdicts.get(key)?;
                let status = api_status(key, api, verdict, progress, self.builder(&**api));
                StatusUpdate::of(&**api, status)
            }
            CustomKind::Product => {
                let product = self.world.products.get(key)?;
                let verdict = self.plan.product_verdicts.get(key)?;
                let status = product_status(key, verdict, progress, self.builder(&**product));
                StatusUpdate::of(&**product, status)
            }
            CustomKind::PolicyFragment => {
                let fragment = self.world.fragments.get(key)?;
                let verdict = self.plan.fragment_verdicts.get(key)?;
                let status = policy_fragment_status(verdict, self.builder(&**fragment));
                StatusUpdate::of(&**fragment, status)
            }
            CustomKind::Subscription => {
                let subscription = self.world.subscriptions.get(key)?;
                let verdict = self.plan.subscription_verdicts.get(key)?;
                let builder = self.builder(&**subscription);
                let status = subscription_status(key, verdict, progress, builder);
                StatusUpdate::of(&**subscription, status)
            }
            CustomKind::SubscriptionRequest => {
                let request = self.world.requests.get(key)?;
                let verdict = self.plan.request_verdicts.get(key)?;
                let status = subscription_request_status(verdict, self.builder(&**request));
                StatusUpdate::of(&**request, status)
            }
        }
    }

    fn gateway(&self, key: &ObjectKey) -> Option<StatusUpdate> {
        let gateway = self.world.gateways.get(key)?;
        let verdict = self.plan.gateway_verdicts.get(key)?;
        let owned = |kind| self.cache.owned(&manifests::same_name_key(kind, key));
        let service = owned(OwnedKind::Service);
        let deployment = owned(OwnedKind::Deployment);
        let facts = GatewayFacts {
            published: self.published.get(key).and_then(Option::as_ref),
            pods: self.snapshot.pods(key),
            service: service.as_deref(),
            deployment: deployment.as_deref(),
        };
        let context = (facts, self.builder(&**gateway));
        let status = gateway_status(key, gateway, verdict, self.progress, context);
        StatusUpdate::of(&**gateway, status)
    }

    fn builder<'s, K: HasStatus>(&'s self, object: &'s K) -> ConditionBuilder<'s> {
        ConditionBuilder {
            now: &self.now,
            live: object.live().map_or(&[], K::conditions),
        }
    }
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
