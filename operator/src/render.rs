//! From a Gateway and its planned configuration to the objects that carry and serve it. Pure.
//!
//! Every object is named after the Gateway, labelled with it, and owned by it. What a manifest
//! leaves out is other people's to set; what it names is put back when they change it.

mod access;
mod admin_token;
mod autoscaler;
mod budget;
mod deployment;
mod parts;
mod pod;
mod service;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tidegate_api::Gateway;
use tidegate_config::{GatewayConfig, ObjectKey};

pub(crate) use access::Own;
pub(crate) use admin_token::{admin_token, admin_token_key, has_token};
pub(crate) use parts::{Part, index, index_key, part_keys, part_manifest, read_index};

use crate::names;
use crate::owned::{Manifest, OwnedKey, OwnedKind};

/// What rendering needs to know besides the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) key: &'a ObjectKey,
    pub(crate) owner: OwnerReference,
    /// Image of the gateway pods.
    pub(crate) image: &'a str,
}

impl<'a> Site<'a> {
    pub(crate) fn new(gateway: &'a Gateway, key: &'a ObjectKey, image: &'a str) -> Self {
        Self {
            gateway,
            key,
            owner: names::owner_of(gateway),
            image,
        }
    }

    fn manifest<K>(&self, kind: OwnedKind, object: &K) -> Manifest
    where
        K: kube::Resource<DynamicType = ()> + serde::Serialize,
    {
        Manifest::of(kind, self.key.clone(), object)
    }

    fn metadata(&self) -> kube::api::ObjectMeta {
        names::metadata(self.key, &self.key.name, &self.owner, None)
    }
}

/// What lets a pod of the Gateway read its configuration and acknowledge it: also for a process
/// that the operator does not run, which can use the same ServiceAccount.
pub(crate) fn access(site: &Site<'_>, own: Own<'_>) -> Vec<Manifest> {
    vec![
        access::service_account(site),
        access::role(site, own),
        access::role_binding(site),
    ]
}

/// What runs the pods; nothing for a Gateway that the operator does not run.
pub(crate) fn workload(site: &Site<'_>, config: &GatewayConfig) -> Vec<Manifest> {
    let listeners = &config.settings.listeners;
    if !site.gateway.spec.deployment.managed {
        return Vec::new();
    }
    let mut manifests = vec![deployment::deployment(site, listeners)];
    manifests.extend(service::service(site, listeners));
    manifests.push(budget::pod_disruption_budget(site));
    manifests.extend(autoscaler::autoscaler(site));
    manifests
}

/// The key of an object of the Gateway's own name.
pub(crate) fn named(kind: OwnedKind, gateway: &ObjectKey) -> OwnedKey {
    OwnedKey {
        kind,
        key: gateway.clone(),
    }
}

#[cfg(test)]
mod tests;
