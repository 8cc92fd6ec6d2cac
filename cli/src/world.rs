//! Loaded objects as input of the planner, and its verdicts as findings.

use std::sync::Arc;

use tidegate_plan::{Plan, World};

use crate::finding::Finding;
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
    let gateways = plan
        .gateway_verdicts
        .iter()
        .map(|(k, v)| ("Gateway", k, &v.conditions));
    let apis = plan
        .api_verdicts
        .iter()
        .map(|(k, v)| ("WebSocketApi", k, &v.conditions));
    let products = plan
        .product_verdicts
        .iter()
        .map(|(k, v)| ("Product", k, &v.conditions));
    let fragments = plan
        .fragment_verdicts
        .iter()
        .map(|(k, v)| ("PolicyFragment", k, &v.conditions));
    let subscriptions = plan
        .subscription_verdicts
        .iter()
        .map(|(k, v)| ("Subscription", k, &v.conditions));
    let mut findings = Vec::new();
    let all = gateways.chain(apis).chain(products).chain(fragments);
    for (kind, key, conditions) in all.chain(subscriptions) {
        let id = ObjectId {
            kind: kind.to_owned(),
            key: key.clone(),
        };
        let Some(loaded) = objects.all.get(&id) else {
            continue;
        };
        for (_, state) in conditions.each() {
            if !state.status {
                findings.push(loaded.document.finding(None, state.message.clone()));
            }
        }
    }
    for (key, verdict) in &plan.api_verdicts {
        let id = ObjectId {
            kind: "WebSocketApi".to_owned(),
            key: key.clone(),
        };
        let document = objects.all.get(&id).map(|loaded| &loaded.document);
        let warning = |text: &String| {
            document.map(|document| Finding {
                is_warning: true,
                ..document.finding(None, text.clone())
            })
        };
        findings.extend(verdict.warnings.iter().filter_map(warning));
    }
    findings.sort();
    findings.dedup();
    findings
}
