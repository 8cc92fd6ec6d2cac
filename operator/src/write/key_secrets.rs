//! Reads and writes the Secrets with generated subscription keys. Client required.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tidegate_config::ObjectKey;

use super::{WriteError, Writer, post_params};

impl Writer {
    /// The Secret as it is in the cluster; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When the request failed.
    pub(crate) async fn read_key_secret(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<Secret>, WriteError> {
        let api = self.secrets(key);
        self.send("read", &described(key), api.get_opt(&key.name))
            .await
    }

    /// Creates the Secret.
    ///
    /// # Errors
    ///
    /// A conflict when there is one; any other when the request failed.
    pub(crate) async fn create_key_secret(
        &self,
        key: &ObjectKey,
        secret: &Secret,
    ) -> Result<(), WriteError> {
        let (api, params) = (self.secrets(key), post_params());
        let request = api.create(&params, secret);
        let written = self.send("create", &described(key), request).await?;
        self.store_key_secret(key, written);
        Ok(())
    }

    /// Replaces the Secret by a changed one.
    ///
    /// # Errors
    ///
    /// A conflict when it is no longer in the version that was read; any other when the request failed.
    pub(crate) async fn replace_key_secret(
        &self,
        key: &ObjectKey,
        secret: &Secret,
    ) -> Result<(), WriteError> {
        let (api, params) = (self.secrets(key), post_params());
        let request = api.replace(&key.name, &params, secret);
        let written = self.send("write", &described(key), request).await?;
        self.store_key_secret(key, written);
        Ok(())
    }

    fn store_key_secret(&self, key: &ObjectKey, mut secret: Secret) {
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        secret.metadata.managed_fields = None;
        let mut cache = self.cache.lock();
        cache.key_secrets.store_created(key, &version, secret);
    }

    fn secrets(&self, key: &ObjectKey) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }
}

fn described(key: &ObjectKey) -> String {
    format!("Secret {key}")
}
