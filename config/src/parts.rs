//! A configuration as parts small enough for ConfigMaps and Secrets, and back.
//!
//! Every part is named by the hash of its content, so a part never changes; the index lists the
//! parts of one revision. Whoever has an index and all its parts has a whole configuration, and
//! a reader that lacks one of them has none: there is no half.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::hash::sha256;
use crate::{
    ApiConfig, GatewayConfig, GatewaySettings, InactiveSubscription, ObjectKey, ProductConfig,
    SecretData, SecretDataId, SubscriptionConfig,
};

/// Version of the rendered format. A gateway refuses an index with another one.
pub const FORMAT_VERSION: u32 = 1;

/// Slots are added until the average part is below this: one changed object then moves little.
const TARGET_BYTES: usize = 96 * 1024;

/// No part may be larger: etcd and the API server refuse objects above 1 MiB, and metadata and
/// encoding need room.
pub const HARD_LIMIT_BYTES: usize = 900 * 1024;

/// More slots than this help nobody; 4096 × 900 KiB is beyond any cluster's storage.
pub(crate) const MAX_SLOTS: u64 = 4096;

/// One part of a revision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PartRef {
    /// Name of the ConfigMap or Secret.
    pub name: String,
    /// Lower-case hexadecimal SHA-256 of its text.
    pub sha256: String,
}

impl PartRef {
    /// The part with this text. 40 bits of the hash make the name unique among the few versions alive at a time; the
    /// index carries the whole hash.
    pub(crate) fn of(gateway: &str, stem: &str, text: &str) -> Self {
        let sha256 = sha256(text);
        Self {
            name: format!("{gateway}-{stem}-{}", &sha256[..10]),
            sha256,
        }
    }
}

/// What a revision consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigIndex {
    /// [`FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// Grows with every change.
    pub revision: u64,
    /// The Gateway this is for.
    pub gateway: ObjectKey,
    /// ConfigMaps, sorted by name.
    pub shards: Vec<PartRef>,
    /// Secrets, sorted by name.
    pub secrets: Vec<PartRef>,
}

/// Content of one shard ConfigMap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "items")]
pub enum Shard {
    /// The Gateway's own settings; exactly one shard of this kind exists.
    Settings(Box<GatewaySettings>),
    /// Some APIs.
    Apis(Vec<ApiConfig>),
    /// Some products.
    Products(Vec<ProductConfig>),
    /// Some subscriptions.
    Subscriptions(Vec<SubscriptionConfig>),
}

/// A configuration as index and parts.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigParts {
    /// The index.
    pub index: ConfigIndex,
    /// Name and text of every shard ConfigMap.
    pub shards: BTreeMap<String, String>,
    /// Name and text of every Secret with secret data.
    pub secrets: BTreeMap<String, String>,
}

/// Why index and parts are not a configuration.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Written by another version of Tidegate.
    #[error("index has format {0}, this gateway reads format {FORMAT_VERSION}")]
    Format(u32),
    /// A part is not there (yet).
    #[error("part {0} is missing")]
    Missing(String),
    /// A part is not what the index says.
    #[error("part {0} does not have the content that the index names")]
    Hash(String),
    /// A part is not what it should be.
    #[error("part {name} cannot be read")]
    Malformed {
        /// The part.
        name: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// Not exactly one shard of kind settings.
    #[error("index names {0} shards of kind settings instead of one")]
    Settings(usize),
}

