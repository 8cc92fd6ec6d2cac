//! Builders of worlds. Their values differ from the product's defaults, so that a default that
//! slips in shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tidegate_api::{Gateway, PolicyFragment, Product, Subscription, WebSocketApi};
use tidegate_config::{ApiConfig, ObjectKey, ProductConfig, SubscriptionConfig};
use tidegate_plan::{ApiVerdict, ConditionState, Kind, Plan, Previous, World, plan};

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
    Builder { world, age: 0 }
}

impl Builder {
    pub(crate) fn gateway(mut self, name: &str, patch: Value) -> Self {
        let base = json!({"listeners": [{"name": "plain", "port": 8081, "protocol": "WS"}]});
        let gateway: Gateway = self.object("Gateway", name, base, patch);
        put(&mut self.world, gateway);
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
        let api: WebSocketApi = self.object("WebSocketApi", name, base, patch);
        put(&mut self.world, api);
        self
    }

    pub(crate) fn product(mut self, name: &str, patch: Value) -> Self {
        let product: Product = self.object("Product", name, json!({}), patch);
        put(&mut self.world, product);
        self
    }

    pub(crate) fn fragment(mut self, name: &str, spec: Value) -> Self {
        let fragment: PolicyFragment = self.object("PolicyFragment", name, json!({}), spec);
        put(&mut self.world, fragment);
        self
    }

    pub(crate) fn without_fragment(mut self, name: &str) -> Self {
        self.world.fragments.remove(&key(name));
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
        let subscription: Subscription = self.object("Subscription", name, json!({}), patch);
        put(&mut self.world, subscription);
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
        for (key, gateway) in &plan.gateways {
            let previous = Previous::of(&gateway.config, gateway.secret_data.clone());
            self.world.previous.insert(key.clone(), Arc::new(previous));
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
fn put<K: Kind>(world: &mut World, mut object: K) {
    let key = ObjectKey::new(object.namespace().unwrap(), object.name_any());
    if let Some(before) = K::all(world).get(&key) {
        object.meta_mut().creation_timestamp = before.creation_timestamp();
    }
    world.add(Arc::new(object));
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
    let mut apis = apis.iter().map(AsRef::<ApiConfig>::as_ref);
    apis.find(|config| config.key == key(api))
}

pub(crate) fn served_names(plan: &Plan, gateway: &str) -> Vec<String> {
    let apis = &plan.gateways[&key(gateway)].config.apis;
    apis.iter().map(|config| config.key.name.clone()).collect()
}

pub(crate) fn product<'p>(plan: &'p Plan, gateway: &str, name: &str) -> Option<&'p ProductConfig> {
    let products = &plan.gateways[&key(gateway)].config.products;
    let mut products = products.iter().map(AsRef::<ProductConfig>::as_ref);
    products.find(|config| config.key == key(name))
}

pub(crate) fn subscription<'p>(
    plan: &'p Plan,
    gateway: &str,
    name: &str,
) -> Option<&'p SubscriptionConfig> {
    let subscriptions = &plan.gateways[&key(gateway)].config.subscriptions;
    let mut subscriptions = subscriptions
        .iter()
        .map(AsRef::<SubscriptionConfig>::as_ref);
    subscriptions.find(|config| config.key == key(name))
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
