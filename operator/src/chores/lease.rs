//! Deletes Leases of gateway processes that are long gone. Client required.
//!
//! A pod's Lease goes with the pod. A process that somebody runs elsewhere has no pod, and when it
//! was killed it could not clean up.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use tidegate_config::ObjectKey;

use super::ChoreError;
use crate::write::Writer;

pub(super) async fn delete(writer: &Writer, key: &ObjectKey) -> Result<(), ChoreError> {
    let api: Api<Lease> = Api::namespaced(writer.client.clone(), &key.namespace);
    let params = DeleteParams::default();
    let request = async {
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    };
    let what = format!("Lease {key}");
    writer.send("delete", &what, request).await?;
    Ok(())
}
