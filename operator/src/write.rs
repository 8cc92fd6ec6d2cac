//! The only place that writes to the cluster. Client required.
//!
//! Every write first asks whether this replica still leads, is bounded in time, and puts what the
//! API server returned into the index, so that the next pass does not write the same again before
//! the watch has told.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::{Api, Client};
use serde_json::{Value, json};
use tidegate_api::{LABEL_MANAGED_BY, MANAGED_BY};
use tidegate_config::LABEL_GATEWAY;

use crate::FIELD_MANAGER;
use crate::gather::SharedIndex;
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::owned::{Manifest, Owned, OwnedKey, short_hash};

/// The API server's own limit is 60 s for a request; a pass must not wait that long for one object.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Field manager of what the operator leaves as it is, for others to change.
const LEFT_TO_OTHERS: &str = "tidegate-operator-left";

/// Writes, as long as this replica leads.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) client: Client,
    pub(crate) leadership: Leadership,
    pub(crate) index: SharedIndex,
    pub(crate) metrics: Metrics,
    settled: Settled,
}

/// What the API server made of a manifest: hash of the manifest, version of the object. While both
/// are the same, applying again would change nothing, even if the object does not look as asked
/// (for example since the server writes a quantity in another way).
type Settled = Arc<Mutex<HashMap<OwnedKey, (String, String)>>>;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("this replica does not lead")]
    NotLeading,
    #[error("{0} exists and is not Tidegate's: rename or delete it")]
    Foreign(OwnedKey),
    #[error("failed to {verb} {object}")]
    Request {
        verb: &'static str,
        object: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to {verb} {object}: no answer in time")]
    Timeout { verb: &'static str, object: String },
}

impl WriteError {
    /// The text that a status shows: it does not change from one attempt to the next.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Request {
                source: kube::Error::Api(status),
                ..
            } => format!("{self}: {}", status.message),
            Self::Request { .. } => format!("{self}: the API server cannot be reached"),
            Self::NotLeading | Self::Foreign(_) | Self::Timeout { .. } => self.to_string(),
        }
    }

    /// The object's namespace is being deleted: it and its owner will be gone soon.
    pub(crate) fn is_terminating(&self) -> bool {
        let Self::Request {
            source: kube::Error::Api(status),
            ..
        } = self
        else {
            return false;
        };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        let mut reasons = causes.map(|cause| cause.reason.as_str());
        reasons.any(|reason| reason == "NamespaceTerminating")
    }

    /// The object was changed or created by somebody else meanwhile.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Request { source: kube::Error::Api(status), .. } if status.code == 409)
    }
}

impl Writer {
    pub(crate) fn new(
        client: Client,
        leadership: Leadership,
        index: SharedIndex,
        metrics: Metrics,
    ) -> Self {
        Self {
            client,
            leadership,
            index,
            metrics,
            settled: Settled::default(),
        }
    }

    /// Sends one request, if this replica leads.
    pub(crate) async fn send<T>(
        &self,
        verb: &'static str,
        object: &impl ToString,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        if !self.leadership.leads() {
            return Err(WriteError::NotLeading);
        }
        match tokio::time::timeout(TIMEOUT, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(WriteError::Request {
                verb,
                object: object.to_string(),
                source,
            }),
            Err(_) => Err(WriteError::Timeout {
                verb,
                object: object.to_string(),
            }),
        }
    }

    /// Makes the object as `manifest` wants it; does nothing when it is.
    pub(crate) async fn apply(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        let hash = short_hash(manifest.body.to_string().as_bytes());
        match self.live(key) {
            Some(live) if live.is_as(manifest) || self.is_settled(key, &hash, &live) => {
                return Ok(());
            }
            Some(_) => {}
            None => self.refuse_foreign(manifest).await?,
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&manifest.body);
        let api = self.api(key);
        let request = api.patch(&key.key.name, &params, &patch);
        let object = self.counted(key, "apply", request).await?;
        let version = self.remember(key, object);
        let settled = (hash, version);
        self.lock_settled().insert(key.clone(), settled);
        Ok(())
    }

