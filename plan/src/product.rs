//! Products: which APIs they hold, and on which Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use tidegate_api::{Product, ProductState, Reason, WebSocketApi};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{ObjectKey, ProductConfig};

use crate::expressions::Expressions;
use crate::gateway::names;
use crate::index::generation_of;
use crate::last_good::serving;
use crate::namespaces::matches;
use crate::policies::{Policies, PolicyScope, same_access};
use crate::problem::{Problem, conditions, consequence, summary, without_repeats};
use crate::references::References;
use crate::{ApiVerdict, OnGateway, ProductVerdict, Serving, World};

/// A Product and the APIs it holds.
#[derive(Debug)]
pub(crate) struct ProductDraft {
    pub(crate) product: Arc<Product>,
    /// APIs that exist.
    pub(crate) apis: BTreeSet<String>,
    unresolved: Vec<String>,
    /// APIs that an older open product has already, with its name: not opened by this one.
    opened_elsewhere: BTreeMap<String, String>,
}

/// All products.
pub(crate) type Products = BTreeMap<ObjectKey, ProductDraft>;

/// APIs that are in an open product already: the names of both.
type Opened = BTreeMap<String, String>;

impl ProductDraft {
    /// Finds the APIs of a Product.
    pub(crate) fn resolve(key: &ObjectKey, product: &Arc<Product>, world: &World) -> Self {
        let spec = &product.spec;
        let sibling = |name: &String| ObjectKey::new(&key.namespace, name);
        let exists = |name: &String| world.apis.contains_key(&sibling(name));
        let named = spec.apis.iter().map(|api| api.name.clone());
        let (mut apis, unresolved): (BTreeSet<_>, BTreeSet<_>) = named.partition(exists);
        if spec.api_selector.is_some() {
            let siblings = world.apis.range(ObjectKey::new(&key.namespace, "")..);
            let siblings = siblings.take_while(|(api, _)| api.namespace == key.namespace);
            let selected = siblings.filter(|(_, api)| selects(product, api));
            apis.extend(selected.map(|(api, _)| api.name.clone()));
        }
        Self {
            product: Arc::clone(product),
            apis,
            unresolved: unresolved.into_iter().collect(),
            opened_elsewhere: Opened::new(),
        }
    }

    /// Opens its APIs, unless another product has. Products come oldest first. True when that is not as before.
    pub(crate) fn open(&mut self, name: &str, opened: &mut Opened) -> bool {
        let mut elsewhere = Opened::new();
        if self.is_published() && !self.product.spec.subscription_required {
            for api in &self.apis {
                match opened.get(api) {
                    None => drop(opened.insert(api.clone(), name.to_owned())),
                    Some(other) => drop(elsewhere.insert(api.clone(), other.clone())),
                }
            }
        }
        let before = std::mem::replace(&mut self.opened_elsewhere, elsewhere);
        before != self.opened_elsewhere
    }

    /// Everything that is wrong with what it names.
    fn problems(&self, key: &ObjectKey) -> Vec<Problem> {
        let named = self.product.spec.apis.iter().enumerate();
        let missing = named.filter(|(_, api)| self.unresolved.contains(&api.name));
        let missing = missing.map(|(i, api)| {
            let api = ObjectKey::new(&key.namespace, &api.name);
            let problem = Problem::missing(Reason::ApiNotFound, "WebSocketApi", api);
            problem.at(&format!("spec.apis[{i}]"))
        });
        let elsewhere = self.opened_elsewhere.iter().map(|(api, other)| {
            let text = format!("WebSocketApi {api} is already in the open product {other}");
            Problem::accepted(Reason::Conflict, text)
        });
        missing.chain(elsewhere).collect()
    }

    /// What is to be said about it. The number of subscriptions comes later.
    fn verdict(
        &self,
        key: &ObjectKey,
        of_policies: &[Problem],
        gateways: Vec<OnGateway>,
    ) -> ProductVerdict {
        let mut problems = self.problems(key);
        problems.extend_from_slice(of_policies);
        let mut conditions = conditions(generation_of(&*self.product), &problems);
        consequence(&mut conditions, gateways.iter().map(|on| on.serving).max());
        ProductVerdict {
            conditions,
            resolved_apis: self.apis.iter().cloned().collect(),
            unresolved_apis: self.unresolved.clone(),
            subscriptions: 0,
            gateways,
        }
    }

    pub(crate) fn is_published(&self) -> bool {
        self.product.spec.state == ProductState::Published
    }
}

/// Does the selector of a product select an API of its namespace?
pub(crate) fn selects(product: &Product, api: &WebSocketApi) -> bool {
    let selector = product.spec.api_selector.as_ref();
    matches(selector, api.labels())
}

/// Renders a Product for the Gateways that serve one of its APIs.
pub(crate) struct Rendering<'r, 'w> {
    pub(crate) references: &'r mut References<'w>,
    pub(crate) expressions: &'r mut Expressions,
    /// What serves the APIs.
    pub(crate) apis: &'r BTreeMap<ObjectKey, ApiVerdict>,
}

