//! Manifests of a Gateway's objects: the ConfigMaps and Secrets with its configuration, and the objects that
//! run its pods. Pure.
//!
//! Every object is named after the Gateway, labelled with it, and owned by it. Others may set the fields that
//! a manifest leaves out; the fields that it has are put back when they change.

mod access;
mod admin_token;
mod autoscaler;
mod budget;
mod deployment;
mod parts;
mod pod;
mod service;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use tidegate_api::Gateway;
use tidegate_config::{GatewayConfig, ObjectKey};

pub(crate) use access::PodAccess;
pub(crate) use admin_token::{admin_token_key, admin_token_manifest, has_token};
pub(crate) use parts::{Part, index_key, index_manifest, part_manifest, parts, read_index};

use crate::objects::{Manifest, OwnedKey, OwnedKind, names};

/// The Gateway that manifests are made for.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) key: &'a ObjectKey,
    pub(crate) owner: OwnerReference,
    /// Image of the gateway pods.
    pub(crate) image: &'a str,
}

impl<'a> Target<'a> {
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

    fn metadata(&self) -> ObjectMeta {
        names::metadata(self.key, &self.key.name, &self.owner, None)
    }

    /// The same with the author's labels and annotations. The operator's own labels win: selectors need them.
    fn metadata_with(
        &self,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> ObjectMeta {
        let metadata = self.metadata();
        let mut labels = labels.clone();
        labels.extend(metadata.labels.unwrap_or_default());
        ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations.clone()),
            ..metadata
        }
    }
}

/// What lets the pods of the Gateway read its configuration and acknowledge it. Processes that the operator
/// does not run can use the same ServiceAccount.
pub(crate) fn access_manifests(target: &Target<'_>, access: PodAccess<'_>) -> Vec<Manifest> {
    vec![
        access::service_account(target),
        access::role(target, access),
        access::role_binding(target),
    ]
}

/// What runs the pods; nothing for an unmanaged Gateway.
pub(crate) fn workload_manifests(target: &Target<'_>, config: &GatewayConfig) -> Vec<Manifest> {
    let listeners = &config.settings.listeners;
    if !target.gateway.spec.deployment.managed {
        return Vec::new();
    }
    let mut manifests = vec![deployment::deployment(target, listeners)];
    manifests.extend(service::service(target, listeners));
    manifests.push(budget::pod_disruption_budget(target));
    manifests.extend(autoscaler::autoscaler(target));
    manifests
}

/// Key of an object that has the name of the Gateway.
pub(crate) fn same_name_key(kind: OwnedKind, gateway: &ObjectKey) -> OwnedKey {
    OwnedKey {
        kind,
        key: gateway.clone(),
    }
}

#[cfg(test)]
mod tests;
