//! What a command changes in a Subscription, or why it does not. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Value, json};
use tidegate_api::{
    Approval, KeyStatus, Reason, Subscription, SubscriptionPhase, SubscriptionState,
};

use crate::print::word;

/// What is to be done with a Subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Approve,
    Reject,
    Suspend,
    Resume,
    Cancel,
    /// Renew one key or both.
    Rotate {
        primary: bool,
        secondary: bool,
    },
}

/// A field of the spec, and the value that it is to have.
pub(crate) type Edit = (&'static str, Value);

/// What follows for a Subscription.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decision {
    /// These fields change.
    Edit(Vec<Edit>),
    /// It is as it was asked to be.
    Already(String),
    /// It cannot be done, and what to do instead.
    Refused(String),
}

const STATE: &str = "spec.state";
const APPROVAL: &str = "spec.approval";

impl Action {
    /// What was done, for a line of output.
    pub(crate) const fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Cancel => "cancelled",
            Self::Rotate {
                primary: true,
                secondary: true,
            } => "both keys renewed",
            Self::Rotate { primary: true, .. } => "primary key renewed",
            Self::Rotate { .. } => "secondary key renewed",
        }
    }

    pub(crate) fn decide(self, subscription: &Subscription) -> Decision {
        match self {
            Self::Approve => approve(subscription),
            Self::Reject => reject(subscription),
            Self::Suspend | Self::Resume | Self::Cancel => self.set_state(subscription),
            Self::Rotate { primary, secondary } => rotate(subscription, primary, secondary),
        }
    }

    /// Is what was asked for in effect, as far as the status says?
    pub(crate) fn is_settled(self, subscription: &Subscription) -> bool {
        let generation = subscription.metadata.generation;
        let Some(status) = &subscription.status else {
            return false;
        };
        if status.observed_generation < generation {
            return false;
        }
        if let Self::Rotate { primary, secondary } = self {
            let spec = &subscription.spec.keys;
            let keys = status.keys.clone().unwrap_or_default();
            let is_new = |key: Option<&KeyStatus>, wanted: i64| {
                key.and_then(|key| key.generation) >= Some(wanted)
            };
            let primary = !primary || is_new(keys.primary.as_ref(), spec.primary_generation);
            let secondary =
                !secondary || is_new(keys.secondary.as_ref(), spec.secondary_generation);
            if !primary || !secondary {
                return false;
            }
        }
        let mut conditions = status.conditions.iter();
        let programmed = conditions.find(|condition| condition.type_ == "Programmed");
        programmed.is_some_and(|found| {
            found.observed_generation >= generation
                && (found.status == "True" || found.reason != Reason::Pending.as_str())
        })
    }

    fn set_state(self, subscription: &Subscription) -> Decision {
        let now = subscription.spec.state;
        let wanted = match self {
            Self::Suspend => SubscriptionState::Suspended,
            Self::Cancel => SubscriptionState::Cancelled,
            _ => SubscriptionState::Active,
        };
        if now == wanted {
            return Decision::Already(format!("is {} already", word(&now)));
        }
        if now == SubscriptionState::Cancelled {
            let text = "is Cancelled, which is meant to be final; to open it again all the same, set spec.state";
            return Decision::Refused(text.to_owned());
        }
        Decision::Edit(vec![(STATE, json!(wanted))])
    }
}

fn approve(subscription: &Subscription) -> Decision {
    let spec = &subscription.spec;
    if spec.state == SubscriptionState::Cancelled {
        return Decision::Refused("is Cancelled; there is nothing to approve".to_owned());
    }
    if let Some(namespace) = &spec.scope.namespace {
        return Decision::Refused(owner_decides(subscription, namespace));
    }
    if spec.approval != Some(Approval::Approved) {
        return Decision::Edit(vec![(APPROVAL, json!(Approval::Approved))]);
    }
    if !is_outdated(subscription) {
        return Decision::Already("is approved already".to_owned());
    }
    let generation = spec.approval_generation + 1;
    Decision::Edit(vec![("spec.approvalGeneration", json!(generation))])
}

/// Who approves what is in another namespace, and how.
fn owner_decides(subscription: &Subscription, namespace: &str) -> String {
    let status = subscription.status.as_ref();
    match status.and_then(|status| status.request.as_ref()) {
        Some(request) => format!(
            "is decided by the owner in namespace {namespace}: kubectl patch wsreq -n {namespace} {request} \
             --type merge -p '{{\"spec\":{{\"approval\":\"Approved\"}}}}'"
        ),
        None => format!(
            "is decided by the owner in namespace {namespace}, with a SubscriptionRequest, which is not there yet"
        ),
    }
}

fn reject(subscription: &Subscription) -> Decision {
    match subscription.spec.approval {
        Some(Approval::Rejected) => Decision::Already("is rejected already".to_owned()),
        Some(Approval::Approved) | None => {
            Decision::Edit(vec![(APPROVAL, json!(Approval::Rejected))])
        }
    }
}

/// Was the approval given for other terms than those of the spec?
fn is_outdated(subscription: &Subscription) -> bool {
    let status = subscription.status.as_ref();
    let conditions: &[Condition] = status.map_or(&[], |status| &status.conditions);
    let outdated = Reason::ApprovalOutdated.as_str();
    conditions.iter().any(|found| found.reason == outdated)
}

fn rotate(subscription: &Subscription, primary: bool, secondary: bool) -> Decision {
    let status = subscription.status.clone().unwrap_or_default();
    if let Some(state) = status.state
        && !matches!(
            state,
            SubscriptionPhase::Submitted | SubscriptionPhase::Active | SubscriptionPhase::Suspended
        )
    {
        let text = format!(
            "is {}: its keys open nothing, and are not renewed",
            word(&state)
        );
        return Decision::Refused(text);
    }
    let keys = status.keys.unwrap_or_default();
    let (spec, mut edits) = (&subscription.spec.keys, Vec::new());
    let slots = [
        (
            primary,
            &keys.primary,
            spec.primary_generation,
            "spec.keys.primaryGeneration",
        ),
        (
            secondary,
            &keys.secondary,
            spec.secondary_generation,
            "spec.keys.secondaryGeneration",
        ),
    ];
    for (_, key, generation, field) in slots.into_iter().filter(|slot| slot.0) {
        let noted = key.as_ref().map(|key| key.generation);
        let is_supplied = match noted {
            Some(generation) => generation.is_none(),
            None => spec.secret_name.is_some(),
        };
        if is_supplied {
            let text = format!(
                "has keys that you supply, in Secret {}: change them there",
                keys.secret_name
            );
            return Decision::Refused(text);
        }
        let next = generation.max(noted.flatten().unwrap_or_default()) + 1;
        edits.push((field, json!(next)));
    }
    Decision::Edit(edits)
}

#[cfg(test)]
mod tests;
