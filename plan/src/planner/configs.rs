//! What Gateways serve, kept up to date object by object.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use tidegate_config::{
    ApiConfig, ChangedConfig, GatewayConfig, GatewaySettings, ObjectKey, ProductConfig, SecretData,
    SecretDataId, SubscriptionConfig,
};

use super::Planner;
use super::pass::Pass;
use crate::changes::Keys;
use crate::register::Namer;
use crate::{GatewayPlan, secret_data};

/// An object of a configuration.
pub(super) trait Part: PartialEq + Sized {
    fn key(&self) -> &ObjectKey;
    fn list(config: &mut GatewayConfig) -> &mut Vec<Arc<Self>>;
    fn changed(changed: &mut ChangedConfig) -> &mut std::collections::BTreeSet<ObjectKey>;
}

macro_rules! part {
    ($($type:ty: $list:ident),*) => {
        $(impl Part for $type {
            fn key(&self) -> &ObjectKey {
                &self.key
            }

            fn list(config: &mut GatewayConfig) -> &mut Vec<Arc<Self>> {
                &mut config.$list
            }

            fn changed(changed: &mut ChangedConfig) -> &mut std::collections::BTreeSet<ObjectKey> {
                &mut changed.$list
            }
        })*
    };
}

part!(ApiConfig: apis, ProductConfig: products, SubscriptionConfig: subscriptions);

impl Planner {
    /// Serves an object on a Gateway, or no longer. Gives what is served: the same as before, if it is equal.
    pub(super) fn serve<T: Part>(
        &mut self,
        gateway: &ObjectKey,
        key: &ObjectKey,
        config: Option<Arc<T>>,
    ) -> Option<Arc<T>> {
        let plan = self.plan.gateways.get_mut(gateway)?;
        let list = T::list(&mut plan.config);
        let position = list.binary_search_by(|part| part.key().cmp(key));
        match (position, config) {
            (Ok(at), Some(config)) if Arc::ptr_eq(&list[at], &config) || *list[at] == *config => {
                return Some(Arc::clone(&list[at]));
            }
            (Err(_), None) => return None,
            (Ok(at), Some(config)) => list[at] = config,
            (Err(at), Some(config)) => list.insert(at, config),
            (Ok(at), None) => drop(list.remove(at)),
        }
        let changed = self.changed.configs.entry(gateway.clone()).or_default();
        T::changed(changed).insert(key.clone());
        let list = T::list(&mut plan.config);
        let position = list.binary_search_by(|part| part.key().cmp(key)).ok()?;
        list.get(position).cloned()
    }

    /// Tells a Gateway why some keys are refused.
    pub(super) fn serve_inactive(&mut self, gateway: &ObjectKey) {
        let Some(plan) = self.plan.gateways.get_mut(gateway) else {
            return;
        };
        let few = self.subscriptions.known_to(gateway);
        if plan.config.inactive != few {
            plan.config.inactive = few;
            let changed = self.changed.configs.entry(gateway.clone()).or_default();
            changed.inactive = true;
        }
    }

    pub(super) fn serve_settings(&mut self, key: &ObjectKey, settings: &GatewaySettings) {
        match self.plan.gateways.entry(key.clone()) {
            Entry::Occupied(plan) if plan.get().config.settings == *settings => return,
            Entry::Occupied(mut plan) => plan.get_mut().config.settings = settings.clone(),
            Entry::Vacant(plan) => {
                plan.insert(GatewayPlan {
                    config: GatewayConfig {
                        settings: settings.clone(),
                        apis: Vec::new(),
                        products: Vec::new(),
                        subscriptions: Vec::new(),
                        inactive: Vec::new(),
                    },
                    secret_data: Arc::default(),
                });
            }
        }
        self.changed
            .configs
            .entry(key.clone())
            .or_default()
            .settings = true;
    }

    /// Notes the secret data that an object refers to on a Gateway.
    pub(super) fn refer(
        &mut self,
        gateway: &ObjectKey,
        namer: Namer,
        ids: Vec<SecretDataId>,
        pass: &mut Pass,
    ) {
        if !self.plan.gateways.contains_key(gateway) {
            return;
        }
        let on = self.data_ids.entry(gateway.clone()).or_default();
        let before = match ids.is_empty() {
            true => on.remove(&namer),
            false => on.insert(namer.clone(), ids.clone()),
        };
        if before.unwrap_or_default() != ids {
            pass.ungathered.insert(gateway.clone());
        }
    }

    /// Everything that configurations refer to: as found now, or, for what is broken and serves its last good
    /// version, as it was.
    pub(super) fn gather_secret_data(&mut self, pass: &Pass) {
        let touched = std::mem::take(&mut self.register.touched.found);
        for (key, plan) in &mut self.plan.gateways {
            let Some(ids) = self.data_ids.get(key) else {
                continue;
            };
            let ids = || ids.values().flatten();
            if !pass.ungathered.contains(key) && !ids().any(|id| touched.contains(id)) {
                continue;
            }
            let before = self.world.previous.get(key);
            let before = before.map(|before| &*before.secret_data);
            let mut gathered = SecretData::default();
            for id in ids() {
                let before = || before.and_then(|before| before.get(id));
                if let Some(bytes) = self.register.found(id).or_else(before) {
                    gathered.insert(id.clone(), bytes.to_vec());
                }
            }
            if gathered != *plan.secret_data {
                plan.secret_data = Arc::new(gathered);
                let changed = self.changed.configs.entry(key.clone()).or_default();
                changed.secret_data = true;
            }
        }
    }

    /// Keeps up to date which Secrets and ConfigMaps are named somewhere.
    pub(super) fn note_wanted(&mut self) {
        let touched = &mut self.register.touched;
        let mut secrets = std::mem::take(&mut touched.secrets);
        let maps = std::mem::take(&mut touched.config_maps);
        secrets.append(&mut self.subscriptions.touched_secrets);
        for key in secrets {
            let is_wanted =
                self.register.names_secret(&key) || self.subscriptions.name_secret(&key);
            if note(&mut self.plan.wanted_secrets, &key, is_wanted) {
                self.changed.wanted_secrets.insert(key);
            }
        }
        for key in maps {
            let is_wanted = self.register.names_config_map(&key);
            if note(&mut self.plan.wanted_config_maps, &key, is_wanted) {
                self.changed.wanted_config_maps.insert(key);
            }
        }
    }
}

/// True when that is new.
fn note(wanted: &mut Keys, key: &ObjectKey, is_wanted: bool) -> bool {
    match is_wanted {
        true => wanted.insert(key.clone()),
        false => wanted.remove(key),
    }
}

/// The secret data that an API refers to.
pub(super) fn ids_of_api(api: &ApiConfig) -> Vec<SecretDataId> {
    secret_data::of_api(api)
}
