//! A configuration as parts, kept up to date object by object: a change writes the parts again that hold it, and no
//! others. The parts are those of [`split_config`](crate::split_config), byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::parts::{
    HARD_LIMIT_BYTES, MAX_SLOTS, part, shard_text, slot_count, split_secret_data, stable_hash,
    to_json, with_inactive,
};
use crate::{
    ApiConfig, ConfigIndex, FORMAT_VERSION, GatewayConfig, GatewaySettings, ObjectKey, PartRef,
    ProductConfig, SecretData, SubscriptionConfig,
};

/// What of a configuration is not as it was rendered last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedConfig {
    /// Its settings are others.
    pub settings: bool,
    /// Its secret data is other data.
    pub secret_data: bool,
    /// It is told of other subscriptions that give no access.
    pub inactive: bool,
    /// APIs that were added, changed or removed.
    pub apis: BTreeSet<ObjectKey>,
    /// The same of products.
    pub products: BTreeSet<ObjectKey>,
    /// The same of subscriptions.
    pub subscriptions: BTreeSet<ObjectKey>,
}

impl ChangedConfig {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what changed later.
    pub fn extend(&mut self, later: &Self) {
        self.settings |= later.settings;
        self.secret_data |= later.secret_data;
        self.inactive |= later.inactive;
        self.apis.extend(later.apis.iter().cloned());
        self.products.extend(later.products.iter().cloned());
        let subscriptions = later.subscriptions.iter().cloned();
        self.subscriptions.extend(subscriptions);
    }
}

/// The parts of a configuration.
#[derive(Debug)]
pub struct Rendered {
    gateway: ObjectKey,
    settings: (PartRef, String),
    apis: Shards<ApiConfig>,
    products: Shards<ProductConfig>,
    subscriptions: Shards<SubscriptionConfig>,
    secrets: BTreeMap<String, String>,
    secret_parts: Vec<PartRef>,
    /// Secret data has a piece that fits into no part.
    too_large: bool,
}

impl Rendered {
    /// Renders a whole configuration.
    pub fn new(config: &GatewayConfig, secret_data: &SecretData) -> Self {
        let gateway = &config.settings.key;
        let mut rendered = Self {
            gateway: gateway.clone(),
            settings: settings_part(&config.settings),
            apis: Shards::new("apis", &gateway.name),
            products: Shards::new("products", &gateway.name),
            subscriptions: Shards::new("subscriptions", &gateway.name),
            secrets: BTreeMap::new(),
            secret_parts: Vec::new(),
            too_large: false,
        };
        rendered.apis.fill(&config.apis);
        rendered.products.fill(&config.products);
        rendered.subscriptions.fill(&config.subscriptions);
        rendered.render_secrets(&with_inactive(config, secret_data));
        rendered
    }

    /// Renders what changed since.
    pub fn update(
        &mut self,
        config: &GatewayConfig,
        secret_data: &SecretData,
        changed: &ChangedConfig,
    ) {
        if changed.settings {
            self.settings = settings_part(&config.settings);
        }
        if changed.secret_data || changed.inactive {
            self.render_secrets(&with_inactive(config, secret_data));
        }
        self.apis.update(&config.apis, &changed.apis);
        self.products.update(&config.products, &changed.products);
        self.subscriptions
            .update(&config.subscriptions, &changed.subscriptions);
    }

    fn render_secrets(&mut self, secret_data: &SecretData) {
        let split = split_secret_data(&self.gateway, secret_data);
        self.too_large = split.is_err();
        self.secrets = split.unwrap_or_default();
        self.secret_parts = self.secrets.iter().map(part).collect();
    }

    /// The index of these parts.
    ///
    /// # Errors
    ///
    /// The key of an object that needs more than half of [`HARD_LIMIT_BYTES`]; the Gateway's own key
    /// when a piece of its secret data does.
    pub fn index(&self, revision: u64) -> Result<ConfigIndex, ObjectKey> {
        let too_large = self.apis.too_large.first();
        let too_large = too_large.or(self.products.too_large.first());
        let too_large = too_large.or(self.subscriptions.too_large.first());
        if let Some(key) = too_large.or(self.too_large.then_some(&self.gateway)) {
            return Err(key.clone());
        }
        let shards = self.apis.parts().chain(self.products.parts());
        let shards = shards.chain(self.subscriptions.parts());
        let mut shards: Vec<_> = shards.chain([&self.settings.0]).cloned().collect();
        shards.sort();
        Ok(ConfigIndex {
            format: FORMAT_VERSION,
            revision,
            gateway: self.gateway.clone(),
            shards,
            secrets: self.secret_parts.clone(),
        })
    }

    /// The text of a shard.
    pub fn shard(&self, name: &str) -> Option<String> {
        if self.settings.0.name == name {
            return Some(self.settings.1.clone());
        }
        let apis = self.apis.text(name);
        let products = || self.products.text(name);
        apis.or_else(products)
            .or_else(|| self.subscriptions.text(name))
    }

    /// The text of a Secret.
    pub fn secret(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(String::as_str)
    }

    /// Bytes of all parts, nearly: without what frames them.
    pub fn bytes(&self) -> usize {
        let secrets: usize = self.secrets.values().map(String::len).sum();
        let objects = self.apis.total + self.products.total + self.subscriptions.total;
        self.settings.1.len() + objects + secrets
    }
}

fn settings_part(settings: &GatewaySettings) -> (PartRef, String) {
    let text = shard_text("settings", &to_json(settings));
    let part = PartRef::of(&settings.key.name, "config-settings-0", &text);
    (part, text)
}

