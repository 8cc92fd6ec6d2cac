//! Secrets and ConfigMaps that custom resources name, read one by one. Client required.
//!
//! The watches of all Secrets and ConfigMaps keep resource versions only. An object that is named is read
//! when its version changes, and dropped when nothing names it any more.

use std::collections::{BTreeSet, HashMap};
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

/// Which of the named objects were read, and what has to be looked at again.
#[derive(Debug, Default)]
pub(crate) struct ReferencedObjects {
    secrets: References,
    config_maps: References,
}

/// Objects of one kind.
#[derive(Debug, Default)]
struct References {
    /// Resource versions that were read.
    read: HashMap<ObjectKey, String>,
    /// Objects that changed, or that are named since, or no longer.
    unchecked: BTreeSet<ObjectKey>,
}

/// What is found of an object: `None`: it is gone, or nothing names it any more.
pub(crate) type Found<K> = (ObjectKey, Option<Arc<K>>);

/// What is found of objects that were looked at again.
#[derive(Debug, Default)]
pub(crate) struct FoundObjects {
    pub(crate) secrets: Vec<Found<Secret>>,
    pub(crate) config_maps: Vec<Found<ConfigMap>>,
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

/// Names of Secrets and of ConfigMaps.
pub(crate) type Names<'a> = (&'a BTreeSet<ObjectKey>, &'a BTreeSet<ObjectKey>);

impl ReferencedObjects {
    /// Looks at these objects next.
    pub(crate) fn check(&mut self, (secrets, config_maps): Names<'_>) {
        self.secrets.unchecked.extend(secrets.iter().cloned());
        self.config_maps
            .unchecked
            .extend(config_maps.iter().cloned());
    }

    /// Looks at the objects that changed, and at those that are `wanted` now and were not, or the other way round.
    /// Gives those that have to be read, and those that are gone.
    pub(crate) fn look(
        &mut self,
        (secrets, config_maps): Names<'_>,
        cache: &Cache,
    ) -> (OutdatedObjects, FoundObjects) {
        // Generated keys are watched whole.
        let keys = &cache.key_secrets;
        self.secrets.unchecked.retain(|key| keys.get(key).is_none());
        let (outdated_secrets, gone_secrets) = self.secrets.look(secrets, &cache.secret_versions);
        let versions = &cache.config_map_versions;
        let (outdated_maps, gone_maps) = self.config_maps.look(config_maps, versions);
        let outdated = OutdatedObjects {
            secrets: outdated_secrets,
            config_maps: outdated_maps,
        };
        let gone = FoundObjects {
            secrets: gone_secrets.into_iter().map(|key| (key, None)).collect(),
            config_maps: gone_maps.into_iter().map(|key| (key, None)).collect(),
        };
        (outdated, gone)
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
    ) -> Result<FoundObjects, ReadError> {
        let secrets = read_all(client, outdated.secrets).await?;
        let config_maps = read_all(client, outdated.config_maps).await?;
        Ok(FoundObjects {
            secrets: self.secrets.take_over(secrets),
            config_maps: self.config_maps.take_over(config_maps),
        })
    }
}

impl References {
    /// Objects that have to be read, which are looked at until they are; and those that are gone.
    fn look(
        &mut self,
        wanted: &BTreeSet<ObjectKey>,
        versions: &Store<String>,
    ) -> (Vec<(ObjectKey, String)>, Vec<ObjectKey>) {
        let (mut outdated, mut gone) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.unchecked) {
            match versions.get(&key).filter(|_| wanted.contains(&key)) {
                None => {
                    if self.read.remove(&key).is_some() {
                        gone.push(key);
                    }
                }
                Some(version) if self.read.get(&key) == Some(&**version) => {}
                Some(version) => {
                    self.unchecked.insert(key.clone());
                    outdated.push((key, version.as_str().to_owned()));
                }
            }
        }
        (outdated, gone)
    }

    fn take_over<K>(&mut self, read: Vec<Read<K>>) -> Vec<Found<K>> {
        let found = read.into_iter().map(|(key, version, object)| {
            self.unchecked.remove(&key);
            match object.is_some() {
                true => self.read.insert(key.clone(), version),
                false => self.read.remove(&key),
            };
            (key, object)
        });
        found.collect()
    }
}

type Read<K> = (ObjectKey, String, Option<Arc<K>>);

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
    futures::stream::iter(read)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// `None` when it is gone: the watch will deliver that too.
async fn read_one<K>(client: Client, key: ObjectKey, version: String) -> Result<Read<K>, ReadError>
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
            Ok((key, version, Some(Arc::new(object))))
        }
        Ok(None) => Ok((key, version, None)),
        Err(source) => Err(ReadError {
            kind: K::kind(&()).into_owned(),
            key,
            source,
        }),
    }
}

#[cfg(test)]
mod tests;
