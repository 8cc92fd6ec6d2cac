//! The secret data that one Gateway's configuration refers to.

use tidegate_config::policy::{BackendAuth, OnHandshake, Outgoing, Policy, RequestTls};
use tidegate_config::{
    ApiConfig, GatewayConfig, ResolvedValue, SecretData, SecretDataId, TrustAnchorRef,
};

use crate::backend::{PROXY_CREDENTIALS, key_pair_ids};

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
                .flat_map(|policy| of_policy(namespace, policy)),
        );
    }
    ids
}

fn of_policy(namespace: &str, policy: Policy<'_>) -> Vec<SecretDataId> {
    match policy {
        Policy::ValidateJwt(policy) => {
            let keys = policy.keys.iter();
            let references = keys.filter_map(|key| key.secret_key_ref.as_ref());
            references
                .map(|reference| SecretDataId::of_secret_ref(namespace, reference))
                .chain(of_tls(namespace, policy.tls.as_ref()))
                .collect()
        }
        Policy::BasicAuth(policy) => {
            vec![SecretDataId::of_secret_ref(
                namespace,
                &policy.users_secret_ref,
            )]
        }
        Policy::BackendAuth(policy) => of_backend_auth(namespace, policy),
        Policy::SendRequest(policy) => of_request(namespace, policy.outgoing()),
        Policy::Notify(policy) => of_request(namespace, policy.outgoing()),
        Policy::ExternalAuth(policy) => of_request(namespace, policy.outgoing()),
        Policy::SendRequests(policy) => {
            let requests = policy.requests.iter();
            requests
                .flat_map(|request| of_request(namespace, request.outgoing()))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn of_backend_auth(namespace: &str, policy: &BackendAuth) -> Vec<SecretDataId> {
    let client = policy.oauth2_client_credentials.as_ref();
    let secret = client.map(|client| &client.secret_ref);
    let key = policy.signed_jwt.as_ref().map(|jwt| &jwt.secret_ref);
    let secrets = secret.into_iter().chain(key);
    let secrets = secrets.map(|reference| SecretDataId::of_secret_ref(namespace, reference));
    secrets
        .chain(of_tls(namespace, policy.tls.as_ref()))
        .collect()
}

fn of_tls<'a>(
    namespace: &'a str,
    tls: Option<&'a RequestTls>,
) -> impl Iterator<Item = SecretDataId> + 'a {
    let anchors = tls.into_iter().flat_map(|tls| &tls.ca_refs);
    anchors.map(|anchor| SecretDataId::of_trust_anchor(namespace, anchor))
}

fn of_request(namespace: &str, request: Outgoing<'_>) -> Vec<SecretDataId> {
    let mut ids: Vec<_> = of_tls(namespace, request.tls).collect();
    let Some(auth) = request.auth else {
        return ids;
    };
    if let Some(certificate) = &auth.client_certificate {
        let (chain, key) = key_pair_ids(namespace, &certificate.name);
        ids.extend([chain, key]);
    }
    if let Some(oauth2) = &auth.oauth2 {
        ids.push(SecretDataId::of_secret_ref(namespace, &oauth2.secret_ref));
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