    /// Keeps what a field of `spec` is when it is left out of the next apply: in the name of another
    /// manager, from which anybody may take it.
    pub(crate) async fn leave(&self, key: &OwnedKey, field: &str) -> Result<(), WriteError> {
        let Some(live) = self.live(key) else {
            return Ok(());
        };
        let resource = key.kind.resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "uid": live.uid },
            "spec": { field: live.body["spec"][field] },
        });
        let params = PatchParams::apply(LEFT_TO_OTHERS).force();
        let patch = Patch::Apply(&body);
        let api = self.api(key);
        let request = api.patch(&key.key.name, &params, &patch);
        let object = self.counted(key, "apply", request).await?;
        self.remember(key, object);
        Ok(())
    }

    /// Creates an immutable object; replaces one of its name that is not as it should be.
    pub(crate) async fn create(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        if let Some(live) = self.live(key) {
            if live.is_as(manifest) {
                return Ok(());
            }
            self.delete(key, &live.uid).await?;
        }
        match self.post(manifest).await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
        // It is there, but the watch has not shown it: hidden by a lost label, or just made.
        let Some(found) = self.read(key).await? else {
            return self.post(manifest).await;
        };
        let live = Owned::of(key.kind, found.clone());
        if live.is_as(manifest) {
            self.remember(key, found);
            return Ok(());
        }
        if !is_ours(&live, manifest) {
            return Err(WriteError::Foreign(key.clone()));
        }
        self.delete(key, &live.uid).await?;
        self.post(manifest).await
    }

    /// Creates an object that is never changed afterwards; one of ours that is not `right` is replaced.
    pub(crate) async fn create_once(
        &self,
        manifest: &Manifest,
        right: impl Fn(&Owned) -> bool,
    ) -> Result<(), WriteError> {
        match self.post(manifest).await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
        let key = &manifest.key;
        let Some(found) = self.read(key).await? else {
            return self.post(manifest).await;
        };
        let live = Owned::of(key.kind, found.clone());
        if !is_ours(&live, manifest) {
            return Err(WriteError::Foreign(key.clone()));
        }
        if right(&live) {
            self.remember(key, found);
            return Ok(());
        }
        self.delete(key, &live.uid).await?;
        self.post(manifest).await
    }

    async fn post(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let object = dynamic(manifest);
        let api = self.api(key);
        let created = self
            .counted(key, "create", api.create(&params, &object))
            .await?;
        self.remember(key, created);
        Ok(())
    }

    /// Deletes the object with this uid; one that is gone already is as good.
    pub(crate) async fn delete(&self, key: &OwnedKey, uid: &str) -> Result<(), WriteError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(key);
        let request = async {
            match api.delete(&key.key.name, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.counted(key, "delete", request).await?;
        let mut index = self.index.lock();
        index.owned.entry(key.kind).or_default().remove(&key.key);
        self.lock_settled().remove(key);
        Ok(())
    }

    /// A user's object of the same name is not ours to overwrite.
    async fn refuse_foreign(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        let Some(found) = self.read(key).await? else {
            return Ok(());
        };
        if is_ours(&Owned::of(key.kind, found), manifest) {
            return Ok(());
        }
        Err(WriteError::Foreign(key.clone()))
    }

    async fn read(&self, key: &OwnedKey) -> Result<Option<DynamicObject>, WriteError> {
        let api = self.api(key);
        self.send("read", key, api.get_opt(&key.key.name)).await
    }

    async fn counted<T>(
        &self,
        key: &OwnedKey,
        verb: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        let outcome = self.send(verb, key, request).await;
        match &outcome {
            Ok(_) => self.metrics.applied(key.kind.as_str(), verb),
            Err(_) => self.metrics.apply_failed(key.kind.as_str()),
        }
        outcome
    }

    pub(crate) fn live(&self, key: &OwnedKey) -> Option<Arc<Owned>> {
        let index = self.index.lock();
        index.owned.get(&key.kind)?.get(&key.key).cloned()
    }

    /// Puts what the server returned into the index; returns its version.
    fn remember(&self, key: &OwnedKey, object: DynamicObject) -> String {
        let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
        let owned = Owned::of(key.kind, object);
        let version = owned.version.clone();
        let mut index = self.index.lock();
        let store = index.owned.entry(key.kind).or_default();
        store.created(&key.key, &resource_version, owned);
        version
    }

    fn is_settled(&self, key: &OwnedKey, hash: &str, live: &Owned) -> bool {
        let settled = self.lock_settled();
        let same =
            |(manifest, version): &(String, String)| manifest == hash && *version == live.version;
        settled.get(key).is_some_and(same)
    }

    fn lock_settled(&self) -> std::sync::MutexGuard<'_, HashMap<OwnedKey, (String, String)>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api(&self, key: &OwnedKey) -> Api<DynamicObject> {
        let client = self.client.clone();
        Api::namespaced_with(client, &key.key.namespace, &key.kind.resource())
    }
}

/// Does an object that the watch does not show belong to the same Gateway? It does when it has the
/// same owner (somebody took its labels away) or our labels (its owner is an earlier Gateway of the
/// same name).
fn is_ours(live: &Owned, manifest: &Manifest) -> bool {
    let owner = &manifest.body["metadata"]["ownerReferences"][0]["uid"];
    let labels = |body: &Value| {
        [LABEL_GATEWAY, LABEL_MANAGED_BY].map(|label| body["metadata"]["labels"][label].clone())
    };
    let same_labels = labels(&live.body) == labels(&manifest.body);
    let managed = live.body["metadata"]["labels"][LABEL_MANAGED_BY] == MANAGED_BY;
    owner.as_str().is_some_and(|uid| live.is_owned_by(uid)) || managed && same_labels
}

fn dynamic(manifest: &Manifest) -> DynamicObject {
    serde_json::from_value(manifest.body.clone())
        .expect("a manifest was made from a Kubernetes object")
}

#[cfg(test)]
mod tests;
