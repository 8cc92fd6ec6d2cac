//! Loaded objects as input of the planner, and its verdicts as findings.

use std::sync::Arc;

use tidegate_config::ObjectKey;
use tidegate_plan::{Conditions, Plan, World};

use crate::finding::Finding;
use crate::manifest::Document;
use crate::objects::{Object, ObjectId, Objects};

/// These objects as input of the planner, without what was served before. `now` is in seconds since 1970.
pub fn world(objects: &Objects, now: i64) -> World {
    let mut world = World {
        now,
        ..World::default()
    };
    for (id, loaded) in &objects.all {
        let key = id.key.clone();
        match &loaded.object {
            Object::Gateway(object) => world.gateways.push(Arc::clone(object)),
            Object::WebSocketApi(object) => world.apis.push(Arc::clone(object)),
            Object::Product(object) => world.products.push(Arc::clone(object)),
            Object::PolicyFragment(object) => world.fragments.push(Arc::clone(object)),
            Object::Subscription(object) => world.subscriptions.push(Arc::clone(object)),
            Object::Secret(object) => {
                world.secrets.insert(key, Arc::clone(object));
            }
            Object::ConfigMap(object) => {
                world.config_maps.insert(key, Arc::clone(object));
            }
            Object::Namespace(labels) => {
                world.namespace_labels.insert(key.name, labels.clone());
            }
        }
    }
    world
}

/// Conditions of the plan that are false, and its warnings, each at the document of its object.
pub fn findings(plan: &Plan, objects: &Objects) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, key, conditions) in conditions(plan) {
        let Some(document) = document(objects, kind, key) else {
            continue;
        };
        let unmet = conditions.each().into_iter();
        let unmet = unmet.filter(|(_, state)| !state.status);
        findings.extend(unmet.map(|(_, state)| document.finding(None, state.message.clone())));
    }
    for (key, verdict) in &plan.api_verdicts {
        let Some(document) = document(objects, "WebSocketApi", key) else {
            continue;
        };
        let warning = |text: &String| Finding {
            is_warning: true,
            ..document.finding(None, text.clone())
        };
        findings.extend(verdict.warnings.iter().map(warning));
    }
    findings.sort();
    findings.dedup();
    findings
}

/// The conditions of every object: kind, key, conditions.
fn conditions(plan: &Plan) -> impl Iterator<Item = (&'static str, &ObjectKey, &Conditions)> {
    let gateways = plan.gateway_verdicts.iter();
    let gateways = gateways.map(|(key, of)| ("Gateway", key, &of.conditions));
    let apis = plan.api_verdicts.iter();
    let apis = apis.map(|(key, of)| ("WebSocketApi", key, &of.conditions));
    let products = plan.product_verdicts.iter();
    let products = products.map(|(key, of)| ("Product", key, &of.conditions));
    let fragments = plan.fragment_verdicts.iter();
    let fragments = fragments.map(|(key, of)| ("PolicyFragment", key, &of.conditions));
    let subscriptions = plan.subscription_verdicts.iter();
    let subscriptions = subscriptions.map(|(key, of)| ("Subscription", key, &of.conditions));
    let all = gateways.chain(apis).chain(products);
    all.chain(fragments).chain(subscriptions)
}

fn document<'a>(objects: &'a Objects, kind: &str, key: &ObjectKey) -> Option<&'a Document> {
    let id = ObjectId {
        kind: kind.to_owned(),
        key: key.clone(),
    };
    objects.all.get(&id).map(|loaded| &loaded.document)
}
