//! The pod of a Gateway. It passes the `restricted` Pod Security Standard.
//!
//! The template has only the configuration that a pod cannot change while it runs, so that a change of
//! configuration does not replace pods. Listener ports are left out for that reason.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    HTTPGetAction, KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference,
    ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ProjectedVolumeSource, SeccompProfile, SecretVolumeSource, SecurityContext,
    ServiceAccountTokenProjection, SleepAction, Sysctl, TopologySpreadConstraint, Volume,
    VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ObjectMeta;
use tidegate_api::Deployment;
use tidegate_config::ListenerConfig;
use tidegate_config::policy::token_file_name;

use super::admin_token::{TOKEN, secret_name};
use super::{Target, volume};
use crate::objects::names;

/// Name of the container.
const CONTAINER: &str = "gateway";

/// Name of the admin port.
const ADMIN: &str = "admin";

/// Port of the admin server, unless a listener has this port.
const ADMIN_PORT: u16 = 9090;

/// Directory of the last good configuration.
const STATE_DIR: &str = "/var/lib/tidegate";

/// Directory of the service account's tokens.
const TOKEN_DIR: &str = "/var/run/tidegate/tokens";

/// Directory of the admin server's token.
const ADMIN_DIR: &str = "/var/run/tidegate/admin";

/// Names of the volumes.
const STATE: &str = "state";
const ADMIN_TOKEN: &str = "admin-token";
const TOKENS: &str = "tokens";

/// Lifetime of a service account token: the kubelet writes a new one when a fifth of it is left.
const TOKEN_SECONDS: i64 = 3600;

/// Mode of the token file: owned by root, and readable by the pod's group.
const GROUP_READS: i32 = 0o440;

/// A user and group id that no distribution assigns; distroless images call it nonroot.
const NONROOT: i64 = 65532;

/// Label with the admin port for network policies, when it is not [`ADMIN_PORT`].
const LABEL_ADMIN_PORT: &str = "tidegate.dev/admin-port";

/// Time between the end of the drain and SIGKILL, in seconds: for the last log lines and the release of the
/// Lease.
const GRACE_MARGIN: i64 = 10;

/// Time between the removal of a pod from its Service and SIGTERM, in seconds. A draining gateway refuses new
/// handshakes, and kube-proxy takes about a second to learn that a pod terminates: without this pause some
/// handshakes are answered with 503 during a rolling restart.
const PRE_STOP_SLEEP: i64 = 5;

pub(super) fn template(target: &Target<'_>, listeners: &[ListenerConfig]) -> PodTemplateSpec {
    let wanted = &target.gateway.spec.deployment;
    let mut labels = wanted.pod_labels.clone();
    // Last, because the selector has to match.
    labels.extend(names::labels(&target.key.name));
    let admin_port = admin_port(listeners);
    // Only where it differs: a new label on every pod would replace all pods once.
    if admin_port != ADMIN_PORT {
        labels.insert(LABEL_ADMIN_PORT.to_owned(), admin_port.to_string());
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(wanted.pod_annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(target, admin_port)),
    }
}

/// The lowest port from [`ADMIN_PORT`] up that no listener has.
fn admin_port(listeners: &[ListenerConfig]) -> u16 {
    let taken = |port: &u16| listeners.iter().any(|listener| listener.port == *port);
    (ADMIN_PORT..)
        .find(|port| !taken(port))
        .unwrap_or(ADMIN_PORT)
}

fn spec(target: &Target<'_>, admin_port: u16) -> PodSpec {
    let wanted = &target.gateway.spec.deployment;
    let pull_secret = |secret: &tidegate_api::ImagePullSecret| LocalObjectReference {
        name: secret.name.clone(),
    };
    let hard_stop = target
        .gateway
        .spec
        .drain
        .hard_stop
        .get()
        .as_secs_f64()
        .ceil();
    PodSpec {
        service_account_name: Some(target.key.name.clone()),
        automount_service_account_token: Some(true),
        enable_service_links: Some(false),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole seconds, far below 2^53"
        )]
        termination_grace_period_seconds: Some(PRE_STOP_SLEEP + hard_stop as i64 + GRACE_MARGIN),
        security_context: Some(pod_security()),
        containers: vec![container(target, admin_port)],
        volumes: Some(volumes(target)),
        node_selector: Some(wanted.node_selector.clone()),
        tolerations: Some(wanted.tolerations.clone()),
        affinity: wanted.affinity.clone(),
        topology_spread_constraints: Some(spread(target)),
        priority_class_name: wanted.priority_class_name.clone(),
        readiness_gates: Some(wanted.readiness_gates.clone()),
        image_pull_secrets: Some(wanted.image_pull_secrets.iter().map(pull_secret).collect()),
        ..PodSpec::default()
    }
}

