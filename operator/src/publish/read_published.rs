//! Reads back what an earlier leader published for a Gateway. Client required.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt};
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use tidegate_config::{ConfigIndex, INDEX_KEY, ObjectKey, SECRET_DATA_KEY, SHARD_KEY, assemble};

use super::Published;
use crate::manifests::{self, Part};
use crate::objects::OwnedKind;
use crate::watch::read_with_timeout;

/// Reads at a time.
const CONCURRENCY: usize = 16;

/// The configuration of a Gateway as it is in the cluster; `None` when there is no index that can be read. Of
/// a part that is missing or damaged only its own content is lost.
///
/// # Errors
///
/// When a request failed.
pub(crate) async fn read_published(
    client: &Client,
    gateway: &ObjectKey,
) -> Result<Option<Published>, kube::Error> {
    let key = manifests::index_key(gateway);
    let api = api(client, OwnedKind::ConfigMap, gateway);
    let Some(map) = read_with_timeout(api.get_opt(&key.key.name)).await? else {
        return Ok(None);
    };
    let text = map.data["data"][INDEX_KEY].as_str().unwrap_or_default();
    let Some(index) = serde_json::from_str::<ConfigIndex>(text)
        .ok()
        .filter(|index| index.gateway == *gateway)
    else {
        return Ok(None);
    };
    let reads: Vec<_> = manifests::parts(&index)
        .map(|part| read_part(client, gateway, part))
        .collect();
    let found: Vec<Option<(String, String)>> = futures::stream::iter(reads)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let texts = found.into_iter().flatten().collect();
    Ok(assemble_readable(index, &texts))
}

/// The configuration of an index and those of its parts that could be read.
fn assemble_readable(index: ConfigIndex, texts: &HashMap<String, String>) -> Option<Published> {
    let text = |name: &str| texts.get(name).map(String::as_str);
    if let Ok(content) = assemble(&index, text, text) {
        return Some(Published::read_back(content, index));
    }
    let mut readable = index.clone();
    readable
        .shards
        .retain(|part| is_intact(text(&part.name), &part.sha256));
    readable
        .secrets
        .retain(|part| is_intact(text(&part.name), &part.sha256));
    let content = assemble(&readable, text, text).ok()?;
    Some(Published::read_back(content, index))
}

fn is_intact(text: Option<&str>, sha256: &str) -> bool {
    use sha2::{Digest, Sha256};
    text.is_some_and(|text| hex::encode(Sha256::digest(text.as_bytes())) == sha256)
}

async fn read_part(
    client: &Client,
    gateway: &ObjectKey,
    part: Part,
) -> Result<Option<(String, String)>, kube::Error> {
    let kind = part.key.kind;
    let name = part.key.key.name;
    let api = api(client, kind, gateway);
    let Some(object) = read_with_timeout(api.get_opt(&name)).await? else {
        return Ok(None);
    };
    Ok(text_of(kind, &object.data).map(|text| (name, text)))
}

fn text_of(kind: OwnedKind, body: &Value) -> Option<String> {
    use base64::Engine;
    let data = &body["data"];
    if kind != OwnedKind::Secret {
        return data[SHARD_KEY].as_str().map(str::to_owned);
    }
    let encoded = data[SECRET_DATA_KEY].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(encoded)
        .ok()?;
    String::from_utf8(bytes).ok()
}

fn api(client: &Client, kind: OwnedKind, gateway: &ObjectKey) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &gateway.namespace, &kind.resource())
}

#[cfg(test)]
mod tests;
