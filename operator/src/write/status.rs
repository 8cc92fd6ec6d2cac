//! Writes the statuses of custom resources. Client required.

use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate_api::{
    API_VERSION, Gateway, PolicyFragment, Product, Subscription, SubscriptionRequest, WebSocketApi,
};

use super::{WriteError, Writer};
use crate::FIELD_MANAGER;
use crate::objects::{CustomKind, ObjectRef};
use crate::watch::{CustomObject, strip};

impl Writer {
    /// Writes a status. False when the object is gone, or another one has its name by now.
    ///
    /// # Errors
    ///
    /// When the request failed.
    pub(crate) async fn patch_status(
        &self,
        object: &ObjectRef,
        uid: &str,
        status: Value,
    ) -> Result<bool, WriteError> {
        let outcome = self.send_status(object, uid, status).await;
        self.metrics
            .status_written(object.kind.as_str(), outcome.is_ok());
        let Some(written) = outcome? else {
            return Ok(false);
        };
        self.store_custom(object, written);
        Ok(true)
    }

    async fn send_status(
        &self,
        object: &ObjectRef,
        uid: &str,
        status: Value,
    ) -> Result<Option<DynamicObject>, WriteError> {
        let key = &object.key;
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": object.kind.as_str(),
            // The uid makes the request fail when another object has the name by now.
            "metadata": { "name": key.name, "namespace": key.namespace, "uid": uid },
            "status": status,
        });
        let resource = resource(object.kind);
        let api =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &key.namespace, &resource);
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let body = Patch::Apply(&body);
        let request = async {
            match api.patch_status(&key.name, &params, &body).await {
                Ok(written) => Ok(Some(written)),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.send("write the status of", object, request).await
    }

    fn store_custom(&self, object: &ObjectRef, written: DynamicObject) {
        match object.kind {
            CustomKind::Gateway => self.store_typed::<Gateway>(object, written),
            CustomKind::WebSocketApi => self.store_typed::<WebSocketApi>(object, written),
            CustomKind::Product => self.store_typed::<Product>(object, written),
            CustomKind::PolicyFragment => self.store_typed::<PolicyFragment>(object, written),
            CustomKind::Subscription => self.store_typed::<Subscription>(object, written),
            CustomKind::SubscriptionRequest => {
                self.store_typed::<SubscriptionRequest>(object, written);
            }
        }
    }

    fn store_typed<K: CustomObject>(&self, object: &ObjectRef, written: DynamicObject) {
        let version = written.metadata.resource_version.clone();
        // What cannot be read is left to the watch.
        let Ok(mut typed) = written.try_parse::<K>() else {
            return;
        };
        strip(typed.meta_mut());
        let mut cache = self.cache.lock();
        let store = K::store(&mut cache);
        store.store_updated(&object.key, &version.unwrap_or_default(), typed);
    }
}

fn resource(kind: CustomKind) -> ApiResource {
    match kind {
        CustomKind::Gateway => ApiResource::erase::<Gateway>(&()),
        CustomKind::WebSocketApi => ApiResource::erase::<WebSocketApi>(&()),
        CustomKind::Product => ApiResource::erase::<Product>(&()),
        CustomKind::PolicyFragment => ApiResource::erase::<PolicyFragment>(&()),
        CustomKind::Subscription => ApiResource::erase::<Subscription>(&()),
        CustomKind::SubscriptionRequest => ApiResource::erase::<SubscriptionRequest>(&()),
    }
}
