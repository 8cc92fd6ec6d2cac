//! What the planner is told of the world. What is not as it was is looked at by the next plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tidegate_config::ObjectKey;

use super::Planner;
use super::pass::Pass;
use crate::changes::differing;
use crate::kind::Kind;
use crate::{Previous, World};

impl Planner {
    /// The world as it was told.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Tells of an object, or that there is none. A change that means nothing to a plan, like that of a status, is
    /// taken over and planned never.
    pub fn set<K: Kind>(&mut self, key: &ObjectKey, object: Option<Arc<K>>) {
        let all = K::all_mut(&mut self.world);
        let (before, is_same) = replace(all, key, object, K::is_same);
        if !is_same {
            K::note(&mut self.changes, key, before);
        }
    }

    /// Tells of a Secret.
    pub fn set_secret(&mut self, key: &ObjectKey, secret: Option<Arc<Secret>>) {
        let same = |a: &Secret, b: &Secret| a == b;
        if !replace(&mut self.world.secrets, key, secret, same).1 {
            self.changes.secrets.insert(key.clone());
        }
    }

    /// Tells of a ConfigMap.
    pub fn set_config_map(&mut self, key: &ObjectKey, config_map: Option<Arc<ConfigMap>>) {
        let same = |a: &ConfigMap, b: &ConfigMap| a == b;
        if !replace(&mut self.world.config_maps, key, config_map, same).1 {
            self.changes.config_maps.insert(key.clone());
        }
    }

    /// Tells of the labels of a namespace.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        let all = &mut self.world.namespace_labels;
        if all.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => all.insert(name.to_owned(), labels),
            None => all.remove(name),
        };
        self.changes.namespaces.insert(name.to_owned());
    }

    /// Tells what a Gateway serves since the last plan. That it serves what was planned means nothing to a plan, unless
    /// something is broken or has another route.
    pub fn set_previous(&mut self, gateway: &ObjectKey, previous: Option<Arc<Previous>>) {
        let all = &mut self.world.previous;
        let (before, is_same) = replace(all, gateway, previous.clone(), |_, _| false);
        if is_same {
            return;
        }
        let mut pass = Pass::default();
        pass.look_back(gateway, before.as_deref(), previous.as_deref());
        if self.is_concerned(&pass) {
            let previous = &mut self.changes.previous;
            previous.entry(gateway.clone()).or_insert(before);
        }
    }

    /// Has a plan anything to do about what Gateways served before?
    fn is_concerned(&self, pass: &Pass) -> bool {
        let apis = pass.served_before.iter().flat_map(|(_, apis)| apis);
        let products = &self.products_with_previous;
        !pass.unchecked.is_empty()
            || !pass.unplaced.is_empty()
            || apis.into_iter().any(|api| self.apis.uses_previous(api))
            || !pass.products_before.is_disjoint(products)
    }

    /// Tells the time, in seconds since 1970.
    pub fn set_now(&mut self, now: i64) {
        self.changes.clock_went_back |= now < self.world.now;
        self.world.now = now;
    }

    /// Takes over a whole world.
    pub(super) fn adopt(&mut self, world: &World) {
        self.adopt_all::<tidegate_api::Gateway>(world);
        self.adopt_all::<tidegate_api::WebSocketApi>(world);
        self.adopt_all::<tidegate_api::PolicyFragment>(world);
        self.adopt_all::<tidegate_api::Product>(world);
        self.adopt_all::<tidegate_api::Subscription>(world);
        self.adopt_all::<tidegate_api::SubscriptionRequest>(world);
        for key in differing(&self.world.secrets, &world.secrets, Arc::ptr_eq) {
            self.set_secret(&key, world.secrets.get(&key).cloned());
        }
        for key in differing(&self.world.config_maps, &world.config_maps, Arc::ptr_eq) {
            self.set_config_map(&key, world.config_maps.get(&key).cloned());
        }
        let labels = &world.namespace_labels;
        for name in differing(&self.world.namespace_labels, labels, |a, b| a == b) {
            self.set_namespace(&name, labels.get(&name).cloned());
        }
        for key in differing(&self.world.previous, &world.previous, Arc::ptr_eq) {
            self.set_previous(&key, world.previous.get(&key).cloned());
        }
        self.set_now(world.now);
    }

    fn adopt_all<K: Kind>(&mut self, world: &World) {
        let new = K::all(world);
        for key in differing(K::all(&self.world), new, Arc::ptr_eq) {
            self.set(&key, new.get(&key).cloned());
        }
    }
}

/// Replaces an object. Gives the one before, and whether the two are the same.
fn replace<T>(
    all: &mut BTreeMap<ObjectKey, Arc<T>>,
    key: &ObjectKey,
    object: Option<Arc<T>>,
    same: impl Fn(&T, &T) -> bool,
) -> (Option<Arc<T>>, bool) {
    let before = match object.clone() {
        Some(object) => all.insert(key.clone(), object),
        None => all.remove(key),
    };
    let is_same = match (&before, &object) {
        (Some(before), Some(object)) => Arc::ptr_eq(before, object) || same(before, object),
        (before, object) => before.is_none() && object.is_none(),
    };
    (before, is_same)
}
