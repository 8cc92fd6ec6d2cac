//! Volumes of a Gateway's pods: those of Kubernetes' kinds that reach nothing of the node.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A volume and where it is mounted: exactly one of secret, configMap, persistentVolumeClaim, emptyDir and csi.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("[has(self.secret), has(self.configMap), has(self.persistentVolumeClaim), has(self.emptyDir), has(self.csi)].filter(x, x).size() == 1")
        .message("exactly one of secret, configMap, persistentVolumeClaim, emptyDir, csi must be set"),
    validation = Rule::new("!(self.name in ['state', 'tokens', 'admin-token'])")
        .message("state, tokens and admin-token are the names of volumes that every pod has"),
    validation = Rule::new("!self.mountPath.startsWith('/var/lib/tidegate') && !self.mountPath.startsWith('/var/run/tidegate')")
        .message("the gateway's own files are in /var/lib/tidegate and /var/run/tidegate: mount it elsewhere"),
)]
pub struct ExtraVolume {
    /// Unique name of the volume.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Absolute path in the container.
    #[schemars(length(min = 2, max = 1024), regex(pattern = "^/[^:]+$"))]
    pub mount_path: String,
    /// Whether the container cannot write to it. Default: true.
    #[serde(default = "yes")]
    pub read_only: bool,
    /// A Secret of the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
    /// A ConfigMap of the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolume>,
    /// A PersistentVolumeClaim of the Gateway's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimVolume>,
    /// An empty directory that ends with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolume>,
    /// A volume of a CSI driver, for example of a secrets store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CsiVolume>,
}

/// A Secret as a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretVolume {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Whether pods start without the Secret. Default: false.
    #[serde(default)]
    pub optional: bool,
}

/// A ConfigMap as a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapVolume {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether pods start without the ConfigMap. Default: false.
    #[serde(default)]
    pub optional: bool,
}

/// A PersistentVolumeClaim as a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimVolume {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// An empty directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmptyDirVolume {
    /// Largest size, for example 64Mi. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = "^[0-9]+(\\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$")
    )]
    pub size_limit: Option<String>,
}

/// A volume of a CSI driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsiVolume {
    /// Name of the driver, for example `secrets-store.csi.k8s.io`.
    #[schemars(length(min = 1, max = 253))]
    pub driver: String,
    /// What the driver needs to know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub volume_attributes: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}