/// A product as it is served.
pub(crate) struct Rendered {
    /// Its configuration for each Gateway.
    pub(crate) configs: BTreeMap<ObjectKey, ProductConfig>,
    pub(crate) verdict: ProductVerdict,
    /// Would another version served before change it?
    pub(crate) uses_previous: bool,
}

impl Rendering<'_, '_> {
    /// One product's configuration for each Gateway, and what is to be said about it.
    pub(crate) fn render(&mut self, key: &ObjectKey, draft: &ProductDraft) -> Rendered {
        let apis_by_gateway = self.apis_by_gateway(key, draft);
        let policies = self.check(key, draft, apis_by_gateway.keys());
        let mut configs = BTreeMap::new();
        let mut gateways = Vec::new();
        for (gateway, apis) in apis_by_gateway {
            let previous = self.references.world.previous.get(&gateway);
            let previous = previous.and_then(|previous| previous.product(key));
            let previous = previous.map(AsRef::as_ref);
            let (config, serving) = config(key, draft, &policies, apis, previous);
            gateways.push(OnGateway {
                gateway: gateway.clone(),
                serving,
            });
            configs.insert(gateway, config);
        }
        Rendered {
            configs,
            verdict: draft.verdict(key, &policies.problems, gateways),
            uses_previous: !policies.problems.is_empty(),
        }
    }

    /// Checks the product's policies on the Gateways that serve it.
    fn check<'g>(
        &mut self,
        key: &ObjectKey,
        draft: &ProductDraft,
        gateways: impl Iterator<Item = &'g ObjectKey>,
    ) -> Policies {
        let spec = &draft.product.spec;
        let scope = PolicyScope {
            label: "product",
            namespace: &key.namespace,
            on_handshake: &spec.on_handshake,
            values: &spec.values,
        };
        let mut policies = scope.check(self.references, self.expressions);
        let unknown = self.unknown_values(draft, &policies, gateways);
        policies.problems.extend(unknown);
        policies
    }

    /// Named values that the product's steps need, and that neither it nor one of the Gateways has.
    fn unknown_values<'g>(
        &self,
        draft: &ProductDraft,
        policies: &Policies,
        gateways: impl Iterator<Item = &'g ObjectKey>,
    ) -> Vec<Problem> {
        let all = &self.references.world.gateways;
        let specs = gateways.filter_map(|key| Some(&all.get(key)?.spec));
        let unknown = specs.flat_map(|spec| {
            let there = names(&draft.product.spec.values).chain(names(&spec.values));
            let audiences = policies.unknown_audiences(&spec.deployment.token_audiences);
            policies.unknown_values(there).into_iter().chain(audiences)
        });
        without_repeats(unknown)
    }

    fn apis_by_gateway(
        &self,
        key: &ObjectKey,
        draft: &ProductDraft,
    ) -> BTreeMap<ObjectKey, Vec<String>> {
        let mut found: BTreeMap<ObjectKey, Vec<String>> = BTreeMap::new();
        if !draft.is_published() {
            return found;
        }
        let opened = |api: &&String| !draft.opened_elsewhere.contains_key(*api);
        for api in draft.apis.iter().filter(opened) {
            let verdict = self.apis.get(&ObjectKey::new(&key.namespace, api));
            for on in verdict.into_iter().flat_map(|verdict| &verdict.gateways) {
                let apis = found.entry(on.gateway.clone()).or_default();
                apis.push(api.clone());
            }
        }
        found
    }
}

/// Which APIs a product holds and whether it is open are never taken from an older version: only
/// its policies are.
fn config(
    key: &ObjectKey,
    draft: &ProductDraft,
    policies: &Policies,
    apis: Vec<String>,
    previous: Option<&ProductConfig>,
) -> (ProductConfig, Serving) {
    let latest = latest(key, &draft.product, policies, apis);
    let worked = previous.filter(|previous| previous.blocked.is_none());
    let same = worked.map(|worked| same_access(&worked.on_handshake, &latest.on_handshake));
    match (serving(&policies.problems, same), worked) {
        (Serving::Current, _) => (latest, Serving::Current),
        (Serving::LastGood, Some(worked)) => {
            let config = ProductConfig {
                generation: worked.generation,
                on_handshake: worked.on_handshake.clone(),
                values: worked.values.clone(),
                ..latest
            };
            (config, Serving::LastGood)
        }
        (Serving::LastGood | Serving::Blocked, _) => {
            let problems: Vec<_> = policies.problems.iter().collect();
            let config = ProductConfig {
                on_handshake: OnHandshake::default(),
                values: BTreeMap::new(),
                blocked: Some(summary(&problems)),
                ..latest
            };
            (config, Serving::Blocked)
        }
    }
}

/// The latest version.
fn latest(
    key: &ObjectKey,
    product: &Product,
    policies: &Policies,
    apis: Vec<String>,
) -> ProductConfig {
    let display_name = product.spec.display_name.clone();
    ProductConfig {
        key: key.clone(),
        generation: generation_of(product),
        display_name: display_name.unwrap_or_else(|| product.name_any()),
        open: !product.spec.subscription_required,
        apis,
        on_handshake: policies.on_handshake.clone(),
        values: policies.values.clone(),
        blocked: None,
    }
}
