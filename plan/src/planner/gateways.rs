//! Gateways by themselves.

use tidegate_config::ObjectKey;

use super::Planner;
use super::pass::{Pass, Scope};
use crate::references::{Named, References};
use crate::register::Namer;
use crate::{gateway, secret_data};

impl Planner {
    /// Checks the Gateways that changed, or that name something which did.
    pub(super) fn check_gateways(&mut self, pass: &mut Pass) {
        for (key, old) in std::mem::take(&mut pass.changes.previous) {
            let new = self.world.previous.get(&key);
            pass.look_back(&key, old.as_deref(), new.map(AsRef::as_ref));
        }
        for key in std::mem::take(&mut pass.unchecked) {
            self.check_gateway(&key, pass);
        }
    }

    fn check_gateway(&mut self, key: &ObjectKey, pass: &mut Pass) {
        let Some(gateway) = self.world.gateways.get(key) else {
            return self.forget_gateway(key, pass);
        };
        let mut references = References::new(&self.world);
        let draft = gateway::check(key, gateway, &mut references, &mut self.expressions);
        let named = references.named;
        self.register.set(&Namer::Gateway(key.clone()), named);
        let before = self.gateways.get(key);
        if before == Some(&draft) {
            return;
        }
        if before.is_none() {
            pass.scopes.insert(Scope::Gateway(key.clone()));
        }
        self.serve_settings(key, &draft.settings);
        let ids = secret_data::of_gateway(&draft.settings);
        self.refer(key, Namer::Gateway(key.clone()), ids, pass);
        self.gateways.insert(key.clone(), draft);
        pass.gateways.insert(key.clone());
        pass.unplaced.insert(key.clone());
    }

    fn forget_gateway(&mut self, key: &ObjectKey, pass: &mut Pass) {
        if self.gateways.remove(key).is_none() {
            return;
        }
        let namer = Namer::Gateway(key.clone());
        self.register.set(&namer, Named::default());
        self.data_ids.remove(key);
        self.plan.gateways.remove(key);
        self.plan.gateway_verdicts.remove(key);
        self.changed.configs.remove(key);
        self.changed.verdicts.gateways.insert(key.clone());
        pass.gateways.insert(key.clone());
        pass.unplaced.insert(key.clone());
        pass.scopes.insert(Scope::Gateway(key.clone()));
    }

    /// Counts the APIs of each Gateway and listener.
    pub(super) fn count_apis(&mut self, pass: &Pass) {
        for key in pass.unplaced.union(&pass.gateways) {
            let Some(draft) = self.gateways.get(key) else {
                continue;
            };
            let placement = self.apis.placement(key);
            let served = placement.places.values();
            let served = served.filter(|place| place.candidate.is_some()).count();
            let verdict = draft.verdict(served, &placement.attached);
            if self.plan.gateway_verdicts.get(key) != Some(&verdict) {
                self.plan.gateway_verdicts.insert(key.clone(), verdict);
                self.changed.verdicts.gateways.insert(key.clone());
            }
        }
    }
}
