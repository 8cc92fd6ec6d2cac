//! Secrets and ConfigMaps that custom resources name, read one by one. Client required.
//!
//! The watches of all Secrets and ConfigMaps keep resource versions only. An object that is named is read
//! when its version changes, and dropped when nothing names it any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tidegate_config::ObjectKey;

use super::{Cache, Store, read_with_timeout};

/// Reads at a time.
const CONCURRENCY: usize = 16;

/// The named objects, each with the resource version that was read.
#[derive(Debug, Default)]
pub(crate) struct ReferencedObjects {
    secrets: HashMap<ObjectKey, (String, Arc<Secret>)>,
    config_maps: HashMap<ObjectKey, (String, Arc<ConfigMap>)>,
}

/// An object that exists could not be read. Nothing may be decided without it: to treat it as missing would
/// close live tunnels.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {kind} {key}")]
pub(crate) struct ReadError {
    kind: String,
    key: ObjectKey,
    #[source]
    source: kube::Error,
}

/// Objects that have to be read, with their present resource versions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct OutdatedObjects {
    secrets: Vec<(ObjectKey, String)>,
    config_maps: Vec<(ObjectKey, String)>,
}

impl OutdatedObjects {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.config_maps.is_empty()
    }
}

impl ReferencedObjects {
    /// Drops objects that are no longer named or no longer exist; returns those that have to be read.
    pub(crate) fn outdated(
        &mut self,
        secrets: &BTreeSet<ObjectKey>,
        config_maps: &BTreeSet<ObjectKey>,
        cache: &Cache,
    ) -> OutdatedObjects {
        OutdatedObjects {
            secrets: outdated(&mut self.secrets, secrets, &cache.secret_versions),
            config_maps: outdated(
                &mut self.config_maps,
                config_maps,
                &cache.config_map_versions,
            ),
        }
    }

    /// Reads these objects.
    ///
    /// # Errors
    ///
    /// The first object that could not be read. One that is gone is no error.
    pub(crate) async fn read(
        &mut self,
        client: &Client,
        outdated: OutdatedObjects,
    ) -> Result<(), ReadError> {
        let secrets = read_all(client, outdated.secrets).await?;
        self.secrets.extend(secrets);
        let config_maps = read_all(client, outdated.config_maps).await?;
        self.config_maps.extend(config_maps);
        Ok(())
    }

    /// All Secrets that were read.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (ObjectKey, Arc<Secret>)> {
        let secrets = self.secrets.iter();
        secrets.map(|(key, (_, secret))| (key.clone(), secret.clone()))
    }

    /// All ConfigMaps that were read.
    pub(crate) fn config_maps(&self) -> BTreeMap<ObjectKey, Arc<ConfigMap>> {
        let maps = self.config_maps.iter();
        maps.map(|(key, (_, map))| (key.clone(), map.clone()))
            .collect()
    }
}

fn outdated<K>(
    read: &mut HashMap<ObjectKey, (String, Arc<K>)>,
    wanted: &BTreeSet<ObjectKey>,
    versions: &Store<String>,
) -> Vec<(ObjectKey, String)> {
    read.retain(|key, _| wanted.contains(key) && versions.get(key).is_some());
    let current = wanted
        .iter()
        .filter_map(|key| Some((key, versions.get(key)?)));
    current
        .filter(|(key, version)| {
            read.get(key)
                .is_none_or(|(read, _)| read != version.as_str())
        })
        .map(|(key, version)| (key.clone(), version.as_str().to_owned()))
        .collect()
}

type Read<K> = (ObjectKey, (String, Arc<K>));

async fn read_all<K>(
    client: &Client,
    wanted: Vec<(ObjectKey, String)>,
) -> Result<Vec<Read<K>>, ReadError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let read: Vec<_> = wanted
        .into_iter()
        .map(|(key, version)| read_one(client.clone(), key, version))
        .collect();
    let found: Vec<Option<Read<K>>> = futures::stream::iter(read)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

/// `None` when it is gone: the watch will deliver that too.
async fn read_one<K>(
    client: Client,
    key: ObjectKey,
    version: String,
) -> Result<Option<Read<K>>, ReadError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client, &key.namespace);
    match read_with_timeout(api.get_opt(&key.name)).await {
        Ok(Some(mut object)) => {
            object.meta_mut().managed_fields = None;
            Ok(Some((key, (version, Arc::new(object)))))
        }
        Ok(None) => Ok(None),
        Err(source) => Err(ReadError {
            kind: K::kind(&()).into_owned(),
            key,
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