/// Splits a configuration into parts. Equal input gives equal output, byte for byte.
///
/// # Errors
///
/// The key of an object that needs more than half of [`HARD_LIMIT_BYTES`]; the Gateway's own key
/// when a piece of its secret data does.
pub fn split_config(
    config: &GatewayConfig,
    secret_data: &SecretData,
    revision: u64,
) -> Result<ConfigParts, ObjectKey> {
    let gateway = &config.settings.key;
    let mut shards = BTreeMap::new();
    let settings = to_json(&config.settings);
    put(
        &mut shards,
        &gateway.name,
        "config-settings-0",
        shard_text("settings", &settings),
    );
    let apis = config.apis.iter().map(|api| (&api.key, to_json(&**api)));
    split_kind(&mut shards, &gateway.name, "apis", apis.collect())?;
    let products = config
        .products
        .iter()
        .map(|product| (&product.key, to_json(&**product)));
    split_kind(&mut shards, &gateway.name, "products", products.collect())?;
    let subscriptions = config.subscriptions.iter().map(|s| (&s.key, to_json(&**s)));
    split_kind(
        &mut shards,
        &gateway.name,
        "subscriptions",
        subscriptions.collect(),
    )?;
    let secrets = split_secret_data(gateway, &with_inactive(config, secret_data))?;
    let index = ConfigIndex {
        format: FORMAT_VERSION,
        revision,
        gateway: gateway.clone(),
        shards: part_refs(&shards),
        secrets: part_refs(&secrets),
    };
    Ok(ConfigParts {
        index,
        shards,
        secrets,
    })
}

/// Puts a configuration together from an index and the texts of its parts, which `shard` and
/// `secret` look up by name.
///
/// # Errors
///
/// When the index has another format, or a part is missing, altered or unreadable.
pub fn assemble<'a>(
    index: &ConfigIndex,
    shard: impl Fn(&str) -> Option<&'a str>,
    secret: impl Fn(&str) -> Option<&'a str>,
) -> Result<(GatewayConfig, SecretData), AssembleError> {
    if index.format != FORMAT_VERSION {
        return Err(AssembleError::Format(index.format));
    }
    let mut settings = Vec::new();
    let (mut apis, mut products) = (
        Vec::<Arc<ApiConfig>>::new(),
        Vec::<Arc<ProductConfig>>::new(),
    );
    let mut subscriptions = Vec::<Arc<SubscriptionConfig>>::new();
    for part in &index.shards {
        match read_part(part, shard(&part.name))? {
            Shard::Settings(found) => settings.push(*found),
            Shard::Apis(found) => apis.extend(found.into_iter().map(Arc::new)),
            Shard::Products(found) => products.extend(found.into_iter().map(Arc::new)),
            Shard::Subscriptions(found) => {
                subscriptions.extend(found.into_iter().map(Arc::new));
            }
        }
    }
    let mut secret_data = SecretData::default();
    for part in &index.secrets {
        secret_data.extend(read_part(part, secret(&part.name))?);
    }
    let inactive = take_inactive(&mut secret_data);
    apis.sort_by(|a, b| a.key.cmp(&b.key));
    products.sort_by(|a, b| a.key.cmp(&b.key));
    subscriptions.sort_by(|a, b| a.key.cmp(&b.key));
    let count = settings.len();
    let (Some(settings), 1) = (settings.pop(), count) else {
        return Err(AssembleError::Settings(count));
    };
    Ok((
        GatewayConfig {
            settings,
            apis,
            products,
            subscriptions,
            inactive,
        },
        secret_data,
    ))
}

fn read_part<T: DeserializeOwned>(part: &PartRef, text: Option<&str>) -> Result<T, AssembleError> {
    let text = text.ok_or_else(|| AssembleError::Missing(part.name.clone()))?;
    if sha256(text) != part.sha256 {
        return Err(AssembleError::Hash(part.name.clone()));
    }
    serde_json::from_str(text).map_err(|source| AssembleError::Malformed {
        name: part.name.clone(),
        source,
    })
}

/// Distributes one kind's objects over as many slots as their size asks for.
fn split_kind(
    parts: &mut BTreeMap<String, String>,
    gateway: &str,
    kind: &str,
    objects: Vec<(&ObjectKey, String)>,
) -> Result<(), ObjectKey> {
    if let Some((key, _)) = objects
        .iter()
        .find(|(_, json)| json.len() > HARD_LIMIT_BYTES / 2)
    {
        return Err((*key).clone());
    }
    let keyed: Vec<_> = objects
        .into_iter()
        .map(|(key, json)| (key.to_string(), json))
        .collect();
    for (slot, items) in slots(&keyed) {
        let text = shard_text(kind, &format!("[\n{}\n]", items.join(",\n")));
        put(parts, gateway, &format!("config-{kind}-{slot}"), text);
    }
    Ok(())
}

