//! Documents that Tidegate does not read, and that were probably meant for it.

use tidegate_api::{API_VERSION, GROUP};
use tidegate_expr::nearest;

use crate::manifest::Document;

/// Kinds of Tidegate.
pub(crate) const KINDS: [&str; 6] = [
    "Gateway",
    "PolicyFragment",
    "Product",
    "Subscription",
    "SubscriptionRequest",
    "WebSocketApi",
];

/// Kinds of Kubernetes that Tidegate reads.
pub(crate) const CORE_KINDS: [&str; 3] = ["ConfigMap", "Namespace", "Secret"];

/// Kinds that nobody else has: others have a Gateway, a Product or a Subscription too.
const ALONE: [&str; 3] = ["PolicyFragment", "SubscriptionRequest", "WebSocketApi"];

/// The field that is nearly right, and what to write there.
pub(super) fn near_miss(document: &Document) -> Option<(&'static str, String)> {
    let (api_version, kind) = (document.api_version(), document.kind());
    let version = |kind: &str| {
        let text = format!(
            "\"{api_version}\" is not the group of Tidegate, so this {kind} is not checked and not served; \
             write {API_VERSION}"
        );
        Some(("apiVersion", text))
    };
    let (group, _) = api_version.split_once('/').unwrap_or_default();
    if is_nearly_ours(group) {
        return version(kind);
    }
    if let Some(ours) = nearest(kind, ALONE) {
        return version(&ours);
    }
    if !group.is_empty() {
        return None;
    }
    // Kubernetes' own kinds without a group.
    if let Some(ours) = nearest(kind, KINDS) {
        return version(&ours);
    }
    let meant = nearest(kind, CORE_KINDS)?;
    let text = format!("{api_version} has no kind \"{kind}\"; did you mean {meant}?");
    Some(("kind", text))
}

/// `tidegate.io`, `tidegate`, `tydegate.dev`: close enough to be an error.
fn is_nearly_ours(group: &str) -> bool {
    let name = GROUP.split('.').next().unwrap_or(GROUP);
    group.to_lowercase().contains(name) || nearest(group, [GROUP]).is_some()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::positions::Positions;

    #[test]
    fn what_was_meant_for_tidegate_is_recognized_and_nothing_else() {
        for (api_version, kind, wanted) in [
            ("tidegate.io/v1alpha1", "WebSocketAPI", Some("apiVersion")),
            ("Tidegate.dev/v1alpha1", "Gateway", Some("apiVersion")),
            ("tidgate.dev/v1alpha1", "Product", Some("apiVersion")),
            ("v1alpha1", "Subscription", Some("apiVersion")),
            ("v1", "gateway", Some("apiVersion")),
            ("example.com/v1", "WebsocketApi", Some("apiVersion")),
            ("v1", "Secrets", Some("kind")),
            ("v1", "configMap", Some("kind")),
            ("v1", "Service", None),
            ("v1", "Pod", None),
            ("apps/v1", "Deployment", None),
            ("gateway.networking.k8s.io/v1", "Gateway", None),
            ("messaging.example.com/v1", "Subscription", None),
        ] {
            let document = Document {
                file: PathBuf::from("a.yaml"),
                line: 1,
                value: json!({"apiVersion": api_version, "kind": kind}),
                positions: Positions::default(),
            };
            let found = near_miss(&document).map(|(field, _)| field);
            assert_eq!(found, wanted, "{api_version} {kind}");
        }
    }
}
