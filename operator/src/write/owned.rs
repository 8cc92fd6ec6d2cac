//! Writes the objects that the operator makes for Gateways. Client required.

use std::collections::HashMap;
use std::future::Future;

use kube::Api;
use kube::api::{
    DeleteParams, DynamicObject, Patch, PatchParams, Preconditions, PropagationPolicy,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tidegate_api::{LABEL_MANAGED_BY, MANAGED_BY};
use tidegate_config::LABEL_GATEWAY;

use super::{WriteError, Writer, post_params};
use crate::FIELD_MANAGER;
use crate::objects::{Manifest, Owned, OwnedKey, short_hash};

/// Field manager that takes over fields which the operator no longer sets, until others set them.
const RELEASED_FIELD_MANAGER: &str = "tidegate-operator-left";

/// What the API server made of each manifest: hash of the manifest, version of the object. While both are the
/// same, applying it again would change nothing, even if the object looks different from the manifest (the
/// server may write a quantity in another form).
#[derive(Debug, Default)]
pub(super) struct AppliedManifests(Mutex<HashMap<OwnedKey, (String, String)>>);

impl Writer {
    /// Makes the object as `manifest` wants it; sends nothing when it is so already.
    ///
    /// # Errors
    ///
    /// [`WriteError::Foreign`] when an object of this name is not managed by Tidegate; any other when the
    /// request failed.
    pub(crate) async fn apply(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        let hash = short_hash(manifest.body.to_string().as_bytes());
        match self.cache.owned(key) {
            Some(live) if live.matches(manifest) || self.is_applied(key, &hash, &live) => {
                return Ok(());
            }
            Some(_) => {}
            None => self.refuse_foreign(manifest).await?,
        }
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&manifest.body);
        let api = self.api(key);
        let request = api.patch(&key.key.name, &params, &patch);
        let object = self.send_counted(key, "apply", request).await?;
        let version = self.store_in_cache(key, object);
        let mut applied = self.applied.0.lock();
        applied.insert(key.clone(), (hash, version));
        Ok(())
    }

    /// Keeps the value of a field of `spec` that the next apply leaves out: another field manager owns it
    /// then, and anybody may take it over from that one.
    ///
    /// # Errors
    ///
    /// When the request failed. An object that does not exist is no error.
    pub(crate) async fn release_field(
        &self,
        key: &OwnedKey,
        field: &str,
    ) -> Result<(), WriteError> {
        let Some(live) = self.cache.owned(key) else {
            return Ok(());
        };
        let resource = key.kind.resource();
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": { "uid": live.uid },
            "spec": { field: live.body["spec"][field] },
        });
        let params = PatchParams::apply(RELEASED_FIELD_MANAGER).force();
        let patch = Patch::Apply(&body);
        let api = self.api(key);
        let request = api.patch(&key.key.name, &params, &patch);
        let object = self.send_counted(key, "apply", request).await?;
        self.store_in_cache(key, object);
        Ok(())
    }

    /// Creates an immutable object; replaces one of the same name that differs from the manifest.
    ///
    /// # Errors
    ///
    /// [`WriteError::Foreign`] when an object of this name is not managed by Tidegate; any other when a request
    /// failed.
    pub(crate) async fn create(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        if let Some(live) = self.cache.owned(key) {
            if live.matches(manifest) {
                return Ok(());
            }
            self.delete(key, &live.uid).await?;
        }
        self.create_unless(manifest, |live| live.matches(manifest))
            .await
    }

    /// Creates an object unless there is one of Tidegate's that is `acceptable`; replaces one of Tidegate's that
    /// is not.
    ///
    /// # Errors
    ///
    /// [`WriteError::Foreign`] when an object of this name is not managed by Tidegate; any other when a request
    /// failed.
    pub(crate) async fn create_unless(
        &self,
        manifest: &Manifest,
        acceptable: impl Fn(&Owned) -> bool,
    ) -> Result<(), WriteError> {
        match self.post(manifest).await {
            Err(error) if error.is_conflict() => {}
            outcome => return outcome,
        }
        // It exists, but the watch has not delivered it: it lost a label, or was just created.
        let key = &manifest.key;
        let Some(found) = self.read(key).await? else {
            return self.post(manifest).await;
        };
        let live = Owned::of(key.kind, found.clone());
        if acceptable(&live) {
            self.store_in_cache(key, found);
            return Ok(());
        }
        if !is_ours(&live, manifest) {
            return Err(WriteError::Foreign(key.clone()));
        }
        self.delete(key, &live.uid).await?;
        self.post(manifest).await
    }

    async fn post(&self, manifest: &Manifest) -> Result<(), WriteError> {
        let key = &manifest.key;
        let params = post_params();
        let object = dynamic(manifest);
        let api = self.api(key);
        let request = api.create(&params, &object);
        let created = self.send_counted(key, "create", request).await?;
        self.store_in_cache(key, created);
        Ok(())
    }

    /// Deletes the object with this uid.
    ///
    /// # Errors
    ///
    /// When the request failed, or another object has the name by now. An object that is gone is no error.
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
        self.send_counted(key, "delete", request).await?;
        let mut cache = self.cache.lock();
        cache.owned.entry(key.kind).or_default().remove(&key.key);
        self.applied.0.lock().remove(key);
        Ok(())
    }

    /// An object of the same name that a user made is never overwritten.
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

    async fn send_counted<T>(
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

    /// Puts what the server returned into the cache; returns its version.
    fn store_in_cache(&self, key: &OwnedKey, object: DynamicObject) -> String {
        let resource_version = object.metadata.resource_version.clone().unwrap_or_default();
        let owned = Owned::of(key.kind, object);
        let version = owned.version.clone();
        let mut cache = self.cache.lock();
        let store = cache.owned.entry(key.kind).or_default();
        store.store_created(&key.key, &resource_version, owned);
        version
    }

    fn is_applied(&self, key: &OwnedKey, hash: &str, live: &Owned) -> bool {
        let applied = self.applied.0.lock();
        let is_same =
            |(manifest, version): &(String, String)| manifest == hash && *version == live.version;
        applied.get(key).is_some_and(is_same)
    }

    fn api(&self, key: &OwnedKey) -> Api<DynamicObject> {
        let client = self.client.clone();
        Api::namespaced_with(client, &key.key.namespace, &key.kind.resource())
    }
}

/// Does an object that the watch does not deliver belong to the same Gateway? It does when it has the same
/// owner (somebody removed its labels), or Tidegate's labels (its owner is an earlier Gateway of the same name).
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
