//! Builders of worlds. Their values differ from the product's defaults, so that a default that
//! slips in shows.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_config::{ApiConfig, ObjectKey, ProductConfig, SubscriptionConfig};
use tidegate_plan::{ApiVerdict, ConditionState, Plan, World, plan};

/// Namespace of everything that names no other.
pub(crate) const NAMESPACE: &str = "shop";
/// 2026-06-01T12:00:00Z.
pub(crate) const NOW: i64 = 1_780_315_200;

pub(crate) fn key(name: &str) -> ObjectKey {
    match name.split_once('/') {
        Some((namespace, name)) => ObjectKey::new(namespace, name),
        None => ObjectKey::new(NAMESPACE, name),
    }
}

/// A world that grows object by object, each younger than the one before.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) world: World,
    age: u32,
    /// Kind, namespace and name of all objects: looking through a large world takes long.
    known: HashSet<(String, ObjectKey)>,
}

/// A world with one Gateway, `edge`, with a plain listener.
pub(crate) fn edge() -> Builder {
    empty().gateway("edge", json!({}))
}

pub(crate) fn empty() -> Builder {
    let world = World {
        now: NOW,
        ..World::default()
    };
    Builder {
        world,
        age: 0,
        known: HashSet::new(),
    }
}

impl Builder {
    pub(crate) fn gateway(mut self, name: &str, patch: Value) -> Self {
        let base = json!({"listeners": [{"name": "plain", "port": 8081, "protocol": "WS"}]});
        let gateway = self.object("Gateway", name, base, patch);
        let new = self.known.insert(("Gateway".to_owned(), key(name)));
        put(&mut self.world.gateways, gateway, new);
        self
    }

    /// An API with path `/NAME` on Gateway `edge`.
    pub(crate) fn api(mut self, name: &str, patch: Value) -> Self {
        let short = key(name).name;
        let base = json!({
            "gateways": [{"name": "edge"}],
            "path": format!("/{short}"),
            "backend": {"url": format!("ws://{short}.backend:7000/hub")},
        });
        let api = self.object("WebSocketApi", name, base, patch);
        let new = self.known.insert(("WebSocketApi".to_owned(), key(name)));
        put(&mut self.world.apis, api, new);
        self
    }

    pub(crate) fn product(mut self, name: &str, patch: Value) -> Self {
        let product = self.object("Product", name, json!({}), patch);
        let new = self.known.insert(("Product".to_owned(), key(name)));
        put(&mut self.world.products, product, new);
        self
    }

    pub(crate) fn fragment(mut self, name: &str, spec: Value) -> Self {
        let fragment = self.object("PolicyFragment", name, json!({}), spec);
        let new = self.known.insert(("PolicyFragment".to_owned(), key(name)));
        put(&mut self.world.fragments, fragment, new);
        self
    }

    pub(crate) fn without_fragment(mut self, name: &str) -> Self {
        let gone = key(name).name;
        self.world.fragments.retain(|f| f.name_any() != gone);
        self
    }

    /// A subscription with supplied keys, see [`primary`].
    pub(crate) fn subscription(self, name: &str, patch: Value) -> Self {
        let secret = format!("{name}-keys");
        let primary = primary(name);
        self.subscription_without_keys(name, patch)
            .secret(&secret, &[("primaryKey", primary.as_bytes())])
    }

    pub(crate) fn subscription_without_keys(mut self, name: &str, patch: Value) -> Self {
        let subscription = self.object("Subscription", name, json!({}), patch);
        let new = self.known.insert(("Subscription".to_owned(), key(name)));
        put(&mut self.world.subscriptions, subscription, new);
        self
    }

    pub(crate) fn secret(self, name: &str, data: &[(&str, &[u8])]) -> Self {
        let data = data
            .iter()
            .map(|(k, v)| ((*k).to_owned(), ByteString(v.to_vec())));
        let secret = Secret {
            data: Some(data.collect()),
            ..Secret::default()
        };
        self.whole_secret(name, secret)
    }

    pub(crate) fn whole_secret(mut self, name: &str, mut secret: Secret) -> Self {
        let key = key(name);
        secret.metadata.namespace = Some(key.namespace.clone());
        secret.metadata.name = Some(key.name.clone());
        self.world.secrets.insert(key, Arc::new(secret));
        self
    }

    pub(crate) fn without_secret(mut self, name: &str) -> Self {
        self.world.secrets.remove(&key(name));
        self
    }

    pub(crate) fn config_map(mut self, name: &str, data: &[(&str, &str)]) -> Self {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let config_map = ConfigMap {
            data: Some(data.collect()),
            ..ConfigMap::default()
        };
        self.world
            .config_maps
            .insert(key(name), Arc::new(config_map));
        self
    }

