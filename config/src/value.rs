//! Named values: `values.NAME` in expressions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigMapKeyRef, SecretDataId, SecretKeyRef};

/// A named value as resources declare it: exactly one of value, secretKeyRef, configMapKeyRef.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.value) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) == 1",
    "message": "exactly one of value, secretKeyRef, configMapKeyRef must be set",
}]))]
pub struct NamedValue {
    /// Read as `values.NAME`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Take it from a Secret; it is masked wherever Tidegate prints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Take it from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
}

/// A named value as the gateway gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ResolvedValue {
    /// Plain text.
    Plain(String),
    /// Secret text, found in the secret data.
    Secret(SecretDataId),
}
