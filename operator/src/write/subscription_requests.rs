//! Makes and deletes SubscriptionRequests. Client required.

use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tidegate_api::{LABEL_MANAGED_BY, MANAGED_BY, SubscriptionRequest, SubscriptionRequestSpec};
use tidegate_config::ObjectKey;

use super::{WriteError, Writer, post_params};
use crate::watch::strip;

impl Writer {
    /// Makes a SubscriptionRequest, unless there is one of its name: then the next pass judges that one.
    ///
    /// # Errors
    ///
    /// When the request failed.
    pub(crate) async fn create_request(
        &self,
        key: &ObjectKey,
        spec: &SubscriptionRequestSpec,
    ) -> Result<(), WriteError> {
        let mut object = SubscriptionRequest::new(&key.name, spec.clone());
        let label = (LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
        object.metadata.labels = Some([label].into());
        let (api, params) = (self.requests(key), post_params());
        let request = api.create(&params, &object);
        match self.send("create", &described(key), request).await {
            Ok(mut written) => {
                let version = written.metadata.resource_version.clone();
                strip(&mut written.metadata);
                let mut cache = self.cache.lock();
                let requests = &mut cache.requests;
                requests.store_created(key, &version.unwrap_or_default(), written);
                Ok(())
            }
            Err(error) if error.is_conflict() || error.is_terminating() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the SubscriptionRequest with this uid. One that is gone is no error.
    ///
    /// # Errors
    ///
    /// When the request failed.
    pub(crate) async fn delete_request(
        &self,
        key: &ObjectKey,
        uid: &str,
    ) -> Result<(), WriteError> {
        let api = self.requests(key);
        let params = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        });
        let request = async {
            match api.delete(&key.name, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.send("delete", &described(key), request).await
    }

    fn requests(&self, key: &ObjectKey) -> Api<SubscriptionRequest> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }
}

fn described(key: &ObjectKey) -> String {
    format!("SubscriptionRequest {key}")
}
