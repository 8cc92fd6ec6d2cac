//! Index, shards and secret data as ConfigMaps and Secrets.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tidegate_config::{
    ConfigIndex, ConfigParts, FORMAT_VERSION, INDEX_KEY, LABEL_GATEWAY, LABEL_PART, ObjectKey,
    PART_INDEX, PART_SECRET_DATA, PART_SHARD, PartRef, SECRET_DATA_KEY, SHARD_KEY, index_name,
};

use super::Site;
use crate::names;
use crate::owned::{Manifest, Owned, OwnedKey, OwnedKind};

/// One immutable part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) key: OwnedKey,
    pub(crate) sha256: String,
}

impl Part {
    /// Its text in a rendered configuration.
    pub(crate) fn text<'a>(&self, rendered: &'a ConfigParts) -> Option<&'a str> {
        let parts = match self.key.kind {
            OwnedKind::Secret => &rendered.secrets,
            _ => &rendered.shards,
        };
        parts.get(&self.key.key.name).map(String::as_str)
    }

    /// Is `live` this part, whole and where pods find it?
    pub(crate) fn is_in(&self, live: &Owned, site: &Site<'_>) -> bool {
        let (data_key, part) = match self.key.kind {
            OwnedKind::Secret => (SECRET_DATA_KEY, PART_SECRET_DATA),
            _ => (SHARD_KEY, PART_SHARD),
        };
        let labels = &live.body["metadata"]["labels"];
        let digest = live.body["data"][data_key].as_str();
        // What is kept of the data is the first half of its hash.
        digest.is_some_and(|digest| self.sha256.starts_with(digest) && !digest.is_empty())
            && labels[LABEL_GATEWAY] == site.key.name.as_str()
            && labels[LABEL_PART] == part
            && live.is_owned_by(&site.owner.uid)
            && !live.is_going()
    }
}

/// The index in an index ConfigMap, when it can be read.
pub(crate) fn read_index(live: &Owned) -> Option<ConfigIndex> {
    let text = live.body["data"][INDEX_KEY].as_str()?;
    let index: ConfigIndex = serde_json::from_str(text).ok()?;
    (index.format == FORMAT_VERSION).then_some(index)
}

/// The parts that an index names.
pub(crate) fn part_keys(index: &ConfigIndex) -> impl Iterator<Item = Part> {
    let namespace = &index.gateway.namespace;
    let part = move |kind, part: &PartRef| Part {
        key: OwnedKey {
            kind,
            key: ObjectKey::new(namespace.clone(), part.name.clone()),
        },
        sha256: part.sha256.clone(),
    };
    let shards = index.shards.iter();
    let secrets = index.secrets.iter();
    shards
        .map(move |shard| part(OwnedKind::ConfigMap, shard))
        .chain(secrets.map(move |secret| part(OwnedKind::Secret, secret)))
}

/// The object of one part. Immutable: its name is its content's hash.
pub(crate) fn part_manifest(site: &Site<'_>, part: &Part, text: &str) -> Manifest {
    let name = &part.key.key.name;
    let body = match part.key.kind {
        OwnedKind::Secret => {
            let secret = Secret {
                metadata: names::metadata(site.key, name, &site.owner, Some(PART_SECRET_DATA)),
                immutable: Some(true),
                type_: Some("Opaque".to_owned()),
                data: Some(BTreeMap::from([(
                    SECRET_DATA_KEY.to_owned(),
                    ByteString(text.as_bytes().to_vec()),
                )])),
                ..Secret::default()
            };
            serde_json::to_value(&secret)
        }
        _ => {
            let shard = ConfigMap {
                metadata: names::metadata(site.key, name, &site.owner, Some(PART_SHARD)),
                immutable: Some(true),
                data: Some(names::texts([(SHARD_KEY, text)])),
                ..ConfigMap::default()
            };
            serde_json::to_value(&shard)
        }
    };
    Manifest {
        key: part.key.clone(),
        body: body.expect("Kubernetes objects have text keys and no failing serializer"),
    }
}

/// Key of the index ConfigMap.
pub(crate) fn index_key(gateway: &ObjectKey) -> OwnedKey {
    OwnedKey {
        kind: OwnedKind::ConfigMap,
        key: ObjectKey::new(gateway.namespace.clone(), index_name(&gateway.name)),
    }
}

/// The index ConfigMap: the one object that makes a revision valid.
pub(crate) fn index(site: &Site<'_>, index: &ConfigIndex) -> Manifest {
    let OwnedKey { kind, key } = index_key(site.key);
    let text = serde_json::to_string_pretty(index)
        .expect("an index has text keys and no failing serializer");
    let map = ConfigMap {
        metadata: names::metadata(site.key, &key.name, &site.owner, Some(PART_INDEX)),
        data: Some(names::texts([(INDEX_KEY, &text)])),
        ..ConfigMap::default()
    };
    Manifest::of(kind, key, &map)
}
