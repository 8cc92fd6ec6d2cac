//! The two documents: OpenID Connect discovery and JSON Web Key Set.

use serde_json::Value;
use tidegate_keys::VerificationKey;
use url::Url;

use super::{KeySet, KeySource};
use crate::http_client::{FetchError, HttpClient};

/// Providers publish two or three keys, a few for many tenants some hundred.
const MAX_KEYS: usize = 1024;

/// Why a key set could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("failed to fetch the discovery document")]
    Discovery(#[source] FetchError),
    #[error("failed to fetch the key set")]
    Keys(#[source] FetchError),
    #[error("the discovery document is not a JSON object with issuer and jwks_uri")]
    InvalidDiscovery,
    #[error("jwks_uri is not an https URL (http only where the discovery document came by http)")]
    InsecureKeys,
    #[error("the key set is not a JSON object with a list of keys")]
    InvalidKeys,
    #[error("the key set has no key that verifies signatures")]
    NoKeys,
}

/// Fetches and reads the keys at `source`.
pub(super) async fn fetch(client: &HttpClient, source: &KeySource) -> Result<KeySet, KeySetError> {
    let (issuer, keys_url) = match source {
        KeySource::Jwks(url) => (None, url.clone()),
        KeySource::Discovery(url) => {
            let document = client.get(url).await.map_err(KeySetError::Discovery)?;
            let (issuer, keys_url) = discovery(&document)?;
            require_secure(url, &keys_url)?;
            (Some(issuer), keys_url)
        }
    };
    let document = client.get(&keys_url).await.map_err(KeySetError::Keys)?;
    let (keys, left_out) = key_set(&document)?;
    Ok(KeySet {
        issuer,
        keys,
        left_out,
    })
}

/// Issuer and URL of the keys (OpenID Connect Discovery §3).
fn discovery(document: &[u8]) -> Result<(String, String), KeySetError> {
    let document: Value =
        serde_json::from_slice(document).map_err(|_| KeySetError::InvalidDiscovery)?;
    let text = |name: &str| {
        document
            .get(name)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    match (text("issuer"), text("jwks_uri")) {
        (Some(issuer), Some(keys)) if !issuer.is_empty() => Ok((issuer, keys)),
        _ => Err(KeySetError::InvalidDiscovery),
    }
}

fn require_secure(discovery: &str, keys: &str) -> Result<(), KeySetError> {
    let scheme = |url: &str| Url::parse(url).map(|url| url.scheme().to_owned());
    match (scheme(discovery).as_deref(), scheme(keys).as_deref()) {
        (_, Ok("https")) | (Ok("http"), Ok("http")) => Ok(()),
        _ => Err(KeySetError::InsecureKeys),
    }
}

/// The keys that we can use, and how many are too many; others in the set do no harm.
fn key_set(document: &[u8]) -> Result<(Vec<VerificationKey>, usize), KeySetError> {
    let document: Value = serde_json::from_slice(document).map_err(|_| KeySetError::InvalidKeys)?;
    let keys = document.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or(KeySetError::InvalidKeys)?.iter();
    let mut usable: Vec<_> = keys.filter_map(VerificationKey::from_jwk).collect();
    if usable.is_empty() {
        return Err(KeySetError::NoKeys);
    }
    let left_out = usable.len().saturating_sub(MAX_KEYS);
    usable.truncate(MAX_KEYS);
    Ok((usable, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_come_by_a_less_secure_way_than_their_discovery() {
        for (discovery, keys, accepted) in [
            ("https://a", "https://b", true),
            ("http://a", "http://b", true),
            ("http://a", "https://b", true),
            ("https://a", "http://b", false),
            ("https://a", "file:///b", false),
            ("http://a", "b", false),
        ] {
            assert_eq!(
                require_secure(discovery, keys).is_ok(),
                accepted,
                "{discovery} {keys}"
            );
        }
    }

    #[test]
    fn of_ten_thousand_keys_the_first_are_kept_and_the_rest_is_counted() {
        let key = |id: usize| {
            format!(
                r#"{{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"{id}"}}"#
            )
        };
        let keys: Vec<_> = (0..10_000).map(key).collect();
        let document = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let (kept, left_out) = key_set(document.as_bytes()).unwrap();
        assert_eq!((kept.len(), left_out), (MAX_KEYS, 10_000 - MAX_KEYS));
        assert!(kept[0].has_id("0") && kept[MAX_KEYS - 1].has_id("1023"));
    }

    #[test]
    fn unusable_keys_are_left_out_and_only_those_is_an_error() {
        let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}"#;
        for (name, keys, count) in [
            ("one good", format!("[{ed}]"), Some(1)),
            (
                "unknown kinds beside it",
                format!(r#"[{{"kty":"XYZ"}},{ed},7,{{}}]"#),
                Some(1),
            ),
            (
                "for encryption",
                ed.replace('{', r#"[{"use":"enc","#) + "]",
                None,
            ),
            (
                "for signing by its owner",
                ed.replace('{', r#"[{"key_ops":["sign"],"#) + "]",
                None,
            ),
            (
                "with an algorithm that does not fit",
                ed.replace('{', r#"[{"alg":"RS256","#) + "]",
                None,
            ),
            (
                "a shared secret",
                r#"[{"kty":"oct","k":"c2VjcmV0"}]"#.to_owned(),
                None,
            ),
            ("none", "[]".to_owned(), None),
        ] {
            let document = format!(r#"{{"keys":{keys}}}"#);
            let found = key_set(document.as_bytes())
                .ok()
                .map(|(keys, _)| keys.len());
            assert_eq!(found, count, "{name}");
        }
    }
}
