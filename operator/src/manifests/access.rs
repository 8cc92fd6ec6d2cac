//! ServiceAccount, Role and RoleBinding of a Gateway's pods.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::Target;
use crate::objects::{Manifest, OwnedKind};

pub(super) fn service_account(target: &Target<'_>) -> Manifest {
    let account = ServiceAccount {
        metadata: target.metadata(),
        // Each pod asks for its token itself; other pods with this account get none.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    target.manifest(OwnedKind::ServiceAccount, &account)
}

/// The Secrets and Leases that a Gateway's pods have permissions on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PodAccess<'a> {
    /// Secrets with secret data.
    pub(crate) secrets: &'a [String],
    /// Leases with their acknowledgements.
    pub(crate) leases: &'a [String],
}

/// Rights to read the ConfigMaps of the namespace and exactly the Gateway's own Secrets, and to write the
/// Leases of its own pods.
///
/// RBAC cannot narrow the first further: a watch by label needs permission on all ConfigMaps of the namespace.
/// The Leases are named one by one, because a namespace has other Leases too: those of other Gateways' pods,
/// and those of leader elections. `create` can be limited to names as well: server-side apply asks for it with
/// the name.
pub(super) fn role(target: &Target<'_>, access: PodAccess<'_>) -> Manifest {
    let mut rules = vec![rule("", "configmaps", &["get", "list", "watch"])];
    // A rule without names would allow all of them.
    let mut named = |names: &[String], rule: PolicyRule| {
        if !names.is_empty() {
            rules.push(PolicyRule {
                resource_names: Some(names.to_vec()),
                ..rule
            });
        }
    };
    let verbs = ["create", "delete", "get", "patch", "update"];
    named(access.leases, rule("coordination.k8s.io", "leases", &verbs));
    named(access.secrets, rule("", "secrets", &["get"]));
    let role = Role {
        metadata: target.metadata(),
        rules: Some(rules),
    };
    target.manifest(OwnedKind::Role, &role)
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        ..PolicyRule::default()
    }
}

pub(super) fn role_binding(target: &Target<'_>) -> Manifest {
    let binding = RoleBinding {
        metadata: target.metadata(),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: target.key.name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: target.key.name.clone(),
            namespace: Some(target.key.namespace.clone()),
            ..Subject::default()
        }]),
    };
    target.manifest(OwnedKind::RoleBinding, &binding)
}
