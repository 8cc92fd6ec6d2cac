//! Which changes of conditions are worth an Event. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tidegate_api::{ConditionType, Reason};

/// An Event about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConditionEvent {
    /// The condition is false.
    pub(crate) warning: bool,
    /// The condition's reason.
    pub(crate) reason: String,
    /// The condition's type.
    pub(crate) action: String,
    /// The condition's message.
    pub(crate) note: String,
}

impl ConditionEvent {
    pub(super) fn of(condition: &Condition) -> Self {
        Self {
            warning: condition.status != "True",
            reason: condition.reason.clone(),
            action: condition.type_.clone(),
            note: condition.message.clone(),
        }
    }

    /// `Warning` or `Normal`.
    pub(super) const fn event_type(&self) -> &'static str {
        if self.warning { "Warning" } else { "Normal" }
    }
}

/// Events for conditions that became false, became false for another reason, or are true again. There is none
/// for a new object without problems, and none for what passes by itself: waiting for pods, and for keys that
/// are being generated.
pub(super) fn events(before: &[Condition], after: &[Condition]) -> Vec<ConditionEvent> {
    after
        .iter()
        .filter_map(|after| {
            let before = before.iter().find(|before| before.type_ == after.type_);
            event(before, after)
        })
        .collect()
}

fn event(before: Option<&Condition>, after: &Condition) -> Option<ConditionEvent> {
    let is_programmed = after.type_ == ConditionType::Programmed.as_str();
    let is_rejected = |condition: &Condition| condition.reason == Reason::Rejected.as_str();
    let is_passing = |condition: &Condition| condition.reason == Reason::KeysPending.as_str();
    let is_true = after.status == "True";
    let is_wanted = match before {
        _ if is_passing(after) => false,
        None => !is_true && (!is_programmed || is_rejected(after)),
        Some(before) if is_passing(before) => !is_true,
        Some(before) if is_programmed => {
            is_rejected(after) && !is_rejected(before) || is_true && is_rejected(before)
        }
        Some(before) => before.status != after.status || !is_true && before.reason != after.reason,
    };
    is_wanted.then(|| ConditionEvent::of(after))
}

#[cfg(test)]
mod tests;
