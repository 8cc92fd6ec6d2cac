//! Deletes the Leases of gateway processes that are long gone. Client required.
//!
//! The Lease of a pod is deleted with the pod. A process that runs elsewhere has no pod, and when it was
//! killed it could not delete its Lease.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use tidegate_config::ObjectKey;

use super::{WriteError, Writer};

impl Writer {
    /// Deletes a Lease.
    ///
    /// # Errors
    ///
    /// When the request failed. A Lease that is gone is no error.
    pub(crate) async fn delete_lease(&self, key: &ObjectKey) -> Result<(), WriteError> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), &key.namespace);
        let params = DeleteParams::default();
        let request = async {
            match api.delete(&key.name, &params).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.send("delete", &format!("Lease {key}"), request).await
    }
}
