//! Which Subscriptions must be approved, besides those to Products.

use std::collections::BTreeSet;

use tidegate_config::ObjectKey;

use super::Planner;
use super::pass::{Pass, Scope};

impl Planner {
    /// Finds out of the APIs that changed, or whose products did, whether Subscriptions to them must be approved.
    pub(super) fn note_asking(&mut self, pass: &mut Pass) {
        for api in std::mem::take(&mut pass.unasked) {
            let on = self.must_be_approved(&api).then(|| {
                let verdict = self.plan.api_verdicts.get(&api);
                let gateways = verdict.into_iter().flat_map(|verdict| &verdict.gateways);
                // No namespace stops the keys to another one's Gateway.
                let own = gateways.filter(|on| on.gateway.namespace == api.namespace);
                own.map(|on| on.gateway.clone()).collect::<BTreeSet<_>>()
            });
            let (is_new, gateways) = self.asking.note(&api, on);
            if is_new {
                pass.scopes.insert(Scope::Api(api));
            }
            pass.scopes.extend(gateways.into_iter().map(Scope::Gateway));
        }
    }

    fn must_be_approved(&self, key: &ObjectKey) -> bool {
        let Some(api) = self.world.apis.get(key) else {
            return false;
        };
        // Where a Product gives the API without an approval, nothing is got around.
        let by_products = || {
            let names = self.apis.products.of(key);
            let products = names.map(|name| ObjectKey::new(&key.namespace, name));
            let products = products.filter_map(|key| self.products.get(&key));
            let (asking, other): (Vec<_>, Vec<_>) =
                products.partition(|draft| draft.product.spec.approval_required);
            !asking.is_empty() && !other.iter().any(|draft| draft.is_published())
        };
        api.spec.approval_required.unwrap_or_else(by_products)
    }
}
