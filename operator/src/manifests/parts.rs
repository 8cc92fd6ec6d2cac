//! The parts of a configuration as ConfigMaps and Secrets: index, shards and secret data.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use tidegate_config::{
    ConfigIndex, FORMAT_VERSION, INDEX_KEY, LABEL_GATEWAY, LABEL_PART, ObjectKey, PART_INDEX,
    PART_SECRET_DATA, PART_SHARD, PartRef, Rendered, SECRET_DATA_KEY, SHARD_KEY, index_name,
};

use super::Target;
use crate::objects::{Manifest, Owned, OwnedKey, OwnedKind, names};

/// One immutable part of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) key: OwnedKey,
    pub(crate) sha256: String,
}

impl Part {
    /// Its text in the parts of a configuration.
    pub(crate) fn text<'r>(&self, rendered: &'r Rendered) -> Option<Cow<'r, str>> {
        let name = &self.key.key.name;
        match self.key.kind {
            OwnedKind::Secret => rendered.secret(name).map(Cow::Borrowed),
            _ => rendered.shard(name).map(Cow::Owned),
        }
    }

    /// Is `live` this part, unchanged, and with the labels by which pods find it?
    pub(crate) fn is_intact(&self, live: &Owned, target: &Target<'_>) -> bool {
        let (data_key, part) = match self.key.kind {
            OwnedKind::Secret => (SECRET_DATA_KEY, PART_SECRET_DATA),
            _ => (SHARD_KEY, PART_SHARD),
        };
        let labels = &live.body["metadata"]["labels"];
        let digest = live.body["data"][data_key].as_str();
        // The cache keeps the first half of the hash of the data.
        digest.is_some_and(|digest| self.sha256.starts_with(digest) && !digest.is_empty())
            && labels[LABEL_GATEWAY] == target.key.name.as_str()
            && labels[LABEL_PART] == part
            && live.is_owned_by(&target.owner.uid)
            && !live.is_being_deleted()
    }
}

/// The index in an index ConfigMap; `None` when it cannot be read.
pub(crate) fn read_index(live: &Owned) -> Option<ConfigIndex> {
    let text = live.body["data"][INDEX_KEY].as_str()?;
    let index: ConfigIndex = serde_json::from_str(text).ok()?;
    (index.format == FORMAT_VERSION).then_some(index)
}

/// The parts that an index names.
pub(crate) fn parts(index: &ConfigIndex) -> impl Iterator<Item = Part> {
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

/// The object of one part. It is immutable: its name has the hash of its content.
pub(crate) fn part_manifest(target: &Target<'_>, part: &Part, text: &str) -> Manifest {
    let name = &part.key.key.name;
    let body = match part.key.kind {
        OwnedKind::Secret => {
            let secret = Secret {
                metadata: names::metadata(target.key, name, &target.owner, Some(PART_SECRET_DATA)),
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
                metadata: names::metadata(target.key, name, &target.owner, Some(PART_SHARD)),
                immutable: Some(true),
                data: Some(names::string_map([(SHARD_KEY, text)])),
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

/// The index ConfigMap: the object that makes a revision valid.
pub(crate) fn index_manifest(target: &Target<'_>, index: &ConfigIndex) -> Manifest {
    let OwnedKey { kind, key } = index_key(target.key);
    let text = serde_json::to_string_pretty(index)
        .expect("an index has text keys and no failing serializer");
    let map = ConfigMap {
        metadata: names::metadata(target.key, &key.name, &target.owner, Some(PART_INDEX)),
        data: Some(names::string_map([(INDEX_KEY, &text)])),
        ..ConfigMap::default()
    };
    Manifest::of(kind, key, &map)
}
