//! Secrets and ConfigMaps that objects name, read one by one. Client required.
//!
//! The watch of all Secrets and ConfigMaps keeps versions only; what is named is read when its
//! version changes, and dropped when nothing names it any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tidegate_config::ObjectKey;

use super::{Index, Store, in_time};

/// Reads at a time.
const CONCURRENCY: usize = 16;

/// What was read by name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    secrets: HashMap<ObjectKey, (String, Arc<Secret>)>,
    config_maps: HashMap<ObjectKey, (String, Arc<ConfigMap>)>,
}

/// An object that should be there could not be read. Nothing may be decided without it: taking it
/// for missing would end live tunnels.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {kind} {key}")]
pub(crate) struct ReadError {
    kind: String,
    key: ObjectKey,
    #[source]
    source: kube::Error,
}

/// Versions to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    secrets: Vec<(ObjectKey, String)>,
    config_maps: Vec<(ObjectKey, String)>,
}

impl Missing {
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty() && self.config_maps.is_empty()
    }
}

impl Named {
    /// Drops what is neither wanted nor there any more; says what of the wanted has to be read.
    pub(crate) fn missing(
        &mut self,
        secrets: &BTreeSet<ObjectKey>,
        config_maps: &BTreeSet<ObjectKey>,
        index: &Index,
    ) -> Missing {
        Missing {
            secrets: sift(&mut self.secrets, secrets, &index.secret_versions),
            config_maps: sift(
                &mut self.config_maps,
                config_maps,
                &index.config_map_versions,
            ),
        }
    }

    /// Reads.
    pub(crate) async fn read(
        &mut self,
        client: &Client,
        missing: Missing,
    ) -> Result<(), ReadError> {
        let secrets = read_all(client, missing.secrets).await?;
        self.secrets.extend(secrets);
        let config_maps = read_all(client, missing.config_maps).await?;
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

fn sift<K>(
    cache: &mut HashMap<ObjectKey, (String, Arc<K>)>,
    wanted: &BTreeSet<ObjectKey>,
    versions: &Store<String>,
) -> Vec<(ObjectKey, String)> {
    cache.retain(|key, _| wanted.contains(key) && versions.get(key).is_some());
    let current = wanted
        .iter()
        .filter_map(|key| Some((key, versions.get(key)?)));
    current
        .filter(|(key, version)| {
            cache
                .get(key)
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

/// `None` when it is gone: the watch will say so too.
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
    match in_time(api.get_opt(&key.name)).await {
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
