//! Products: which APIs they hold, and on which Gateways.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use tidegate_api::{Product, WebSocketApi};
use tidegate_config::{ObjectKey, ProductConfig};

use super::Planner;
use super::pass::{Pass, Scope};
use crate::OnGateway;
use crate::gateway::names;
use crate::index::age_of;
use crate::product::{ProductDraft, Rendered, Rendering, selects};
use crate::references::{Named, References};
use crate::register::Namer;
use crate::secret_data;

impl Planner {
    /// Finds the APIs of the products that changed, or whose APIs came or went.
    pub(super) fn resolve_products(&mut self, pass: &mut Pass) {
        let mut unresolved = std::mem::take(&mut pass.changes.products);
        for (key, old) in &pass.changes.apis {
            let new = self.world.apis.get(key);
            if is_found_the_same(old.as_deref(), new.map(AsRef::as_ref)) {
                continue;
            }
            let products = self
                .world
                .products
                .range(ObjectKey::new(&key.namespace, "")..);
            let products = products.take_while(|(product, _)| product.namespace == key.namespace);
            let concerned = products.filter(|(name, product)| {
                let draft = self.products.get(*name);
                let held = draft.is_some_and(|draft| draft.apis.contains(&key.name));
                held != new.is_some_and(|api| holds(product, &key.name, api))
            });
            unresolved.extend(concerned.map(|(key, _)| key.clone()));
        }
        let namespaces: BTreeSet<_> = unresolved.iter().map(|key| key.namespace.clone()).collect();
        for key in unresolved {
            self.resolve_product(&key, pass);
        }
        for namespace in namespaces {
            self.open_products(&namespace, pass);
        }
    }

    fn resolve_product(&mut self, key: &ObjectKey, pass: &mut Pass) {
        let product = self.world.products.get(key);
        let draft = product.map(|product| ProductDraft::resolve(key, product, &self.world));
        let before = self.products.remove(key);
        let spec =
            |draft: &Option<ProductDraft>| draft.as_ref().map(|draft| draft.product.spec.clone());
        if spec(&before) != spec(&draft) {
            pass.scopes.insert(Scope::Product(key.clone()));
        }
        let api = |name: &String| ObjectKey::new(&key.namespace, name);
        let none = BTreeSet::new();
        let apis = |draft: &'_ Option<ProductDraft>| {
            draft
                .as_ref()
                .map_or_else(BTreeSet::new, |draft| draft.apis.clone())
        };
        let (old, new) = (apis(&before), apis(&draft));
        for name in old.difference(&new) {
            self.apis.products.remove(&api(name), &key.name);
        }
        for name in new.difference(&old) {
            self.apis.products.add(api(name), key.name.clone());
        }
        pass.unprepared
            .extend(old.symmetric_difference(&new).map(api));
        pass.unasked.extend(old.union(&new).map(api));
        if value_names(&before) != value_names(&draft) {
            pass.unprepared.extend(new.union(&none).map(api));
        }
        pass.unrendered.insert(key.clone());
        self.products
            .extend(draft.map(|draft| (key.clone(), draft)));
    }

    /// An API can be in one open product: the older one gets it.
    fn open_products(&mut self, namespace: &str, pass: &mut Pass) {
        let drafts = self.products.range_mut(ObjectKey::new(namespace, "")..);
        let drafts = drafts.take_while(|(key, _)| key.namespace == namespace);
        let mut drafts: Vec<_> = drafts.collect();
        drafts.sort_by_key(|(key, draft)| (age_of(&*draft.product), *key));
        let mut opened = BTreeMap::new();
        for (key, draft) in drafts {
            if draft.open(&key.name, &mut opened) {
                pass.unrendered.insert(key.clone());
            }
        }
    }

    /// Renders the products that changed, or whose APIs are on other Gateways than before.
    pub(super) fn render_products(&mut self, pass: &mut Pass) {
        let before = &self.products_with_previous;
        pass.unrendered
            .extend(pass.products_before.intersection(before).cloned());
        if !pass.gateways.is_empty() {
            let verdicts = self.plan.product_verdicts.iter();
            let concerned = verdicts.filter(|(_, verdict)| {
                let mut on = verdict.gateways.iter();
                on.any(|on| pass.gateways.contains(&on.gateway))
            });
            pass.unrendered
                .extend(concerned.map(|(key, _)| key.clone()));
        }
        for key in std::mem::take(&mut pass.unrendered) {
            self.render_product(&key, pass);
        }
    }

    fn render_product(&mut self, key: &ObjectKey, pass: &mut Pass) {
        let rendered = self.rendered(key);
        let before = self.plan.product_verdicts.get(key);
        let on = |gateways: &[OnGateway]| -> Vec<_> {
            gateways.iter().map(|on| on.gateway.clone()).collect()
        };
        let was_on = before.map_or_else(Vec::new, |verdict| on(&verdict.gateways));
        let (mut configs, verdict) = match rendered {
            Some(rendered) => (rendered.configs, Some(rendered.verdict)),
            None => (BTreeMap::new(), None),
        };
        let is_on = verdict
            .as_ref()
            .map_or_else(Vec::new, |verdict| on(&verdict.gateways));
        // The Gateways of a hidden product's APIs know of its subscriptions.
        let draft = self.products.get(key);
        if was_on != is_on || draft.is_some_and(|draft| !draft.is_published()) {
            pass.scopes.insert(Scope::Product(key.clone()));
        }
        if before != verdict.as_ref() {
            self.changed.verdicts.products.insert(key.clone());
            match verdict {
                Some(verdict) => self.plan.product_verdicts.insert(key.clone(), verdict),
                None => self.plan.product_verdicts.remove(key),
            };
        }
        for gateway in was_on.iter().chain(&is_on) {
            let config = configs.remove(gateway);
            if config.is_none() && is_on.contains(gateway) {
                continue;
            }
            let ids = config
                .as_ref()
                .map_or_else(Vec::new, secret_data::of_product);
            self.refer(gateway, Namer::Product(key.clone()), ids, pass);
            self.serve::<ProductConfig>(gateway, key, config.map(Arc::new));
        }
    }

    fn rendered(&mut self, key: &ObjectKey) -> Option<Rendered> {
        let namer = Namer::Product(key.clone());
        let Some(draft) = self.products.get(key) else {
            self.products_with_previous.remove(key);
            self.register.set(&namer, Named::default());
            return None;
        };
        let mut references = References::new(&self.world);
        let mut rendering = Rendering {
            references: &mut references,
            expressions: &mut self.expressions,
            apis: &self.plan.api_verdicts,
        };
        let mut rendered = rendering.render(key, draft);
        rendered.verdict.subscriptions = self.subscriptions.active_in(key);
        match rendered.uses_previous {
            true => self.products_with_previous.insert(key.clone()),
            false => self.products_with_previous.remove(key),
        };
        let named = references.named;
        self.register.set(&namer, named);
        Some(rendered)
    }
}

fn value_names(draft: &Option<ProductDraft>) -> BTreeSet<String> {
    let values = draft.iter().flat_map(|draft| &draft.product.spec.values);
    let values: Vec<_> = values.cloned().collect();
    names(&values).map(str::to_owned).collect()
}

/// Does a product find an API as before?
fn is_found_the_same(old: Option<&WebSocketApi>, new: Option<&WebSocketApi>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.labels() == new.labels(),
        (old, new) => old.is_none() && new.is_none(),
    }
}

/// Does a product hold an API of its namespace?
fn holds(product: &Product, name: &str, api: &WebSocketApi) -> bool {
    product.spec.apis.iter().any(|api| api.name == name) || selects(product, api)
}
