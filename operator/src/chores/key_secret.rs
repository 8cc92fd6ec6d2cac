//! Writes Secrets with generated subscription keys. Client required.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use tidegate_api::Subscription;
use tidegate_plan::KeyRequest;

use super::ChoreError;
use crate::FIELD_MANAGER;
use crate::keys;
use crate::write::Writer;

/// Creates the Secret, or renews keys in it.
pub(super) async fn make(
    writer: &Writer,
    request: &KeyRequest,
    subscription: &Subscription,
) -> Result<(), ChoreError> {
    let api: Api<Secret> = Api::namespaced(writer.client.clone(), &request.secret.namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let name = &request.secret.name;
    let what = format!("Secret {}", request.secret);
    let written = if request.exists {
        let Some(mut secret) = writer.send("read", &what, api.get_opt(name)).await? else {
            // Gone meanwhile: the next pass asks for a new one.
            return Ok(());
        };
        if !keys::is_generated(&secret, subscription) {
            return Ok(());
        }
        keys::fill(&mut secret, request)?;
        // With the resource version that was read: a change in between makes this fail.
        let replace = api.replace(name, &params, &secret);
        writer.send("write", &what, replace).await
    } else {
        let secret = keys::new_secret(request, subscription)?;
        writer
            .send("create", &what, api.create(&params, &secret))
            .await
    };
    match written {
        Ok(mut secret) => {
            let version = secret.metadata.resource_version.clone().unwrap_or_default();
            secret.metadata.managed_fields = None;
            let mut index = writer.index.lock();
            index.key_secrets.created(&request.secret, &version, secret);
            Ok(())
        }
        // Somebody was quicker; the watch tells what is there now.
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) if error.is_terminating() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
