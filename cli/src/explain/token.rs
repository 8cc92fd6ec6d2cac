//! Where the token of an admin server is: in the state directory of `tidegate run`, or in the Secret
//! that the operator makes for the Gateway, for whoever may read that.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, Config};
use reqwest::Response;
use reqwest::header::WWW_AUTHENTICATE;
use tidegate_config::ObjectKey;

use crate::admin_token;

/// For the API server to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The one in this file.
pub(super) fn in_file(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("failed to read {}", path.display()))?;
    ensure!(!text.trim().is_empty(), "{} is empty", path.display());
    Ok(text.trim().to_owned())
}

/// The one that `tidegate run` made.
pub(super) fn in_state_dir(state_dir: &Path) -> anyhow::Result<String> {
    in_file(&admin_token::path(state_dir))
}

/// The one in the cluster of the kubeconfig, of the Gateway that the answer names.
pub(super) async fn in_cluster(gateway: Option<ObjectKey>) -> anyhow::Result<String> {
    let gateway = gateway.context("it does not say which Gateway it is")?;
    let name = format!("{}-admin", gateway.name);
    let reading = read(&gateway.namespace, &name);
    let read = tokio::time::timeout(PATIENCE, reading).await;
    let read = read.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time")));
    read.with_context(|| format!("failed to read Secret {}/{name}", gateway.namespace))
}

async fn read(namespace: &str, name: &str) -> anyhow::Result<String> {
    let config = Config::infer().await.context("there is no kubeconfig")?;
    let client = Client::try_from(config).context("failed to make a client")?;
    let secret = Api::<Secret>::namespaced(client, namespace)
        .get(name)
        .await?;
    let token = secret.data.as_ref().and_then(|data| data.get("token"));
    let token = token.context("it has no key token")?;
    String::from_utf8(token.0.clone()).context("the token is not text")
}

/// The Gateway whose token is wanted: `Bearer realm="NAMESPACE/NAME"`.
pub(super) fn realm(answer: &Response) -> Option<ObjectKey> {
    key(answer.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?)
}

/// Only what can be a Gateway's name: it decides which Secret is read.
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
