//! What a Deployment says of the operator that it runs. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use tidegate_config::ObjectKey;

/// Field manager of the operator: its leader election is known by it, whatever the Lease is called.
const OPERATOR_MANAGER: &str = "tidegate-operator";

/// Image of gateway pods when nobody names one, without the tag.
const GATEWAY_IMAGE: &str = "tidegate-gateway";

/// So many seconds without a renewal are no sign of a dead leader: clocks differ.
const LEADER_SILENT: i64 = 60;

/// An operator's Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OperatorFacts {
    pub(super) key: ObjectKey,
    pub(super) image: String,
    /// Image of the gateway pods that it runs, if it is named.
    pub(super) gateway_image: Option<String>,
    /// Namespaces that it serves; empty: all.
    pub(super) namespaces: Vec<String>,
    pub(super) elects: bool,
    pub(super) available: i32,
    pub(super) account: String,
}

impl OperatorFacts {
    pub(super) fn of(deployment: &Deployment) -> Self {
        let pod = deployment.spec.template.spec.as_ref();
        let container = pod.and_then(|pod| pod.containers.first());
        let args = container
            .and_then(|container| container.args.clone())
            .unwrap_or_default();
        let env = |name: &str| {
            let found = container?.env.as_ref()?.iter().find(|of| of.name == name);
            found?.value.clone()
        };
        let namespaces = flag(&args, "--watch-namespaces");
        let namespaces = namespaces
            .or_else(|| env("TIDEGATE_WATCH_NAMESPACES"))
            .unwrap_or_default();
        let namespaces = namespaces.split(',').filter(|name| !name.is_empty());
        let status = deployment.status.as_ref();
        Self {
            key: ObjectKey::new(
                deployment.namespace().unwrap_or_default(),
                deployment.name_any(),
            ),
            image: container
                .and_then(|container| container.image.clone())
                .unwrap_or_default(),
            gateway_image: flag(&args, "--gateway-image").or_else(|| env("TIDEGATE_GATEWAY_IMAGE")),
            namespaces: namespaces.map(str::to_owned).collect(),
            elects: flag(&args, "--leader-elect").as_deref() != Some("false"),
            available: status
                .and_then(|status| status.available_replicas)
                .unwrap_or_default(),
            account: pod
                .and_then(|pod| pod.service_account_name.clone())
                .unwrap_or_else(|| "default".to_owned()),
        }
    }

    /// Its user name for the API server.
    pub(super) fn user(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.key.namespace, self.account
        )
    }

    /// Do both serve a namespace?
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let all = |one: &Self| one.namespaces.is_empty();
        all(self)
            || all(other)
            || self
                .namespaces
                .iter()
                .any(|name| other.namespaces.contains(name))
    }
}

/// The value of `--flag=value` or `--flag value`.
fn flag(args: &[String], name: &str) -> Option<String> {
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == name {
            return args.next().cloned();
        }
        if let Some(value) = arg
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// A leader election of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Election {
    pub(super) lease: ObjectKey,
    /// Who leads at present.
    pub(super) leader: Option<String>,
}

/// The elections of operators among all Leases.
pub(super) fn elections(leases: &[impl AsRef<Lease>], now: Timestamp) -> Vec<Election> {
    let leases = leases.iter().map(AsRef::as_ref);
    let is_election = |lease: &&Lease| {
        let managers = lease.metadata.managed_fields.iter().flatten();
        let mut managers = managers.filter_map(|entry| entry.manager.as_deref());
        managers.any(|manager| manager == OPERATOR_MANAGER)
    };
    leases
        .filter(is_election)
        .map(|lease| election(lease, now))
        .collect()
}

fn election(lease: &Lease, now: Timestamp) -> Election {
    let spec = lease.spec.clone().unwrap_or_default();
    let renewed = spec
        .renew_time
        .map(|time| time.0.as_second())
        .unwrap_or_default();
    let is_live = now.as_second() - renewed <= LEADER_SILENT;
    let holder = spec
        .holder_identity
        .filter(|holder| !holder.is_empty() && is_live);
    Election {
        lease: ObjectKey::new(lease.namespace().unwrap_or_default(), lease.name_any()),
        leader: holder,
    }
}

/// Tag or digest of an image.
pub(super) fn tag(image: &str) -> Option<&str> {
    let name = image.rsplit('/').next()?;
    let (_, tag) = name.split_once('@').or_else(|| name.split_once(':'))?;
    Some(tag)
}

/// Is it an image of a gateway, by its name?
pub(super) fn is_gateway_image(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    name.starts_with(GATEWAY_IMAGE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_says_what_its_operator_does() {
        let deployment: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "tidegate", "namespace": "system"},
            "spec": {"selector": {}, "template": {"spec": {"serviceAccountName": "tide", "containers": [{
                "name": "operator", "image": "registry/tidegate-operator:0.2.0",
                "args": ["--gateway-image=registry/tidegate-gateway:0.2.0", "--leader-elect", "false",
                    "--watch-namespaces=a,b"]}]}}},
            "status": {"availableReplicas": 1},
        }))
        .unwrap();
        let found = OperatorFacts::of(&deployment);
        assert_eq!(
            found.gateway_image.as_deref(),
            Some("registry/tidegate-gateway:0.2.0")
        );
        assert_eq!(found.namespaces, ["a", "b"]);
        assert!(!found.elects);
        assert_eq!(found.user(), "system:serviceaccount:system:tide");
        assert_eq!(tag(&found.image), Some("0.2.0"));
    }

    #[test]
    fn an_image_has_a_tag_or_a_digest_behind_its_name() {
        for (image, expected) in [
            ("tidegate-gateway:1", Some("1")),
            ("localhost:5000/tidegate-gateway", None),
            ("localhost:5000/tidegate-gateway:1", Some("1")),
            ("tidegate-gateway@sha256:ab", Some("sha256:ab")),
        ] {
            assert_eq!(tag(image), expected, "{image}");
        }
    }
}
