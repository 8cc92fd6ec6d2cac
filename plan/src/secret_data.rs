//! The secret data that one Gateway's configuration refers to.

use std::collections::BTreeMap;

use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiConfig, GatewaySettings, ProductConfig, ResolvedValue, SecretDataId, TrustAnchorRef,
};

use crate::backend::PROXY_CREDENTIALS;
use crate::certificates::key_pair_ids;
use crate::policies;

/// Of the Gateway's own settings.
pub(crate) fn of_gateway(settings: &GatewaySettings) -> Vec<SecretDataId> {
    let namespace = &settings.key.namespace;
    let mut ids = of_scope(namespace, &settings.on_handshake, &settings.values);
    let listeners = settings.listeners.iter();
    for tls in listeners.filter_map(|listener| listener.tls.as_ref()) {
        for (chain, key) in &tls.certificates {
            ids.extend([chain.clone(), key.clone()]);
        }
        ids.extend(tls.client_auth.as_ref().map(|auth| auth.ca.clone()));
    }
    if let Some(counters) = &settings.counters {
        if let ResolvedValue::Secret(id) = &counters.url {
            ids.push(id.clone());
        }
        ids.extend(counters.authorities.iter().cloned());
    }
    ids
}

/// Of an API.
pub(crate) fn of_api(api: &ApiConfig) -> Vec<SecretDataId> {
    let mut ids = of_scope(&api.key.namespace, &api.on_handshake, &api.values);
    ids.extend(of_backend(api));
    ids
}

/// Of a product.
pub(crate) fn of_product(product: &ProductConfig) -> Vec<SecretDataId> {
    of_scope(
        &product.key.namespace,
        &product.on_handshake,
        &product.values,
    )
}

fn of_scope(
    namespace: &str,
    on_handshake: &OnHandshake,
    values: &BTreeMap<String, ResolvedValue>,
) -> Vec<SecretDataId> {
    let mut ids: Vec<_> = values
        .values()
        .filter_map(|value| match value {
            ResolvedValue::Secret(id) => Some(id.clone()),
            ResolvedValue::Plain(_) => None,
        })
        .collect();
    for (_, _, step) in on_handshake.steps() {
        ids.extend(
            step.policy()
                .into_iter()
                .flat_map(|policy| policies::secret_data(namespace, policy)),
        );
    }
    ids
}

fn of_backend(api: &ApiConfig) -> Vec<SecretDataId> {
    let namespace = &api.key.namespace;
    let anchor = |r: &TrustAnchorRef| SecretDataId::of_trust_anchor(namespace, r);
    let mut ids: Vec<_> = api.backend_tls.ca_refs.iter().map(anchor).collect();
    if let Some(name) = &api.backend_tls.client_certificate_ref {
        let (chain, key) = key_pair_ids(namespace, name);
        ids.extend([chain, key]);
    }
    let proxy = api.backend_proxy.as_ref();
    if let Some(name) = proxy.and_then(|proxy| proxy.credentials_ref.as_deref()) {
        ids.extend(PROXY_CREDENTIALS.map(|key| SecretDataId::secret(namespace, name, key)));
    }
    ids
}
