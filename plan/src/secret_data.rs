//! The secret data that one Gateway's configuration refers to.

use tidegate_config::policy::OnHandshake;
use tidegate_config::{
    ApiConfig, GatewayConfig, ResolvedValue, SecretData, SecretDataId, TrustAnchorRef,
};

use crate::backend::PROXY_CREDENTIALS;
use crate::certificates::key_pair_ids;
use crate::policies;

/// Everything that a configuration refers to: as found now, or, for what is broken and serves its
/// last good version, as it was.
pub(crate) fn of(
    config: &GatewayConfig,
    found: &SecretData,
    before: Option<&SecretData>,
) -> SecretData {
    let mut secret_data = SecretData::default();
    for id in ids(config) {
        let before = || before.and_then(|before| before.get(&id));
        if let Some(bytes) = found.get(&id).or_else(before) {
            let bytes = bytes.to_vec();
            secret_data.insert(id, bytes);
        }
    }
    secret_data
}

fn ids(config: &GatewayConfig) -> Vec<SecretDataId> {
    let settings = &config.settings;
    let mut ids = Vec::new();
    let tls = settings
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    for tls in tls {
        for (chain, key) in &tls.certificates {
            ids.extend([chain.clone(), key.clone()]);
        }
        ids.extend(tls.client_auth.as_ref().map(|auth| auth.ca.clone()));
    }
    ids.extend(of_scope(
        &settings.key.namespace,
        &settings.on_handshake,
        settings.values.values(),
    ));
    if let Some(counters) = &settings.counters {
        if let ResolvedValue::Secret(id) = &counters.url {
            ids.push(id.clone());
        }
        ids.extend(counters.authorities.iter().cloned());
    }
    for api in &config.apis {
        ids.extend(of_scope(
            &api.key.namespace,
            &api.on_handshake,
            api.values.values(),
        ));
        ids.extend(of_backend(api));
    }
    for product in &config.products {
        let values = product.values.values();
        ids.extend(of_scope(
            &product.key.namespace,
            &product.on_handshake,
            values,
        ));
    }
    ids
}

fn of_scope<'v>(
    namespace: &str,
    on_handshake: &OnHandshake,
    values: impl Iterator<Item = &'v ResolvedValue>,
) -> Vec<SecretDataId> {
    let mut ids: Vec<_> = values
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