/// Inactive subscriptions are among the secret data, one piece each: a gateway of an earlier release takes them
/// for data that nothing refers to, and would refuse a configuration with a shard or a field that it does not
/// know.
pub(crate) fn with_inactive(config: &GatewayConfig, secret_data: &SecretData) -> SecretData {
    let mut pieces = secret_data.clone();
    for subscription in &config.inactive {
        let id = SecretDataId::inactive(&subscription.key);
        pieces.insert(id, to_json(subscription).into_bytes());
    }
    pieces
}

/// Takes them out again, in order of their keys.
fn take_inactive(secret_data: &mut SecretData) -> Vec<InactiveSubscription> {
    let pieces = secret_data.take_if(SecretDataId::is_inactive);
    let read = pieces.filter_map(|bytes| serde_json::from_slice(&bytes).ok());
    let mut read: Vec<InactiveSubscription> = read.collect();
    read.sort_by(|a, b| a.key.cmp(&b.key));
    read
}

pub(crate) fn split_secret_data(
    gateway: &ObjectKey,
    secret_data: &SecretData,
) -> Result<BTreeMap<String, String>, ObjectKey> {
    let entry = |(id, bytes): (&SecretDataId, &[u8])| {
        (
            id.to_string(),
            format!("{}:\"{}\"", to_json(id), hex::encode(bytes)),
        )
    };
    let keyed: Vec<_> = secret_data.iter().map(entry).collect();
    if keyed
        .iter()
        .any(|(_, json)| json.len() > HARD_LIMIT_BYTES / 2)
    {
        return Err(gateway.clone());
    }
    let mut secrets = BTreeMap::new();
    for (slot, items) in slots(&keyed) {
        let text = format!("{{\n{}\n}}", items.join(",\n"));
        put(
            &mut secrets,
            &gateway.name,
            &format!("secrets-{slot}"),
            text,
        );
    }
    Ok(secrets)
}

/// Groups texts by a stable hash of their key. The number of slots is a power of two that follows
/// from the total size, and is doubled while a slot is above the hard limit.
fn slots(keyed: &[(String, String)]) -> BTreeMap<u64, Vec<&str>> {
    let total: usize = keyed.iter().map(|(_, text)| text.len()).sum();
    let mut count = slot_count(total) as u64;
    loop {
        let mut slots: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
        for (key, text) in keyed {
            slots
                .entry(stable_hash(key) % count)
                .or_default()
                .push(text);
        }
        let size = |items: &Vec<&str>| items.iter().map(|text| text.len() + 2).sum::<usize>();
        let fits = slots
            .values()
            .all(|items| size(items) + 64 <= HARD_LIMIT_BYTES);
        if fits || count >= MAX_SLOTS {
            return slots;
        }
        count *= 2;
    }
}

/// How many slots objects of this size ask for.
pub(crate) fn slot_count(bytes: usize) -> usize {
    bytes.div_ceil(TARGET_BYTES).max(1).next_power_of_two()
}

pub(crate) fn stable_hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest[..8]
        .iter()
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

pub(crate) fn shard_text(kind: &str, items: &str) -> String {
    format!("{{\"kind\":\"{kind}\",\"items\":{items}}}")
}

fn put(parts: &mut BTreeMap<String, String>, gateway: &str, stem: &str, text: String) {
    let part = PartRef::of(gateway, stem, &text);
    parts.insert(part.name, text);
}

fn part_refs(parts: &BTreeMap<String, String>) -> Vec<PartRef> {
    parts.iter().map(part).collect()
}

pub(crate) fn part((name, text): (&String, &String)) -> PartRef {
    PartRef {
        name: name.clone(),
        sha256: sha256(text),
    }
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("these types have text keys only and no failing serializer")
}

#[cfg(test)]
pub(crate) mod tests;
