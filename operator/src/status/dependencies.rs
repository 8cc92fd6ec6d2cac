//! The condition `DependenciesReachable`: what pods need besides their configuration and cannot
//! reach, told of each object that names it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::Reason;
use tidegate_config::policy::{OnHandshake, Policy};
use tidegate_config::{Dependency, GatewayConfig, ObjectKey, Unreachable, shown_url};
use tidegate_plan::Judgement;

use crate::objects::{Kind, ObjectRef};
use crate::published::Pods;

/// As many of them as a message names.
const SHOWN: usize = 3;

/// What is out of reach at the moment, by the objects that need it.
#[derive(Debug, Default)]
pub(crate) struct Outages(BTreeMap<ObjectRef, Vec<Outage>>);

/// A dependency that pods of one Gateway cannot reach.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outage {
    dependency: Dependency,
    text: String,
}

impl Outages {
    /// Adds what the pods of a Gateway say, whose configuration names who needs it.
    pub(crate) fn add(&mut self, gateway: &ObjectKey, config: &GatewayConfig, pods: &Pods) {
        let away = pods.unreachable();
        if away.is_empty() {
            return;
        }
        let is_key_set = |away: &Away| away.dependency == Dependency::KeySet;
        let users = if away.iter().any(is_key_set) {
            users_of_key_sets(config)
        } else {
            BTreeMap::new()
        };
        for away in &away {
            let outage = Outage {
                dependency: away.dependency,
                text: text(gateway, away, pods.len()),
            };
            let own = ObjectRef::new(Kind::Gateway, gateway);
            let users: Vec<_> = match away.dependency {
                Dependency::Counters => vec![own],
                Dependency::Backend => {
                    let api = away.api.iter();
                    api.map(|key| ObjectRef::new(Kind::WebSocketApi, key))
                        .collect()
                }
                Dependency::KeySet => users
                    .get(away.place.as_str())
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
    pub(crate) fn judge(&self, object: &ObjectRef) -> Judgement {
        let Some(outages) = self.0.get(object) else {
            return Judgement::good(Reason::Reachable, "no pod says otherwise");
        };
        let texts = outages.iter().map(|outage| outage.text.as_str());
        let mut text = texts.take(SHOWN).collect::<Vec<_>>().join("; ");
        if outages.len() > SHOWN {
            text = format!("{text}; and {} more", outages.len() - SHOWN);
        }
        let reason = match outages[0].dependency {
            Dependency::KeySet => Reason::KeySetUnavailable,
            Dependency::Counters => Reason::CountersUnavailable,
            Dependency::Backend => Reason::BackendUnhealthy,
        };
        Judgement::bad(reason, text)
    }
}

/// A dependency as several pods see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Away {
    pub(crate) dependency: Dependency,
    pub(crate) place: String,
    /// What the first pod says.
    pub(crate) message: String,
    /// The earliest time that a pod says.
    pub(crate) since: String,
    /// Pods that cannot reach it.
    pub(crate) pods: usize,
    /// Whose backend it is.
    pub(crate) api: Option<ObjectKey>,
}

/// What several pods say, together: one entry for each dependency.
pub(crate) fn together<'a>(said: impl Iterator<Item = &'a Unreachable>) -> Vec<Away> {
    let mut found: BTreeMap<_, Away> = BTreeMap::new();
    for one in said {
        let of = (one.dependency, one.place.as_str(), one.api.as_ref());
        let away = found.entry(of).or_insert_with(|| Away {
            dependency: one.dependency,
            place: one.place.clone(),
            message: one.message.clone(),
            since: one.since.clone(),
            pods: 0,
            api: one.api.clone(),
        });
        away.pods += 1;
        if one.since < away.since {
            away.since.clone_from(&one.since);
        }
    }
    found.into_values().collect()
}

fn text(gateway: &ObjectKey, away: &Away, total: usize) -> String {
    let Away {
        place,
        message,
        since,
        pods,
        ..
    } = away;
    let (what, effect) = match away.dependency {
        Dependency::KeySet => ("keys at", "keys that were fetched before stay in use"),
        Dependency::Counters => (
            "counters at",
            "limits hold as counters.redis.onFailure says",
        ),
        Dependency::Backend => (
            "the backend",
            "it gets handshakes only when no other is well",
        ),
    };
    format!(
        "Gateway {gateway}: {pods}/{total} pods cannot reach {what} {place} since {since} \
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
        Kind::Gateway,
        &settings.key,
        key_sets(&settings.on_handshake),
    );
    for api in &config.apis {
        add(Kind::WebSocketApi, &api.key, key_sets(&api.on_handshake));
    }
    for product in &config.products {
        add(Kind::Product, &product.key, key_sets(&product.on_handshake));
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
