//! ServiceAccount, Role and RoleBinding of a Gateway's pods.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::Site;
use crate::owned::{Manifest, OwnedKind};

pub(super) fn service_account(site: &Site<'_>) -> Manifest {
    let account = ServiceAccount {
        metadata: site.metadata(),
        // Each pod asks for its token itself; nobody else gets one by using this account.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    site.manifest(OwnedKind::ServiceAccount, &account)
}

/// What a Gateway's pods may reach by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own<'a> {
    /// Secrets with secret data.
    pub(crate) secrets: &'a [String],
    /// Leases by which they acknowledge.
    pub(crate) leases: &'a [String],
}

/// ConfigMaps of the namespace, exactly the Gateway's own Secrets, and the Leases of its own pods.
///
/// RBAC cannot narrow the first further: a watch by label needs all of the namespace. The Leases are
/// those of the pods that exist: a namespace has other Leases too, of other Gateways' pods, and of
/// whatever elects a leader there. Server-side apply asks for `create` with the name, so that a name
/// can stand beside it.
pub(super) fn role(site: &Site<'_>, own: Own<'_>) -> Manifest {
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
    named(own.leases, rule("coordination.k8s.io", "leases", &verbs));
    named(own.secrets, rule("", "secrets", &["get"]));
    let role = Role {
        metadata: site.metadata(),
        rules: Some(rules),
    };
    site.manifest(OwnedKind::Role, &role)
}

fn rule(group: &str, resource: &str, verbs: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: verbs.iter().map(|&verb| verb.to_owned()).collect(),
        ..PolicyRule::default()
    }
}

pub(super) fn role_binding(site: &Site<'_>) -> Manifest {
    let binding = RoleBinding {
        metadata: site.metadata(),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: site.key.name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: site.key.name.clone(),
            namespace: Some(site.key.namespace.clone()),
            ..Subject::default()
        }]),
    };
    site.manifest(OwnedKind::RoleBinding, &binding)
}
