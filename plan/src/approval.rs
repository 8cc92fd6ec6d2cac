//! What an approval covers: the terms it was given for, and nothing wider.
//!
//! The kind's schema and the chart's admission policy refuse a change that widens the terms while the
//! approval stays. The planner does not rely on them: a cluster may have neither the policy nor the
//! newest schema. It compares with the terms noted in the status when the approval was first seen.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tidegate_api::{Approval, ApprovedTerms, Reason, ScopeRef, Subscription, SubscriptionSpec};

use crate::problem::Problem;

/// Where an approval stands.
#[derive(Debug, PartialEq)]
pub(crate) enum ApprovalState {
    /// Nobody approved.
    None,
    /// It covers what the spec says: these terms are to be noted.
    Covers(ApprovedTerms),
    /// It was given for these terms, and the spec asks for others.
    Outdated(ApprovedTerms),
}

impl ApprovalState {
    pub(crate) fn of(subscription: &Subscription) -> Self {
        let spec = &subscription.spec;
        if spec.approval != Some(Approval::Approved) {
            return Self::None;
        }
        let status = subscription.status.as_ref();
        match status.and_then(|status| status.approved.as_ref()) {
            Some(noted) if noted.generation >= spec.approval_generation && !covers(noted, spec) => {
                Self::Outdated(noted.clone())
            }
            // Terms that got narrower stay narrow: what is given up has to be approved again.
            Some(_) | None => Self::Covers(terms(spec)),
        }
    }

    pub(crate) fn is_covered(&self) -> bool {
        matches!(self, Self::Covers(_))
    }

    /// What an outdated approval has to say.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let Self::Outdated(noted) = self else {
            return None;
        };
        let text = format!(
            "was given for {}: raise spec.approvalGeneration to approve the present terms",
            describe(noted)
        );
        Some(Problem::accepted(Reason::ApprovalOutdated, text).at("spec.approval"))
    }

    /// What the status is to note.
    pub(crate) fn into_terms(self) -> Option<ApprovedTerms> {
        match self {
            Self::None => None,
            Self::Covers(terms) | Self::Outdated(terms) => Some(terms),
        }
    }
}

fn terms(spec: &SubscriptionSpec) -> ApprovedTerms {
    ApprovedTerms {
        generation: spec.approval_generation,
        scope: spec.scope.clone(),
        owner: spec.owner.clone(),
        expires_at: spec.expires_at.clone(),
        allow_tracing: spec.allow_tracing,
    }
}

/// Does the spec ask for no more than was approved?
fn covers(noted: &ApprovedTerms, spec: &SubscriptionSpec) -> bool {
    noted.scope == spec.scope
        && noted.owner == spec.owner
        && ends_in_time(noted.expires_at.as_ref(), spec.expires_at.as_ref())
        && (noted.allow_tracing || !spec.allow_tracing)
}

pub(crate) fn ends_in_time(approved: Option<&Time>, asked: Option<&Time>) -> bool {
    match (approved, asked) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(approved), Some(asked)) => asked.0 <= approved.0,
    }
}

fn describe(noted: &ApprovedTerms) -> String {
    let ScopeRef {
        namespace: _,
        product,
        api,
        gateway,
    } = &noted.scope;
    let named = [("product", product), ("api", api), ("gateway", gateway)];
    let scope = named
        .into_iter()
        .find_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
    let owner = noted.owner.as_ref().map(|owner| format!("owner {owner}"));
    let end = noted
        .expires_at
        .as_ref()
        .map(|end| format!("until {}", end.0));
    let tracing = (!noted.allow_tracing).then(|| "without tracing".to_owned());
    let said = [scope, owner, end, tracing].into_iter().flatten();
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn subscription(spec: Value, approved: Value) -> Subscription {
        let mut whole = json!({"scope": {"product": "trial"}, "approval": "Approved",
            "owner": "ann", "expiresAt": "2030-01-01T00:00:00Z"});
        for (name, value) in spec.as_object().unwrap() {
            match value {
                Value::Null => whole.as_object_mut().unwrap().remove(name),
                value => whole
                    .as_object_mut()
                    .unwrap()
                    .insert(name.clone(), value.clone()),
            };
        }
        serde_json::from_value(json!({
            "apiVersion": tidegate_api::API_VERSION, "kind": "Subscription",
            "metadata": {"namespace": "shop", "name": "mine"},
            "spec": whole, "status": {"approved": approved},
        }))
        .unwrap()
    }

    fn noted() -> Value {
        json!({"generation": 1, "scope": {"product": "trial"}, "owner": "ann",
            "expiresAt": "2030-01-01T00:00:00Z"})
    }

    #[test]
    fn an_approval_covers_what_it_was_given_for_and_nothing_wider() {
        for (name, spec, covered) in [
            ("the same", json!({}), true),
            (
                "an earlier end",
                json!({"expiresAt": "2029-01-01T00:00:00Z"}),
                true,
            ),
            (
                "other keys",
                json!({"keys": {"secretName": "others"}}),
                true,
            ),
            ("another state", json!({"state": "Suspended"}), true),
            (
                "another product",
                json!({"scope": {"product": "payments"}}),
                false,
            ),
            (
                "an API of that name",
                json!({"scope": {"api": "trial"}}),
                false,
            ),
            (
                "a whole gateway",
                json!({"scope": {"gateway": "edge"}}),
                false,
            ),
            ("another owner", json!({"owner": "bob"}), false),
            ("no owner", json!({"owner": null}), false),
            (
                "a later end",
                json!({"expiresAt": "2030-01-01T00:00:01Z"}),
                false,
            ),
            ("no end", json!({"expiresAt": null}), false),
            ("tracing", json!({"allowTracing": true}), false),
        ] {
            let found = ApprovalState::of(&subscription(spec.clone(), noted()));
            assert_eq!(found.is_covered(), covered, "{name}");
            assert_eq!(found.problem().is_none(), covered, "{name}");
            let mut raised = spec;
            raised["approvalGeneration"] = json!(2);
            let found = ApprovalState::of(&subscription(raised, noted()));
            assert!(found.is_covered(), "{name}, approved anew");
        }
    }

    #[test]
    fn what_is_noted_follows_the_approval() {
        let first = ApprovalState::of(&subscription(json!({}), Value::Null))
            .into_terms()
            .unwrap();
        assert_eq!(first, serde_json::from_value(noted()).unwrap());
        let narrower = json!({"expiresAt": "2029-01-01T00:00:00Z"});
        let noted_now = ApprovalState::of(&subscription(narrower, noted()))
            .into_terms()
            .unwrap();
        let back = subscription(json!({}), serde_json::to_value(noted_now).unwrap());
        assert!(
            !ApprovalState::of(&back).is_covered(),
            "what was given up is gone"
        );
        let wider = subscription(json!({"owner": "bob"}), noted());
        let kept = ApprovalState::of(&wider).into_terms().unwrap();
        assert_eq!(kept.owner.as_deref(), Some("ann"));
        for undecided in [json!({"approval": null}), json!({"approval": "Rejected"})] {
            let found = ApprovalState::of(&subscription(undecided, noted()));
            assert_eq!(found.into_terms(), None);
        }
    }

    #[test]
    fn the_message_says_what_was_approved() {
        let found = ApprovalState::of(&subscription(json!({"scope": {"api": "x"}}), noted()));
        assert_eq!(
            found.problem().unwrap().message,
            "spec.approval: was given for product trial, owner ann, until 2030-01-01T00:00:00Z, \
             without tracing: raise spec.approvalGeneration to approve the present terms"
        );
    }
}
