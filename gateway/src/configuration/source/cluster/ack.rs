//! The pod's acknowledgement: a Lease that says which revision it serves and what it rejected.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use tidegate_config::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    LABEL_GATEWAY, LABEL_PART, ObjectKey, PART_ACK, Rejected, Unreachable,
};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::configuration::Applied;
use tidegate_config::error_chain;

const FIELD_MANAGER: &str = "tidegate-gateway";

/// Often enough that a pod is not taken for dead after one lost request, rare enough for hundreds
/// of pods.
const RENEW: Duration = Duration::from_secs(5);

/// After this without renewal a pod counts as gone: three renewals.
const LEASE_SECONDS: i32 = 15;

/// After a failure; the operator waits for acknowledgements.
const RETRY: Duration = Duration::from_secs(1);

/// How long after its start a pod waits for permission on its Lease without a log line: the operator grants it
/// when it has seen the pod.
const RIGHT_COMES: Duration = Duration::from_secs(30);

const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest number of rejected objects: annotations may have 256 KiB together. More have one cause.
const REJECTED_MAX: usize = 100;

/// Largest number of unreachable dependencies, some 60 KiB. More have one cause: the network.
const UNREACHABLE_MAX: usize = 100;

/// Of one message, in characters.
const MESSAGE_MAX: usize = 1024;

/// Which pod this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name; the Lease has the same.
    pub name: String,
    /// Its uid, when known: then the Lease goes when the pod goes.
    pub uid: Option<String>,
}

/// Acknowledges to the operator what this pod serves.
#[derive(Clone)]
pub struct Ack {
    api: Api<Lease>,
    gateway: String,
    pod: Pod,
}

impl Ack {
    pub(super) fn new(client: &Client, gateway: &ObjectKey, pod: Pod) -> Self {
        Self {
            api: Api::namespaced(client.clone(), &gateway.namespace),
            gateway: gateway.name.clone(),
            pod,
        }
    }

    /// Renews the Lease in time and whenever `applied` changes, for ever.
    pub async fn run(&self, mut applied: watch::Receiver<Applied>) {
        let start = Instant::now();
        let mut told = false;
        loop {
            let now = applied.borrow_and_update().clone();
            let result = self.renew(&now).await;
            let working = result.is_ok();
            match result {
                Ok(()) => told = false,
                Err(Failure::Forbidden(_)) if start.elapsed() < RIGHT_COMES => {}
                Err(Failure::Forbidden(error) | Failure::Other(error)) if !told => {
                    told = true;
                    tracing::warn!("failed to acknowledge: {error}");
                }
                Err(_) => {}
            }
            let pause = if working { RENEW } else { RETRY };
            // A closed channel means that the gateway has ended; this task ends too.
            let _ = tokio::time::timeout(pause, applied.changed()).await;
        }
    }

    /// Deletes the Lease: this pod serves nothing from now on. What fails here expires by itself.
    pub async fn withdraw(&self) {
        let params = DeleteParams::default();
        let delete = self.api.delete(&self.pod.name, &params);
        match tokio::time::timeout(TIMEOUT, delete).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!("failed to delete the Lease: {}", error_chain(&error)),
            Err(_) => tracing::warn!("failed to delete the Lease: no answer"),
        }
    }

    async fn renew(&self, applied: &Applied) -> Result<(), Failure> {
        let lease = lease(&self.gateway, &self.pod, applied, Timestamp::now());
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let body = Patch::Apply(&lease);
        let patch = self.api.patch(&self.pod.name, &params, &body);
        match tokio::time::timeout(TIMEOUT, patch).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if is_forbidden(&error) => Err(Failure::Forbidden(error_chain(&error))),
            Ok(Err(error)) => Err(Failure::Other(error_chain(&error))),
            Err(_) => Err(Failure::Other("the API server does not answer".to_owned())),
        }
    }
}

/// Why an acknowledgement failed.
enum Failure {
    /// The permission on the Lease is missing, or not yet granted.
    Forbidden(String),
    Other(String),
}

fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 403)
}

fn lease(gateway: &str, pod: &Pod, applied: &Applied, now: Timestamp) -> Lease {
    let rejected: Vec<Rejected> = applied
        .rejected
        .iter()
        .take(REJECTED_MAX)
        .map(cut)
        .collect();
    let rejected = serde_json::to_string(&rejected).expect("plain data without maps");
    let mut annotations = BTreeMap::from([
        (ANNOTATION_REVISION.to_owned(), applied.revision.to_string()),
        (ANNOTATION_REJECTED.to_owned(), rejected),
    ]);
    if let Some(error) = &applied.error {
        let error = error.chars().take(MESSAGE_MAX).collect();
        annotations.insert(ANNOTATION_CONFIG_ERROR.to_owned(), error);
    }
    if !applied.unreachable.is_empty() {
        let unreachable = applied.unreachable.iter().take(UNREACHABLE_MAX);
        let unreachable: Vec<Unreachable> = unreachable.cloned().collect();
        let unreachable = serde_json::to_string(&unreachable).expect("plain data without maps");
        annotations.insert(ANNOTATION_UNREACHABLE.to_owned(), unreachable);
    }
    let labels = [(LABEL_GATEWAY, gateway), (LABEL_PART, PART_ACK)];
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
    Lease {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            labels: Some(labels.into()),
            annotations: Some(annotations),
            owner_references: pod.uid.as_ref().map(|uid| vec![owner(pod, uid)]),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(pod.name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

fn cut(rejected: &Rejected) -> Rejected {
    Rejected {
        message: rejected.message.chars().take(MESSAGE_MAX).collect(),
        ..rejected.clone()
    }
}

fn owner(pod: &Pod, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.name.clone(),
        uid: uid.to_owned(),
        ..OwnerReference::default()
    }
}

#[cfg(test)]
mod tests;