    pub(crate) fn namespace(mut self, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels = labels
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        self.world
            .namespace_labels
            .insert(name.to_owned(), labels.collect());
        self
    }

    /// The world after what it plans has been served.
    pub(crate) fn served(mut self) -> Self {
        let plan = self.plan();
        self.world.previous.clear();
        self.world.previous_secret_data.clear();
        for (key, gateway) in plan.gateways {
            self.world
                .previous
                .insert(key.clone(), Arc::new(gateway.config));
            self.world
                .previous_secret_data
                .insert(key, Arc::new(gateway.secret_data));
        }
        self
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.world)
    }

    fn object<K: DeserializeOwned>(
        &mut self,
        kind: &str,
        name: &str,
        mut spec: Value,
        patch: Value,
    ) -> K {
        let key = key(name);
        let labels = patch.get("labels").cloned().unwrap_or_else(|| json!({}));
        merge(&mut spec, patch);
        spec.as_object_mut().unwrap().remove("labels");
        self.age += 1;
        let generation = 10 + i64::from(self.age);
        let object = json!({
            "apiVersion": tidegate_api::API_VERSION,
            "kind": kind,
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "uid": format!("uid-{}", key.name),
                "generation": generation,
                "labels": labels,
        "creationTimestamp": created(self.age),
            },
            "spec": spec,
        });
        serde_json::from_value(object).unwrap_or_else(|error| panic!("{kind} {name}: {error}"))
    }
}

/// One second after the other.
fn created(age: u32) -> String {
    let start: jiff::Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_secs(i64::from(age))).to_string()
}

/// Adds an object, or replaces the one of the same name and keeps its age.
fn put<K: ResourceExt>(objects: &mut Vec<Arc<K>>, mut object: K, new: bool) {
    if new {
        objects.push(Arc::new(object));
        return;
    }
    let same = |other: &Arc<K>| {
        other.name_any() == object.name_any() && other.namespace() == object.namespace()
    };
    match objects.iter().position(same) {
        None => objects.push(Arc::new(object)),
        Some(position) => {
            object.meta_mut().creation_timestamp = objects[position].creation_timestamp();
            objects[position] = Arc::new(object);
        }
    }
}

/// RFC 7386.
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    target.remove(&name);
                } else {
                    merge(target.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (target, patch) => *target = patch,
    }
}

/// The primary key of a subscription made by [`Builder::subscription`].
pub(crate) fn primary(name: &str) -> String {
    format!("primary-key-of-{name}")
}

/// What the plan serves on `edge` under this name.
pub(crate) fn served<'p>(plan: &'p Plan, gateway: &str, api: &str) -> Option<&'p ApiConfig> {
    let apis = &plan.gateways[&key(gateway)].config.apis;
    apis.iter().find(|config| config.key == key(api))
}

pub(crate) fn served_names(plan: &Plan, gateway: &str) -> Vec<String> {
    let apis = &plan.gateways[&key(gateway)].config.apis;
    apis.iter().map(|config| config.key.name.clone()).collect()
}

pub(crate) fn product<'p>(plan: &'p Plan, gateway: &str, name: &str) -> Option<&'p ProductConfig> {
    let products = &plan.gateways[&key(gateway)].config.products;
    products.iter().find(|config| config.key == key(name))
}

pub(crate) fn subscription<'p>(
    plan: &'p Plan,
    gateway: &str,
    name: &str,
) -> Option<&'p SubscriptionConfig> {
    let subscriptions = &plan.gateways[&key(gateway)].config.subscriptions;
    subscriptions.iter().find(|config| config.key == key(name))
}

pub(crate) fn api_verdict<'p>(plan: &'p Plan, name: &str) -> &'p ApiVerdict {
    &plan.api_verdicts[&key(name)]
}

/// Both conditions as text: `Accepted`, or the reason why not.
pub(crate) fn reasons(accepted: &ConditionState, resolved: &ConditionState) -> (String, String) {
    (accepted.reason.to_string(), resolved.reason.to_string())
}

pub(crate) fn api_reasons(plan: &Plan, name: &str) -> (String, String) {
    let verdict = &api_verdict(plan, name).conditions;
    reasons(&verdict.accepted, &verdict.resolved)
}

/// Two texts as a pair, to compare with.
pub(crate) fn pair(accepted: &str, resolved: &str) -> (String, String) {
    (accepted.to_owned(), resolved.to_owned())
}

/// A self-signed certificate and its private key, both PEM.
pub(crate) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// A public P-256 key, PEM.
pub(crate) fn public_key() -> String {
    rcgen::KeyPair::generate().unwrap().public_key_pem()
}

pub(crate) fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}
