//! The ConfigMaps of one Gateway, as the watch tells them. Pure: no client, no clock.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use tidegate_config::{
    AssembleError, ConfigIndex, FORMAT_VERSION, INDEX_KEY, ObjectKey, SHARD_KEY, index_name, sha256,
};

use crate::configuration::source::Problem;

/// What the namespace holds, by name.
#[derive(Debug)]
pub(super) struct Store {
    index_name: String,
    held: Option<Content>,
    /// A list in progress. It replaces `held` when it is complete, so that no partial list is seen.
    listing: Content,
}

#[derive(Debug, Default)]
struct Content {
    index: Option<String>,
    shards: HashMap<String, Part>,
}

#[derive(Debug)]
struct Part {
    text: Arc<str>,
    sha256: String,
}

impl Store {
    pub(super) fn new(gateway: &ObjectKey) -> Self {
        Self {
            index_name: index_name(&gateway.name),
            held: None,
            listing: Content::default(),
        }
    }

    /// Was there a complete list yet?
    pub(super) fn is_listed(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn apply(&mut self, event: Event<ConfigMap>) {
        match event {
            Event::Init => self.listing = Content::default(),
            Event::InitApply(object) => self.listing.put(&self.index_name, object),
            Event::InitDone => self.held = Some(std::mem::take(&mut self.listing)),
            Event::Apply(object) => {
                let held = self.held.get_or_insert_default();
                held.put(&self.index_name, object);
            }
            Event::Delete(object) => {
                let held = self.held.get_or_insert_default();
                held.remove(&self.index_name, &object);
            }
        }
    }

    /// The index, when it is for this gateway and all shards that it names are there and right.
    pub(super) fn index(&self, gateway: &ObjectKey) -> Result<ConfigIndex, Problem> {
        let text = self.held.as_ref().and_then(|held| held.index.as_deref());
        let text = text.ok_or_else(|| Problem {
            reason: "index_missing",
            message: format!("there is no ConfigMap {}", self.index_name),
        })?;
        let index: ConfigIndex = serde_json::from_str(text).map_err(|error| Problem {
            reason: "index_malformed",
            message: format!("ConfigMap {} cannot be read: {error}", self.index_name),
        })?;
        if index.format != FORMAT_VERSION {
            return Err(Problem::from(&AssembleError::Format(index.format)));
        }
        if index.gateway != *gateway {
            return Err(Problem {
                reason: "other_gateway",
                message: format!("{} is for Gateway {}", self.index_name, index.gateway),
            });
        }
        self.check_shards(&index)
            .map_err(|error| Problem::from(&error))?;
        Ok(index)
    }

    /// The texts of the shards that `index` names, as far as they are there.
    pub(super) fn texts(&self, index: &ConfigIndex) -> HashMap<String, Arc<str>> {
        let named = index.shards.iter().filter_map(|part| {
            let found = self.shard(&part.name)?;
            Some((part.name.clone(), Arc::clone(&found.text)))
        });
        named.collect()
    }

    fn check_shards(&self, index: &ConfigIndex) -> Result<(), AssembleError> {
        for part in &index.shards {
            match self.shard(&part.name) {
                None => return Err(AssembleError::Missing(part.name.clone())),
                Some(found) if found.sha256 != part.sha256 => {
                    return Err(AssembleError::Hash(part.name.clone()));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn shard(&self, name: &str) -> Option<&Part> {
        self.held.as_ref()?.shards.get(name)
    }
}

impl Content {
    /// A ConfigMap without the expected key counts as empty: its hash then tells.
    fn put(&mut self, index_name: &str, object: ConfigMap) {
        let name = object.metadata.name.unwrap_or_default();
        let mut data = object.data.unwrap_or_default();
        if name == index_name {
            self.index = Some(data.remove(INDEX_KEY).unwrap_or_default());
            return;
        }
        let text = data.remove(SHARD_KEY).unwrap_or_default();
        let part = Part {
            sha256: sha256(&text),
            text: text.into(),
        };
        self.shards.insert(name, part);
    }

    fn remove(&mut self, index_name: &str, object: &ConfigMap) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        if name == index_name {
            self.index = None;
        } else {
            self.shards.remove(name);
        }
    }
}

#[cfg(test)]
mod tests;
