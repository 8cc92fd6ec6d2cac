//! Reads back what was published for a Gateway by an earlier leader. Client required.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt};
use kube::api::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use tidegate_config::{ConfigIndex, INDEX_KEY, ObjectKey, SECRET_DATA_KEY, SHARD_KEY, assemble};

use super::in_time;
use crate::owned::OwnedKind;
use crate::published::Published;
use crate::render::{self, Part};

/// Reads at a time.
const CONCURRENCY: usize = 16;

/// The configuration of a Gateway as the cluster has it; `None` when there is none that makes
/// sense. A part that is missing or spoilt costs only what stood in it.
pub(crate) async fn recall(
    client: &Client,
    gateway: &ObjectKey,
) -> Result<Option<Published>, kube::Error> {
    let key = render::index_key(gateway);
    let api = api(client, OwnedKind::ConfigMap, gateway);
    let Some(map) = in_time(api.get_opt(&key.key.name)).await? else {
        return Ok(None);
    };
    let text = map.data["data"][INDEX_KEY].as_str().unwrap_or_default();
    let Some(index) = serde_json::from_str::<ConfigIndex>(text)
        .ok()
        .filter(|index| index.gateway == *gateway)
    else {
        return Ok(None);
    };
    let reads: Vec<_> = render::part_keys(&index)
        .map(|part| read(client, gateway, part))
        .collect();
    let found: Vec<Option<(String, String)>> = futures::stream::iter(reads)
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await?;
    let texts = found.into_iter().flatten().collect();
    Ok(put_together(index, &texts))
}

/// The configuration of an index and those of its parts that could be read.
fn put_together(index: ConfigIndex, texts: &HashMap<String, String>) -> Option<Published> {
    let text = |name: &str| texts.get(name).map(String::as_str);
    let bytes = texts.values().map(String::len).sum();
    if let Ok(whole) = assemble(&index, text, text) {
        return Some(Published::found(whole, (index, bytes), true));
    }
    let mut rest = index.clone();
    rest.shards
        .retain(|part| is_intact(text(&part.name), &part.sha256));
    rest.secrets
        .retain(|part| is_intact(text(&part.name), &part.sha256));
    let some = assemble(&rest, text, text).ok()?;
    Some(Published::found(some, (index, bytes), false))
}

fn is_intact(text: Option<&str>, sha256: &str) -> bool {
    use sha2::{Digest, Sha256};
    text.is_some_and(|text| hex::encode(Sha256::digest(text.as_bytes())) == sha256)
}

async fn read(
    client: &Client,
    gateway: &ObjectKey,
    part: Part,
) -> Result<Option<(String, String)>, kube::Error> {
    let kind = part.key.kind;
    let name = part.key.key.name;
    let api = api(client, kind, gateway);
    let Some(object) = in_time(api.get_opt(&name)).await? else {
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
