//! Configuration and state as the admin server shows them, in JSON.
//!
//! Without key hashes, policies (they may contain secret literals), user info and queries of backend URLs.

use serde_json::{Value, json};
use tidegate_config::{ApiConfig, ProductConfig};
use url::Url;

use crate::gateway::GatewayState;
use crate::listener::BoundListener;

pub(super) fn status(state: &GatewayState) -> String {
    let applied = state.applied.borrow().clone();
    let bound = state.bound.borrow().clone();
    pretty(&json!({
        "ready": state.why_not_ready().is_none(),
        "draining": state.is_draining(),
        "revision": applied.revision,
        "synchronized": applied.synchronized,
        "error": applied.error,
        "rejected": applied.rejected,
        "listeners": bound.iter().map(listener).collect::<Value>(),
        "tunnels": state.sessions.len(),
    }))
}

pub(super) fn config(state: &GatewayState) -> String {
    let Some(update) = state.serving.borrow().clone() else {
        return pretty(&json!({ "revision": 0 }));
    };
    let config = &update.config;
    pretty(&json!({
        "revision": update.revision,
        "gateway": config.settings.key,
        "generation": config.settings.generation,
        "listeners": config.settings.listeners.iter().map(|listener| json!({
            "name": listener.name,
            "port": listener.port,
            "protocol": listener.protocol,
            "hostnames": listener.hostnames,
        })).collect::<Value>(),
        "apis": config.apis.iter().map(|it| api(it)).collect::<Value>(),
        "products": config.products.iter().map(|it| product(it)).collect::<Value>(),
        "subscriptions": config.subscriptions.len(),
    }))
}

fn listener(bound: &BoundListener) -> Value {
    json!({ "name": bound.name, "protocol": bound.protocol, "address": bound.address })
}

fn api(api: &ApiConfig) -> Value {
    json!({
        "key": api.key,
        "generation": api.generation,
        "listeners": api.listeners,
        "hostnames": api.hostnames,
        "path": api.path,
        "pathMatch": api.path_match,
        "protocols": api.protocols,
        "backend": without_secrets(&api.backend_url),
        "backendPool": pool(api),
        "subscriptionRequired": api.subscription_required,
        "blocked": api.blocked,
    })
}

/// Empty without a pool.
fn pool(api: &ApiConfig) -> Value {
    let members = api.backend_pool.iter();
    let shown = members.map(|member| {
        json!({
            "name": member.name,
            "url": without_secrets(&member.url),
            "weight": member.weight,
            "priority": member.priority,
        })
    });
    shown.collect()
}

fn product(product: &ProductConfig) -> Value {
    json!({
        "key": product.key,
        "generation": product.generation,
        "open": product.open,
        "apis": product.apis,
        "blocked": product.blocked,
    })
}

fn without_secrets(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    Some(format!("{}://{host}{port}{}", url.scheme(), url.path()))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn backend_urls_are_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("ws://chat:8080/a/b", Some("ws://chat:8080/a/b")),
            ("wss://u:p@chat/x?token=1#f", Some("wss://chat/x")),
            ("ws://[::1]:9/", Some("ws://[::1]:9/")),
            ("nonsense", None),
        ] {
            assert_eq!(without_secrets(url).as_deref(), shown, "{url}");
        }
    }
}
