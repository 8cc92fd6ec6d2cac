//! Named values: `values.NAME` in expressions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ConfigMapKeyRef, SecretDataId, SecretKeyRef};

/// A value with a name: exactly one of value, secretKeyRef, configMapKeyRef.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.value) ? 1 : 0) + (has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0) == 1",
    "message": "exactly one of value, secretKeyRef, configMapKeyRef must be set",
}]))]
pub struct NamedValue {
    /// Name of the value, which expressions read as `values.NAME`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub name: String,
    /// The value itself, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Takes the value from a Secret; it is masked wherever Tidegate prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Takes the value from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
}

/// A named value as the gateway gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ResolvedValue {
    /// Plain text.
    Plain(String),
    /// Secret text, which the configuration's secret data holds.
    Secret(SecretDataId),
}
