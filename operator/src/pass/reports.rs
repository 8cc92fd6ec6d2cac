//! From a plan and what the pods say to the chores of a pass. Pure but for the time of transitions.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::Resource;
use tidegate_api::{ConditionType, Reason, Subscription};
use tidegate_config::ObjectKey;
use tidegate_plan::{Judgement, Plan};

use super::Pass;
use super::world::{Seen, key_of};
use crate::chores::{About, Chore};
use crate::gather::Broken;
use crate::objects::ObjectRef;
use crate::owned::OwnedKind;
use crate::render;
use crate::status::{
    GatewayFacts, Outages, Progress, Report, Reported, Stamp, of_api, of_gateway,
    of_policy_fragment, of_product, of_subscription,
};

impl Pass {
    /// Everything that has to be written besides the configurations.
    pub(super) fn reports(
        &self,
        seen: &Seen,
        plan: &Plan,
        outages: Outages,
    ) -> BTreeMap<About, Chore> {
        let mut progress = Progress::default().with(outages);
        for key in seen.gateways.keys() {
            let published = self.published.get(key).and_then(Option::as_ref);
            let failure = self.failures.get(key).map(String::as_str);
            progress.add(key, published, seen.pods(key), failure);
        }
        let now = Time(k8s_openapi::jiff::Timestamp::now());
        let mut desk = Desk {
            now: &now,
            unreadable: seen.unreadable.iter().map(|(object, _)| object).collect(),
            chores: BTreeMap::new(),
        };
        self.report_gateways(seen, plan, &progress, &mut desk);
        report_apis(seen, plan, &progress, &mut desk);
        report_products(seen, plan, &progress, &mut desk);
        report_fragments(seen, plan, &mut desk);
        report_subscriptions(seen, plan, &progress, &mut desk);
        desk.key_requests(seen, plan);
        for (object, broken) in &seen.unreadable {
            desk.unreadable(object, broken);
        }
        // Whatever labels it bears: the election is nobody's to clean up.
        let stale = seen.stale_leases().iter();
        for lease in stale.filter(|lease| **lease != self.site.election) {
            desk.chores
                .insert(About::Lease(lease.clone()), Chore::Lease);
        }
        desk.chores
    }

    fn report_gateways(
        &self,
        seen: &Seen,
        plan: &Plan,
        progress: &Progress<'_>,
        desk: &mut Desk<'_>,
    ) {
        for (key, gateway) in &seen.gateways {
            let Some(verdict) = plan.gateway_verdicts.get(key) else {
                continue;
            };
            let (service, deployment) = {
                let index = self.writer.index.lock();
                let find = |kind| {
                    let named = render::named(kind, key);
                    index.owned.get(&kind)?.get(&named.key).cloned()
                };
                (find(OwnedKind::Service), find(OwnedKind::Deployment))
            };
            let facts = GatewayFacts {
                published: self.published.get(key).and_then(Option::as_ref),
                pods: seen.pods(key),
                service: service.as_deref(),
                deployment: deployment.as_deref(),
            };
            let stamp = desk.stamp(gateway.as_ref());
            let status = of_gateway(key, gateway, verdict, progress, (facts, stamp));
            desk.file(key, gateway.as_ref(), status, Chore::Gateway);
        }
    }
}

fn report_apis(seen: &Seen, plan: &Plan, progress: &Progress<'_>, desk: &mut Desk<'_>) {
    for api in &seen.apis {
        let key = key_of(api.as_ref());
        if let Some(verdict) = plan.api_verdicts.get(&key) {
            let stamp = desk.stamp(api.as_ref());
            let status = of_api(&key, api, verdict, progress, stamp);
            desk.file(&key, api.as_ref(), status, Chore::WebSocketApi);
        }
    }
}

fn report_products(seen: &Seen, plan: &Plan, progress: &Progress<'_>, desk: &mut Desk<'_>) {
    for product in &seen.products {
        let key = key_of(product.as_ref());
        if let Some(verdict) = plan.product_verdicts.get(&key) {
            let stamp = desk.stamp(product.as_ref());
            let status = of_product(&key, verdict, progress, stamp);
            desk.file(&key, product.as_ref(), status, Chore::Product);
        }
    }
}

fn report_fragments(seen: &Seen, plan: &Plan, desk: &mut Desk<'_>) {
    for fragment in &seen.fragments {
        let key = key_of(fragment.as_ref());
        if let Some(verdict) = plan.fragment_verdicts.get(&key) {
            let stamp = desk.stamp(fragment.as_ref());
            let status = of_policy_fragment(verdict, stamp);
            desk.file(&key, fragment.as_ref(), status, Chore::PolicyFragment);
        }
    }
}

fn report_subscriptions(seen: &Seen, plan: &Plan, progress: &Progress<'_>, desk: &mut Desk<'_>) {
    for subscription in &seen.subscriptions {
        let key = key_of(subscription.as_ref());
        if let Some(verdict) = plan.subscription_verdicts.get(&key) {
            let stamp = desk.stamp(subscription.as_ref());
            let status = of_subscription(&key, verdict, progress, stamp);
            desk.file(&key, subscription.as_ref(), status, Chore::Subscription);
        }
    }
}

/// Where chores are collected.
struct Desk<'a> {
    now: &'a Time,
    /// Objects of which the present version is not known: nothing else may be said about them.
    unreadable: BTreeSet<&'a ObjectRef>,
    chores: BTreeMap<About, Chore>,
}

impl<'a> Desk<'a> {
    fn stamp<'s, K: Reported>(&self, object: &'s K) -> Stamp<'s>
    where
        'a: 's,
    {
        Stamp {
            now: self.now,
            live: object.live().map_or(&[], K::conditions),
        }
    }

    fn file<K: Reported>(
        &mut self,
        key: &ObjectKey,
        object: &K,
        status: K::Status,
        chore: impl FnOnce(Report<K::Status>) -> Chore,
    ) {
        let Some(report) = Report::of(object, status) else {
            return;
        };
        let object = ObjectRef::new(K::KIND, key);
        if !self.unreadable.contains(&object) {
            self.chores.insert(About::Status(object), chore(report));
        }
    }

    fn key_requests(&mut self, seen: &Seen, plan: &Plan) {
        for request in &plan.key_requests {
            let wanted = &request.subscription;
            let found = seen
                .subscriptions
                .binary_search_by(|subscription| order(subscription.as_ref(), wanted));
            if let Ok(position) = found {
                let about = About::Keys(request.secret.clone());
                let subscription = seen.subscriptions[position].clone();
                self.chores
                    .insert(about, Chore::Keys(request.clone(), subscription));
            }
        }
    }

    fn unreadable(&mut self, object: &ObjectRef, broken: &Broken) {
        let text = format!(
            "cannot be read by this version of the operator: {}",
            broken.message
        );
        let judgement = Judgement::bad(Reason::Invalid, text);
        let stamp = Stamp {
            now: self.now,
            live: &[],
        };
        let condition: Condition =
            stamp.one(ConditionType::Accepted, &judgement, broken.generation);
        self.chores.insert(
            About::Status(object.clone()),
            Chore::Unreadable(broken.clone(), Box::new(condition)),
        );
    }
}

/// Subscriptions are sorted by namespace and name.
fn order(subscription: &Subscription, key: &ObjectKey) -> std::cmp::Ordering {
    let metadata = subscription.meta();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let name = metadata.name.as_deref().unwrap_or_default();
    (namespace, name).cmp(&(&key.namespace, &key.name))
}
