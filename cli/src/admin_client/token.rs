//! Looks up the token of an admin server: in the state directory of `tidegate run`, or in the Secret that the
//! operator writes for the Gateway.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use reqwest::Response;
use reqwest::header::WWW_AUTHENTICATE;
use tidegate_config::ObjectKey;

use crate::admin_token;
use crate::cluster::ClusterArgs;

/// How long the API server may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The token in this file.
///
/// # Errors
///
/// When the file cannot be read, or is empty.
pub fn in_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("failed to read {}", path.display()))?;
    ensure!(!text.trim().is_empty(), "{} is empty", path.display());
    Ok(text.trim().to_owned())
}

/// The token that `tidegate run` wrote.
///
/// # Errors
///
/// When there is none.
pub fn in_state_dir(state_dir: &Path) -> anyhow::Result<String> {
    in_file(&admin_token::path(state_dir))
}

/// The token of this Gateway, from the cluster.
///
/// # Errors
///
/// When its Secret cannot be read.
pub async fn in_cluster(
    cluster: &ClusterArgs,
    gateway: Option<ObjectKey>,
) -> anyhow::Result<String> {
    let gateway = gateway.context("the gateway does not say which Gateway it serves")?;
    let name = format!("{}-admin", gateway.name);
    let reading = read(cluster, &gateway.namespace, &name);
    let read = tokio::time::timeout(REQUEST_TIMEOUT, reading).await;
    let read =
        read.unwrap_or_else(|_| Err(anyhow::anyhow!("the API server did not answer in time")));
    read.with_context(|| format!("failed to read Secret {}/{name}", gateway.namespace))
}

async fn read(cluster: &ClusterArgs, namespace: &str, name: &str) -> anyhow::Result<String> {
    let cluster = cluster.connect().await?;
    let secrets = Api::<Secret>::namespaced(cluster.client().clone(), namespace);
    let secret = secrets.get(name).await?;
    let token = secret.data.as_ref().and_then(|data| data.get("token"));
    let token = token.context("it has no key named token")?;
    String::from_utf8(token.0.clone()).context("the token is not UTF-8")
}

/// The Gateway whose token is required: `Bearer realm="NAMESPACE/NAME"`.
pub fn realm(answer: &Response) -> Option<ObjectKey> {
    key(answer.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?)
}

/// Accepts only valid names, because they choose the Secret that is read.
fn key(challenge: &str) -> Option<ObjectKey> {
    let realm = challenge
        .strip_prefix("Bearer realm=\"")?
        .strip_suffix('"')?;
    let (namespace, name) = realm.split_once('/')?;
    let is_name = |text: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
        !text.is_empty() && text.bytes().all(allowed) && text != "." && text != ".."
    };
    (is_name(namespace) && is_name(name)).then(|| ObjectKey::new(namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gateways_name_is_taken_from_a_challenge() {
        for (challenge, wanted) in [
            ("Bearer realm=\"shop/edge\"", Some("shop/edge")),
            ("Bearer realm=\"\"", None),
            ("Bearer realm=\"edge\"", None),
            ("Bearer realm=\"shop/../secrets\"", None),
            ("Bearer realm=\"shop/..\"", None),
            ("Bearer realm=\"shop/edge?x\"", None),
            ("Basic realm=\"shop/edge\"", None),
        ] {
            let found = key(challenge).map(|key| key.to_string());
            assert_eq!(found.as_deref(), wanted, "{challenge}");
        }
    }
}
