//! The condition `DependenciesReachable`: false on an object that needs something which a live pod cannot
//! reach. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::Reason;
use tidegate_config::policy::{OnHandshake, Policy};
use tidegate_config::{Dependency, GatewayConfig, ObjectKey, shown_url};
use tidegate_plan::{ConditionState, Plan};

use crate::objects::{CustomKind, ObjectRef};
use crate::snapshot::{Pods, Snapshot, UnreachableDependency};

/// Outages in a message at most.
const MAX_SHOWN: usize = 3;

/// Dependencies that cannot be reached, by the objects that need them.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<ObjectRef, Vec<Outage>>);

/// A dependency that pods of one Gateway cannot reach.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outage {
    dependency: Dependency,
    text: String,
}

impl Outages {
    /// What the live pods say.
    pub(crate) fn of(snapshot: &Snapshot, plan: &Plan) -> Self {
        let mut outages = Self::default();
        for (key, pods) in snapshot.pods_by_gateway() {
            if let Some(gateway) = plan.gateways.get(key) {
                outages.add(key, &gateway.config, pods);
            }
        }
        outages
    }

    /// Adds what the pods of a Gateway say. Its configuration tells which objects need it.
    fn add(&mut self, gateway: &ObjectKey, config: &GatewayConfig, pods: &Pods) {
        let unreachable = pods.unreachable();
        if unreachable.is_empty() {
            return;
        }
        let is_key_set = |of: &UnreachableDependency| of.dependency == Dependency::KeySet;
        let users = if unreachable.iter().any(is_key_set) {
            users_of_key_sets(config)
        } else {
            BTreeMap::new()
        };
        for unreachable in &unreachable {
            let outage = Outage {
                dependency: unreachable.dependency,
                text: text(gateway, unreachable, pods.len()),
            };
            let own = ObjectRef::new(CustomKind::Gateway, gateway);
            let users: Vec<_> = match unreachable.dependency {
                Dependency::Counters => vec![own],
                Dependency::Backend => {
                    let api = unreachable.api.iter();
                    api.map(|key| ObjectRef::new(CustomKind::WebSocketApi, key))
                        .collect()
                }
                Dependency::KeySet => users
                    .get(unreachable.address.as_str())
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
            };
            for user in users {
                self.0.entry(user).or_default().push(outage.clone());
            }
        }
    }

    /// The condition of an object.
    pub(super) fn condition(&self, object: &ObjectRef) -> ConditionState {
        let Some(outages) = self.0.get(object) else {
            return ConditionState::good(
                Reason::Reachable,
                "no pod reports an unreachable dependency",
            );
        };
        let texts = outages.iter().map(|outage| outage.text.as_str());
        let mut text = texts.take(MAX_SHOWN).collect::<Vec<_>>().join("; ");
        if outages.len() > MAX_SHOWN {
            text = format!("{text}; and {} more", outages.len() - MAX_SHOWN);
        }
        let reason = match outages[0].dependency {
            Dependency::KeySet => Reason::KeySetUnavailable,
            Dependency::Counters => Reason::CountersUnavailable,
            Dependency::Backend => Reason::BackendUnhealthy,
        };
        ConditionState::bad(reason, text)
    }
}

fn text(gateway: &ObjectKey, unreachable: &UnreachableDependency, total: usize) -> String {
    let UnreachableDependency {
        address,
        message,
        since,
        pods,
        ..
    } = unreachable;
    let (what, effect) = match unreachable.dependency {
        Dependency::KeySet => (
            "the keys at",
            "the keys that were fetched before stay in use",
        ),
        Dependency::Counters => ("the counters at", "limits follow counters.redis.onFailure"),
        Dependency::Backend => (
            "the backend",
            "it gets handshakes only when no other backend is healthy",
        ),
    };
    format!(
        "Gateway {gateway}: {pods}/{total} pods cannot reach {what} {address} since {since} \
         ({message}); {effect}"
    )
}

/// The objects whose steps name a key set, by its URL without the query.
fn users_of_key_sets(config: &GatewayConfig) -> BTreeMap<&str, BTreeSet<ObjectRef>> {
    let mut users: BTreeMap<&str, BTreeSet<ObjectRef>> = BTreeMap::new();
    let mut add = |kind, key: &ObjectKey, urls: BTreeSet<_>| {
        for url in urls {
            users
                .entry(url)
                .or_default()
                .insert(ObjectRef::new(kind, key));
        }
    };
    let settings = &config.settings;
    add(
        CustomKind::Gateway,
        &settings.key,
        key_sets(&settings.on_handshake),
    );
    for api in &config.apis {
        add(
            CustomKind::WebSocketApi,
            &api.key,
            key_sets(&api.on_handshake),
        );
    }
    for product in &config.products {
        add(
            CustomKind::Product,
            &product.key,
            key_sets(&product.on_handshake),
        );
    }
    users
}

fn key_sets(on_handshake: &OnHandshake) -> BTreeSet<&str> {
    let steps = on_handshake.steps();
    let urls = steps.filter_map(|(_, _, step)| match step.policy() {
        Some(Policy::ValidateJwt(policy)) => Some(policy.jwks.iter().chain(&policy.openid_config)),
        _ => None,
    });
    urls.flatten().map(|url| shown_url(url)).collect()
}

#[cfg(test)]
mod tests;