fn volumes(target: &Target<'_>) -> Vec<Volume> {
    let wanted = &target.gateway.spec.deployment;
    let state = Volume {
        name: STATE.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    };
    let mut volumes = vec![state, admin_volume(&target.key.name)];
    if !wanted.token_audiences.is_empty() {
        let sources = wanted
            .token_audiences
            .iter()
            .map(|audience| token(audience));
        volumes.push(Volume {
            name: TOKENS.to_owned(),
            projected: Some(ProjectedVolumeSource {
                sources: Some(sources.collect()),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    volumes.extend(wanted.extra_volumes.iter().map(volume::volume));
    volumes
}

/// The kubelet reads the Secret and updates the file; the pod itself has no permission on it. Optional, because no
/// handshake needs it: a pod starts even while the token is being replaced.
fn admin_volume(gateway: &str) -> Volume {
    Volume {
        name: ADMIN_TOKEN.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret_name(gateway)),
            items: Some(vec![KeyToPath {
                key: TOKEN.to_owned(),
                path: TOKEN.to_owned(),
                ..KeyToPath::default()
            }]),
            default_mode: Some(GROUP_READS),
            optional: Some(true),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The kubelet requests the token, binds it to the pod and renews it in time: neither the operator nor the
/// gateway needs a permission for that.
fn token(audience: &str) -> VolumeProjection {
    VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            audience: Some(audience.to_owned()),
            expiration_seconds: Some(TOKEN_SECONDS),
            path: token_file_name(audience),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    }
}

fn mounts(wanted: &Deployment) -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..VolumeMount::default()
    };
    let admin_token = VolumeMount {
        read_only: Some(true),
        ..mount(ADMIN_TOKEN, ADMIN_DIR)
    };
    let mut mounts = vec![mount(STATE, STATE_DIR), admin_token];
    if !wanted.token_audiences.is_empty() {
        mounts.push(VolumeMount {
            read_only: Some(true),
            ..mount(TOKENS, TOKEN_DIR)
        });
    }
    mounts.extend(wanted.extra_volumes.iter().map(volume::mount));
    mounts
}

fn container(target: &Target<'_>, admin_port: u16) -> Container {
    let wanted = &target.gateway.spec.deployment;
    let mut env = vec![
        from_field("POD_NAME", "metadata.name"),
        from_field("POD_UID", "metadata.uid"),
    ];
    env.extend(wanted.extra_env.iter().cloned());
    Container {
        name: CONTAINER.to_owned(),
        image: Some(target.image.to_owned()),
        args: Some(arguments(target, admin_port)),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some(ADMIN.to_owned()),
            container_port: i32::from(admin_port),
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        resources: wanted.resources.clone(),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: PRE_STOP_SLEEP,
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(wanted)),
        ..Container::default()
    }
}

fn arguments(target: &Target<'_>, admin_port: u16) -> Vec<String> {
    let mut arguments = vec![
        format!("--gateway={}", target.key.name),
        format!("--namespace={}", target.key.namespace),
        "--pod-name=$(POD_NAME)".to_owned(),
        "--pod-uid=$(POD_UID)".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
        format!("--admin-address=0.0.0.0:{admin_port}"),
        format!("--admin-token-file={ADMIN_DIR}/{}", TOKEN),
        format!("--state-dir={STATE_DIR}"),
    ];
    if !target.gateway.spec.deployment.token_audiences.is_empty() {
        arguments.push(format!("--token-dir={TOKEN_DIR}"));
    }
    arguments
}

fn from_field(name: &str, field: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: field.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NONROOT),
        run_as_group: Some(NONROOT),
        fs_group: Some(NONROOT),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        // Lets listeners use ports below 1024 without a capability. Always set, so that such a listener does
        // not replace the pods when it is added. Kubernetes lists this sysctl as safe.
        sysctls: Some(vec![Sysctl {
            name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
            value: "0".to_owned(),
        }]),
        ..PodSecurityContext::default()
    }
}

/// Over nodes and zones where possible, by default.
fn spread(target: &Target<'_>) -> Vec<TopologySpreadConstraint> {
    let wanted = &target.gateway.spec.deployment.topology_spread_constraints;
    if !wanted.is_empty() {
        return wanted.clone();
    }
    let over = |topology: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::selector(&target.key.name)),
            ..LabelSelector::default()
        }),
        ..TopologySpreadConstraint::default()
    };
    vec![
        over("kubernetes.io/hostname"),
        over("topology.kubernetes.io/zone"),
    ]
}
