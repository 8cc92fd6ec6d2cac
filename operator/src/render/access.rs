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

/// ConfigMaps of the namespace, exactly the Gateway's own Secrets, and Leases.
///
/// RBAC cannot narrow these further: a watch of ConfigMaps by label needs all of the namespace, and
/// Leases are named after pods that do not exist yet.
pub(super) fn role(site: &Site<'_>, secrets: &[String]) -> Manifest {
    let mut rules = vec![
        rule("", "configmaps", &["get", "list", "watch"]),
        rule(
            "coordination.k8s.io",
            "leases",
            &["create", "delete", "get", "patch", "update"],
        ),
    ];
    // Without names the rule would allow all Secrets.
    if !secrets.is_empty() {
        let own = PolicyRule {
            resource_names: Some(secrets.to_vec()),
            ..rule("", "secrets", &["get"])
        };
        rules.push(own);
    }
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
