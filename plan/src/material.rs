//! The sensitive material that one Gateway's configuration refers to.

use tidegate_config::policy::{OnHandshake, Policy};
use tidegate_config::{
    ApiConfig, GatewayConfig, Material, MaterialId, ResolvedValue, TrustAnchorRef,
};

use crate::backend::key_pair_ids;

/// Everything that a configuration refers to: as found now, or, for what is broken and serves its
/// last good version, as it was.
pub(crate) fn of(config: &GatewayConfig, found: &Material, before: Option<&Material>) -> Material {
    let mut material = Material::default();
    for id in ids(config) {
        let before = || before.and_then(|before| before.get(&id));
        if let Some(bytes) = found.get(&id).or_else(before) {
            let bytes = bytes.to_vec();
            material.insert(id, bytes);
        }
    }
    material
}

fn ids(config: &GatewayConfig) -> Vec<MaterialId> {
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
) -> Vec<MaterialId> {
    let mut ids: Vec<_> = values
        .filter_map(|value| match value {
            ResolvedValue::Secret(id) => Some(id.clone()),
            ResolvedValue::Plain(_) => None,
        })
        .collect();
    for (_, _, step) in on_handshake.steps() {
        let references: Vec<_> = match step.policy() {
            Some(Policy::ValidateJwt(policy)) => {
                let keys = policy.keys.iter();
                keys.filter_map(|key| key.secret_key_ref.as_ref()).collect()
            }
            Some(Policy::BasicAuth(policy)) => vec![&policy.users_secret_ref],
            _ => Vec::new(),
        };
        let ids_of = |reference| MaterialId::of_secret_ref(namespace, reference);
        ids.extend(references.into_iter().map(ids_of));
    }
    ids
}

fn of_backend(api: &ApiConfig) -> Vec<MaterialId> {
    let namespace = &api.key.namespace;
    let anchor = |r: &TrustAnchorRef| MaterialId::of_trust_anchor(namespace, r);
    let mut ids: Vec<_> = api.backend_tls.ca_refs.iter().map(anchor).collect();
    if let Some(name) = &api.backend_tls.client_certificate_ref {
        let (chain, key) = key_pair_ids(namespace, name);
        ids.extend([chain, key]);
    }
    ids
}
