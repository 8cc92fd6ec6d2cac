//! A Subscription as a line of a list. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use tidegate_api::{ScopeRef, Subscription};

use crate::planned::key_of;
use crate::print::{Row, word};

/// What a list shows of a Subscription.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionRow {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// `Submitted`, `Active` …; empty: the operator has not seen it.
    pub(crate) state: String,
    /// For example `product gold`.
    pub(crate) scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// `Approved` or `Rejected`; absent: undecided, or none is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<String>,
    /// What is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl SubscriptionRow {
    pub(crate) fn of(subscription: &Subscription) -> Self {
        let key = key_of(subscription);
        let spec = &subscription.spec;
        let status = subscription.status.as_ref();
        Self {
            namespace: key.namespace,
            name: key.name,
            state: status
                .and_then(|status| status.state)
                .map(|state| word(&state))
                .unwrap_or_default(),
            scope: scope(&spec.scope),
            owner: spec.owner.clone(),
            approval: spec.approval.map(|approval| word(&approval)),
            expires_at: spec.expires_at.as_ref().map(|end| end.0.to_string()),
            reason: reason(subscription),
        }
    }
}

impl Row for SubscriptionRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAMESPACE",
        "NAME",
        "STATE",
        "SCOPE",
        "OWNER",
        "APPROVAL",
        "EXPIRES",
        "REASON",
    ];

    fn cells(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.namespace.clone(),
            self.name.clone(),
            self.state.clone(),
            self.scope.clone(),
            text(&self.owner),
            text(&self.approval),
            text(&self.expires_at),
            text(&self.reason),
        ]
    }

    fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    fn name(&self) -> String {
        format!("subscription.tidegate.dev/{}", self.name)
    }
}

/// What a Subscription's keys open, for example `product gold`, or `product shop/gold` of another namespace.
pub(crate) fn scope(scope: &ScopeRef) -> String {
    let named = [
        ("product", &scope.product),
        ("api", &scope.api),
        ("gateway", &scope.gateway),
    ];
    let namespace = scope.namespace.as_ref();
    let namespace = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
    let mut named = named.into_iter();
    named
        .find_map(|(kind, name)| Some(format!("{kind} {namespace}{}", name.as_ref()?)))
        .unwrap_or_default()
}

/// Why it is not as it should be: the first condition that is false.
fn reason(subscription: &Subscription) -> Option<String> {
    let generation = subscription.metadata.generation;
    let status = subscription.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    if observed < generation {
        return Some("the operator has not seen this version yet".to_owned());
    }
    let conditions: &[Condition] = status.map_or(&[], |status| &status.conditions);
    let is_false = |condition: &&Condition| condition.status == "False";
    let found = conditions.iter().find(is_false)?;
    Some(found.message.clone())
}
