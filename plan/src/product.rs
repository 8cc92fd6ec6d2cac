//! Products: which APIs they hold, and on which Gateways.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use tidegate_api::{ApiRef, Gateway, Product, ProductState, Reason};
use tidegate_config::policy::OnHandshake;
use tidegate_config::{GatewayConfig, ObjectKey, ProductConfig};

use crate::attach::matches;
use crate::expressions::Expressions;
use crate::gateway::names;
use crate::index::{ObjectIndex, Objects, generation_of, oldest_first};
use crate::last_good::serving;
use crate::policies::{Policies, PolicyScope, same_access};
use crate::problem::{Problem, conditions, consequence, summary, without_repeats};
use crate::references::References;
use crate::{OnGateway, ProductVerdict, Serving, World};

/// A Product and the APIs it holds.
pub(crate) struct ProductDraft<'a> {
    pub(crate) product: &'a Product,
    /// APIs that exist.
    pub(crate) apis: BTreeSet<String>,
    unresolved: Vec<String>,
    /// APIs that an older open product has already: not opened by this one.
    opened_elsewhere: BTreeSet<String>,
    problems: Vec<Problem>,
}

/// All products.
pub(crate) type Products<'a> = BTreeMap<ObjectKey, ProductDraft<'a>>;

/// Finds the APIs of every Product. An API can be in one open product: the older one gets it.
pub(crate) fn resolve<'a>(index: &ObjectIndex<'a>) -> Products<'a> {
    let mut opened: BTreeMap<ObjectKey, String> = BTreeMap::new();
    let mut drafts = Products::new();
    for (key, product) in oldest_first(&index.products) {
        let mut draft = ProductDraft::resolve(key, product, index);
        if draft.is_published() && !draft.product.spec.subscription_required {
            draft.open(key, &mut opened);
        }
        drafts.insert(key.clone(), draft);
    }
    drafts
}

/// Names of the products that hold each API.
pub(crate) fn by_api(products: &Products<'_>) -> BTreeMap<ObjectKey, Vec<String>> {
    let mut found: BTreeMap<ObjectKey, Vec<String>> = BTreeMap::new();
    for (key, draft) in products {
        for api in &draft.apis {
            let api = ObjectKey::new(&key.namespace, api);
            found.entry(api).or_default().push(key.name.clone());
        }
    }
    found
}

/// Names of the values that the products of each API have.
pub(crate) fn values_by_api(products: &Products<'_>) -> BTreeMap<ObjectKey, BTreeSet<String>> {
    let mut found: BTreeMap<ObjectKey, BTreeSet<String>> = BTreeMap::new();
    for (key, draft) in products {
        for value in names(&draft.product.spec.values) {
            for api in &draft.apis {
                let api = ObjectKey::new(&key.namespace, api);
                found.entry(api).or_default().insert(value.to_owned());
            }
        }
    }
    found
}

impl<'a> ProductDraft<'a> {
    fn resolve(key: &ObjectKey, product: &'a Product, index: &ObjectIndex<'a>) -> Self {
        let spec = &product.spec;
        let exists = |name: &String| {
            index
                .apis
                .contains_key(&ObjectKey::new(&key.namespace, name))
        };
        let named = spec.apis.iter().map(|api| api.name.clone());
        let (mut apis, unresolved): (BTreeSet<_>, BTreeSet<_>) = named.partition(exists);
        if let Some(selector) = &spec.api_selector {
            let siblings = index.apis_by_namespace.get(&key.namespace);
            let selected = siblings
                .into_iter()
                .flatten()
                .filter(|sibling| matches(Some(selector), index.apis[*sibling].labels()));
            apis.extend(selected.map(|sibling| sibling.name.clone()));
        }
        let named = spec.apis.iter().enumerate();
        let missing = named.filter(|(_, api)| unresolved.contains(&api.name));
        let problem = |(i, api): (usize, &ApiRef)| {
            let api = ObjectKey::new(&key.namespace, &api.name);
            let problem = Problem::missing(Reason::ApiNotFound, "WebSocketApi", api);
            problem.at(&format!("spec.apis[{i}]"))
        };
        let problems = missing.map(problem).collect();
        Self {
            product,
            apis,
            unresolved: unresolved.into_iter().collect(),
            opened_elsewhere: BTreeSet::new(),
            problems,
        }
    }