/// An object of a configuration.
trait Keyed: Serialize {
    fn key(&self) -> &ObjectKey;
}

macro_rules! keyed {
    ($($type:ty),*) => {
        $(impl Keyed for $type {
            fn key(&self) -> &ObjectKey {
                &self.key
            }
        })*
    };
}

keyed!(ApiConfig, ProductConfig, SubscriptionConfig);

/// The objects of one kind, distributed over as many slots as their size asks for.
#[derive(Debug)]
struct Shards<T> {
    kind: &'static str,
    gateway: String,
    /// Bytes of all objects.
    total: usize,
    /// As many as the size asks for.
    slots: Vec<Slot<T>>,
    /// Objects that fit into no part.
    too_large: BTreeSet<ObjectKey>,
}

#[derive(Debug)]
struct Slot<T> {
    /// Sorted by key.
    objects: Vec<Arc<T>>,
    /// Bytes of the objects and what separates them.
    size: usize,
    /// `None`: it has no objects, or changed since.
    part: Option<PartRef>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self {
            objects: Vec::new(),
            size: 0,
            part: None,
        }
    }
}

impl<T: Keyed> Shards<T> {
    fn new(kind: &'static str, gateway: &str) -> Self {
        Self {
            kind,
            gateway: gateway.to_owned(),
            total: 0,
            slots: Vec::new(),
            too_large: BTreeSet::new(),
        }
    }

    /// Distributes all objects anew.
    fn fill(&mut self, objects: &[Arc<T>]) {
        let sizes: Vec<_> = objects.iter().map(|object| size_of(object)).collect();
        self.total = sizes.iter().sum();
        let too_large = objects.iter().zip(&sizes);
        let too_large = too_large.filter(|(_, size)| **size > HARD_LIMIT_BYTES / 2);
        self.too_large = too_large.map(|(object, _)| object.key().clone()).collect();
        let mut count = slot_count(self.total);
        loop {
            self.slots = (0..count).map(|_| Slot::default()).collect();
            for (object, size) in objects.iter().zip(&sizes) {
                let at = slot_of(object.key(), count);
                let slot = &mut self.slots[at];
                slot.objects.push(Arc::clone(object));
                slot.size += size + 2;
            }
            if self.fits() || count as u64 >= MAX_SLOTS {
                break;
            }
            count *= 2;
        }
        self.render();
    }

    fn fits(&self) -> bool {
        let mut slots = self.slots.iter();
        slots.all(|slot| slot.size + 64 <= HARD_LIMIT_BYTES)
    }

    /// Takes over the objects with these keys, and renders the slots that hold them.
    fn update(&mut self, objects: &[Arc<T>], changed: &BTreeSet<ObjectKey>) {
        if changed.is_empty() {
            return;
        }
        for key in changed {
            let found = objects.binary_search_by(|object| object.key().cmp(key));
            self.set(key, found.ok().map(|at| &objects[at]));
        }
        let count = slot_count(self.total);
        // More slots than the size asks for are for one that was too full: it may no longer be.
        if self.slots.len() == count && self.fits() {
            self.render();
        } else {
            self.fill(objects);
        }
    }

    fn set(&mut self, key: &ObjectKey, object: Option<&Arc<T>>) {
        let at = slot_of(key, self.slots.len());
        let slot = &mut self.slots[at];
        slot.part = None;
        self.too_large.remove(key);
        let position = slot
            .objects
            .binary_search_by(|object| object.key().cmp(key));
        if let Ok(position) = position {
            let size = size_of(&slot.objects[position]);
            slot.size -= size + 2;
            self.total -= size;
        }
        if let Some(object) = object {
            let size = size_of(object);
            slot.size += size + 2;
            self.total += size;
            if size > HARD_LIMIT_BYTES / 2 {
                self.too_large.insert(key.clone());
            }
        }
        match (position, object) {
            (Ok(at), Some(object)) => slot.objects[at] = Arc::clone(object),
            (Err(at), Some(object)) => slot.objects.insert(at, Arc::clone(object)),
            (Ok(at), None) => drop(slot.objects.remove(at)),
            (Err(_), None) => {}
        }
    }

    /// Names the parts that have no name yet.
    fn render(&mut self) {
        for (at, slot) in self.slots.iter_mut().enumerate() {
            if slot.part.is_none() && !slot.objects.is_empty() {
                let stem = format!("config-{}-{at}", self.kind);
                let text = slot.text(self.kind);
                slot.part = Some(PartRef::of(&self.gateway, &stem, &text));
            }
        }
    }

    fn parts(&self) -> impl Iterator<Item = &PartRef> {
        self.slots.iter().filter_map(|slot| slot.part.as_ref())
    }

    fn text(&self, name: &str) -> Option<String> {
        let is_named = |slot: &&Slot<T>| slot.part.as_ref().is_some_and(|part| part.name == name);
        let slot = self.slots.iter().find(is_named)?;
        Some(slot.text(self.kind))
    }
}

impl<T: Keyed> Slot<T> {
    fn text(&self, kind: &str) -> String {
        let items: Vec<_> = self
            .objects
            .iter()
            .map(|object| to_json(&**object))
            .collect();
        shard_text(kind, &format!("[\n{}\n]", items.join(",\n")))
    }
}

fn slot_of(key: &ObjectKey, count: usize) -> usize {
    let slot = stable_hash(&key.to_string()) % count.max(1) as u64;
    usize::try_from(slot).unwrap_or_default()
}

/// Bytes of an object as it is rendered.
fn size_of<T: Serialize>(object: &Arc<T>) -> usize {
    to_json(&**object).len()
}

#[cfg(test)]
mod tests;
