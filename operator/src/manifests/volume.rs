//! Volumes that the author of a Gateway adds to its pods.

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource,
    PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use tidegate_api::ExtraVolume;

/// The volume of the pod.
pub(super) fn volume(wanted: &ExtraVolume) -> Volume {
    let ExtraVolume {
        name,
        mount_path: _,
        read_only,
        secret,
        config_map,
        persistent_volume_claim,
        empty_dir,
        csi,
    } = wanted;
    Volume {
        name: name.clone(),
        secret: secret.as_ref().map(|secret| SecretVolumeSource {
            secret_name: Some(secret.secret_name.clone()),
            optional: Some(secret.optional),
            ..SecretVolumeSource::default()
        }),
        config_map: config_map.as_ref().map(|config_map| ConfigMapVolumeSource {
            name: config_map.name.clone(),
            optional: Some(config_map.optional),
            ..ConfigMapVolumeSource::default()
        }),
        persistent_volume_claim: persistent_volume_claim.as_ref().map(|claim| {
            PersistentVolumeClaimVolumeSource {
                claim_name: claim.claim_name.clone(),
                read_only: Some(*read_only),
            }
        }),
        empty_dir: empty_dir.as_ref().map(|empty| EmptyDirVolumeSource {
            size_limit: empty.size_limit.clone().map(Quantity),
            ..EmptyDirVolumeSource::default()
        }),
        csi: csi.as_ref().map(|csi| CSIVolumeSource {
            driver: csi.driver.clone(),
            read_only: Some(*read_only),
            volume_attributes: Some(csi.volume_attributes.clone()),
            ..CSIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Where the container finds it.
pub(super) fn mount(wanted: &ExtraVolume) -> VolumeMount {
    VolumeMount {
        name: wanted.name.clone(),
        mount_path: wanted.mount_path.clone(),
        read_only: Some(wanted.read_only),
        ..VolumeMount::default()
    }
}
