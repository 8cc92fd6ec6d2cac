//! Builds manifests from entities of API Management. Pure.

mod api;
mod audience;
mod backend;
mod breaker;
mod policies;
mod product;
mod rest;
mod service;
mod subscription;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use self::audience::allow_tokens;
use super::entity::{Entity, Names};
use super::finding::Finding;
use super::policy::{Context, Fragments};
use super::service::Identity;

/// The result.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) objects: Vec<Value>,
    pub(super) findings: Vec<Finding>,
}

/// Types without effect on handshakes, or with nothing that is not also in another type.
const WITHOUT_EFFECT: [&str; 12] = [
    "apis/diagnostics",
    "apis/operations",
    "apis/releases",
    "apis/schemas",
    "apis/tags",
    "apis/wikis",
    "diagnostics",
    "groups",
    "loggers",
    "products/groups",
    "products/tags",
    "tags",
];

/// Types that a builder reads.
const READ: [&str; 16] = [
    "apis",
    "apis/operations/policies",
    "apis/policies",
    "apiversionsets",
    "backends",
    "gateways",
    "gateways/apis",
    "namedvalues",
    "policies",
    "policyfragments",
    "policyfragments/policies",
    "products",
    "products/apilinks",
    "products/apis",
    "products/policies",
    "subscriptions",
];

/// Builds all manifests. `gateway` is the name of the Gateway that serves the APIs.
pub(super) fn build(entities: &[Entity], gateway: &str, identity: &Identity) -> Built {
    let mut builder = Builder {
        all: entities,
        gateway: gateway.to_owned(),
        names: Names::default(),
        context: Context::default(),
        fragments: Fragments::default(),
        apis: BTreeMap::new(),
        revisions: BTreeMap::new(),
        products: BTreeMap::new(),
        values: BTreeSet::new(),
        secrets: BTreeSet::new(),
        rivals: BTreeSet::new(),
        built: Built::default(),
    };
    builder.others();
    builder.find_rivals();
    builder.names.reserve("Gateway", gateway);
    builder.name_all();
    builder.context = builder.policy_context();
    builder.context.service = builder.service(identity);
    let apis = builder.all_apis();
    let products = builder.all_products();
    let subscriptions = builder.all_subscriptions();
    let gateways = builder.all_gateways();
    builder.left_out();
    let mut built = builder.built;
    built.objects = [gateways, apis, products, subscriptions].concat();
    allow_tokens(&mut built.objects);
    built
}

struct Builder<'a> {
    all: &'a [Entity],
    gateway: String,
    names: Names,
    context: Context,
    fragments: Fragments,
    /// Names of imported APIs: by name in API Management, in lower case.
    apis: BTreeMap<String, String>,
    /// Current revisions of imported APIs, by the same name, if the export says them.
    revisions: BTreeMap<String, String>,
    /// Imported products, by name in API Management, in lower case.
    products: BTreeMap<String, Product>,
    /// Named values that policies read.
    values: BTreeSet<String>,
    /// Keys of the Secret of what has to be added.
    secrets: BTreeSet<String>,
    /// Types and names of entities that are defined more than once.
    rivals: BTreeSet<(String, String)>,
    built: Built,
}

/// A product that was imported.
struct Product {
    name: String,
    subscription_required: bool,
    approval_required: bool,
}

impl<'a> Builder<'a> {
    fn of(&self, kind: &'static str) -> impl Iterator<Item = &'a Entity> + use<'a> {
        self.all.iter().filter(move |entity| entity.kind == kind)
    }

    fn say(&mut self, finding: Finding) {
        self.built.findings.push(finding);
    }

    /// The Gateway of all APIs and one for each self-hosted gateway, with the Secret of named values
    /// and the fragments.
    fn all_gateways(&mut self) -> Vec<Value> {
        let mut spec = Map::new();
        spec.insert("listeners".to_owned(), listeners());
        if let Some(steps) = self.steps_of_service() {
            spec.insert("onHandshake".to_owned(), steps);
        }
        let fragments = self.all_fragments();
        let (values, secret) = self.named_values();
        if !values.is_empty() {
            spec.insert("values".to_owned(), json!(values));
        }
        let shared: Vec<_> = ["onHandshake", "values"]
            .into_iter()
            .filter_map(|field| Some((field.to_owned(), spec.get(field)?.clone())))
            .collect();
        let mut objects = vec![object("Gateway", &self.gateway, Value::Object(spec))];
        for entity in self.of("gateways") {
            let name = self.names.of("Gateway", entity.name());
            let found = entity.leftovers(&["description", "locationData"]);
            self.built.findings.extend(found);
            let mut spec = Map::from_iter(shared.clone());
            self.locate(entity, &mut spec);
            spec.insert("listeners".to_owned(), listeners());
            objects.push(object("Gateway", &name, Value::Object(spec)));
        }
        objects.extend(secret);
        objects.extend(fragments);
        objects
    }
}

/// A plain listener: TLS needs a certificate, which no export contains.
fn listeners() -> Value {
    json!([{"name": "plain", "port": 8080, "protocol": "WS"}])
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Copies texts under the same names.
fn texts(entity: &Entity, names: &[&str], spec: &mut Map<String, Value>) {
    for name in names {
        if let Some(text) = entity.text(name).filter(|text| !text.is_empty()) {
            spec.insert((*name).to_owned(), json!(text));
        }
    }
}

#[cfg(test)]
mod tests;