    fn open(&mut self, key: &ObjectKey, opened: &mut BTreeMap<ObjectKey, String>) {
        for api in &self.apis {
            let api_key = ObjectKey::new(&key.namespace, api);
            match opened.get(&api_key) {
                None => {
                    opened.insert(api_key, key.name.clone());
                }
                Some(other) => {
                    let text = format!("WebSocketApi {api} is already in the open product {other}");
                    self.problems
                        .push(Problem::accepted(Reason::Conflict, text));
                    self.opened_elsewhere.insert(api.clone());
                }
            }
        }
    }

    /// What is to be said about it. The number of subscriptions comes later.
    fn verdict(&self, of_policies: &[Problem], gateways: Vec<OnGateway>) -> ProductVerdict {
        let problems: Vec<_> = self.problems.iter().chain(of_policies).cloned().collect();
        let mut conditions = conditions(generation_of(self.product), &problems);
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

/// Renders every Product for the Gateways that serve one of its APIs.
pub(crate) struct Rendering<'r, 'w> {
    pub(crate) world: &'w World,
    pub(crate) references: &'r mut References<'w>,
    pub(crate) expressions: &'r mut Expressions,
    /// Gateways that serve an API.
    pub(crate) gateways_of: &'r BTreeMap<ObjectKey, Vec<ObjectKey>>,
    pub(crate) gateways: &'r Objects<'w, Gateway>,
}

impl Rendering<'_, '_> {
    /// One product's configuration for each Gateway, and what is to be said about it.
    pub(crate) fn render(
        &mut self,
        key: &ObjectKey,
        draft: &ProductDraft<'_>,
    ) -> (BTreeMap<ObjectKey, ProductConfig>, ProductVerdict) {
        let apis_by_gateway = self.apis_by_gateway(key, draft);
        let policies = self.check(key, draft, apis_by_gateway.keys());
        let mut configs = BTreeMap::new();
        let mut gateways = Vec::new();
        for (gateway, apis) in apis_by_gateway {
            let previous = self.world.previous.get(&gateway);
            let previous = previous.and_then(|config| previous_of(config, key));
            let (config, serving) = config(key, draft, &policies, apis, previous);
            gateways.push(OnGateway {
                gateway: gateway.clone(),
                serving,
            });
            configs.insert(gateway, config);
        }
        (configs, draft.verdict(&policies.problems, gateways))
    }

    /// Checks the product's policies on the Gateways that serve it.
    fn check<'g>(
        &mut self,
        key: &ObjectKey,
        draft: &ProductDraft<'_>,
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
        draft: &ProductDraft<'_>,
        policies: &Policies,
        gateways: impl Iterator<Item = &'g ObjectKey>,
    ) -> Vec<Problem> {
        let specs = gateways.filter_map(|key| Some(&self.gateways.get(key)?.spec));
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
        draft: &ProductDraft<'_>,
    ) -> BTreeMap<ObjectKey, Vec<String>> {
        let mut found: BTreeMap<ObjectKey, Vec<String>> = BTreeMap::new();
        if !draft.is_published() {
            return found;
        }
        for api in draft.apis.difference(&draft.opened_elsewhere) {
            let gateways = self.gateways_of.get(&ObjectKey::new(&key.namespace, api));
            for gateway in gateways.into_iter().flatten() {
                found.entry(gateway.clone()).or_default().push(api.clone());
            }
        }
        found
    }
}

fn previous_of<'p>(config: &'p GatewayConfig, key: &ObjectKey) -> Option<&'p ProductConfig> {
    let position = config
        .products
        .binary_search_by(|product| product.key.cmp(key))
        .ok()?;
    config.products.get(position)
}

/// Which APIs a product holds and whether it is open are never taken from an older version: only
/// its policies are.
fn config(
    key: &ObjectKey,
    draft: &ProductDraft<'_>,
    policies: &Policies,
    apis: Vec<String>,
    previous: Option<&ProductConfig>,
) -> (ProductConfig, Serving) {
    let latest = latest(key, draft.product, policies, apis);
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
