//! Loaded objects as input of the planner, and its verdicts as findings.

use std::sync::Arc;

use tidegate_api::SubscriptionPhase;
use tidegate_config::ObjectKey;
use tidegate_plan::{Conditions, Missing, Plan, World};

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
            Object::Gateway(object) => world.add(Arc::clone(object)),
            Object::WebSocketApi(object) => world.add(Arc::clone(object)),
            Object::Product(object) => world.add(Arc::clone(object)),
            Object::PolicyFragment(object) => world.add(Arc::clone(object)),
            Object::Subscription(object) => world.add(Arc::clone(object)),
            Object::SubscriptionRequest(object) => world.add(Arc::clone(object)),
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

/// What the plan objects to, each at the field of its object. An object that is named, and is in the files but
/// not valid there, has a finding of its own already.
pub fn findings(plan: &Plan, objects: &Objects) -> Vec<Finding> {
    let (mut findings, references) = planned(plan, objects);
    let references = references.into_iter();
    let references = references.filter(|(missing, _)| !is_broken(missing, objects));
    findings.extend(references.map(|(_, finding)| finding));
    findings.sort();
    findings.dedup();
    findings
}

/// Is an object that is missing for the plan in the files, and not valid there?
pub fn is_broken(missing: &Missing, objects: &Objects) -> bool {
    objects.broken.contains(&ObjectId {
        kind: missing.kind.to_owned(),
        key: missing.key.clone(),
    })
}

/// The same: first everything else, then all references to objects that are not there.
pub fn planned(plan: &Plan, objects: &Objects) -> (Vec<Finding>, Vec<(Missing, Finding)>) {
    let (mut findings, mut references) = (Vec::new(), Vec::new());
    for (kind, key, conditions) in conditions(plan) {
        let Some(document) = document(objects, kind, key) else {
            continue;
        };
        for flaw in &conditions.flaws {
            let (field, message) = split_field(&flaw.message);
            let finding = document.finding(Some(&field), message);
            match &flaw.missing {
                Some(missing) => references.push((missing.clone(), finding)),
                None => findings.push(finding),
            }
        }
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
    findings.extend(standing(plan, objects));
    (findings, references)
}

/// Subscriptions that give no access although nobody switched them off.
fn standing(plan: &Plan, objects: &Objects) -> Vec<Finding> {
    let mut warnings = Vec::new();
    for (key, verdict) in &plan.subscription_verdicts {
        let Some(document) = document(objects, "Subscription", key) else {
            continue;
        };
        let (field, text) = match verdict.phase {
            SubscriptionPhase::Submitted if !is_well(&verdict.conditions) => continue,
            SubscriptionPhase::Submitted if verdict.request.is_some() => (
                "spec.scope.namespace",
                "its keys do not work until the owner there approves it, with a SubscriptionRequest",
            ),
            SubscriptionPhase::Submitted => (
                "spec.approval",
                "its keys do not work until it is approved: set approval: Approved",
            ),
            SubscriptionPhase::Expired => {
                ("spec.expiresAt", "its keys do not work: it has expired")
            }
            _ => continue,
        };
        warnings.push(Finding {
            is_warning: true,
            ..document.finding(Some(field), text)
        });
    }
    warnings
}

/// Does nothing but a decision keep it from its place?
fn is_well(conditions: &Conditions) -> bool {
    conditions.accepted.status && conditions.resolved.status
}

/// The fields that a message begins with, one inside the other, and the rest: `spec.path: …`.
fn split_field(message: &str) -> (String, &str) {
    let (mut field, mut rest) = (String::new(), message);
    while let Some((path, text)) = rest.split_once(": ") {
        if !path.contains(['.', '[']) || !path.chars().all(is_of_path) {
            break;
        }
        if !field.is_empty() {
            field.push('.');
        }
        field.push_str(path);
        rest = text;
    }
    (field, rest)
}

fn is_of_path(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '.' | '[' | ']')
}

/// The conditions of every object: kind, key, conditions.
pub(crate) fn conditions(
    plan: &Plan,
) -> impl Iterator<Item = (&'static str, &ObjectKey, &Conditions)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_before_a_message_are_found() {
        for (message, field, rest) in [
            ("spec.path: has a segment .", "spec.path", "has a segment ."),
            (
                "spec.listeners[1]: tls.certificateRefs[0]: Secret a/b does not exist",
                "spec.listeners[1].tls.certificateRefs[0]",
                "Secret a/b does not exist",
            ),
            ("no listener is in service", "", "no listener is in service"),
            ("Secret a/b.c: gone", "", "Secret a/b.c: gone"),
            ("header: x", "", "header: x"),
        ] {
            assert_eq!(split_field(message), (field.to_owned(), rest));
        }
    }
}
