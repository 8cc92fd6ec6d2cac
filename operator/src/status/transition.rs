//! Which changes of conditions people are told of by an Event. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tidegate_api::{ConditionType, Reason};

/// A change worth an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// Something got worse.
    pub(crate) warning: bool,
    /// The condition's reason.
    pub(crate) reason: String,
    /// The condition's type.
    pub(crate) action: String,
    /// The condition's message.
    pub(crate) note: String,
}

/// Something got worse, or something that was bad is good again. A good start is no news; neither
/// is what passes by itself: waiting for pods, and for keys that are being generated.
pub(crate) fn transitions(before: &[Condition], after: &[Condition]) -> Vec<Transition> {
    after
        .iter()
        .filter_map(|after| {
            let before = before.iter().find(|before| before.type_ == after.type_);
            transition(before, after)
        })
        .collect()
}

fn transition(before: Option<&Condition>, after: &Condition) -> Option<Transition> {
    let is_programmed = after.type_ == ConditionType::Programmed.as_str();
    let refused = |condition: &Condition| condition.reason == Reason::Rejected.as_str();
    let passing = |condition: &Condition| condition.reason == Reason::KeysPending.as_str();
    let is_good = after.status == "True";
    let is_news = match before {
        _ if passing(after) => false,
        None => !is_good && (!is_programmed || refused(after)),
        Some(before) if passing(before) => !is_good,
        Some(before) if is_programmed => {
            refused(after) && !refused(before) || is_good && refused(before)
        }
        Some(before) => before.status != after.status || !is_good && before.reason != after.reason,
    };
    is_news.then(|| Transition {
        warning: !is_good,
        reason: after.reason.clone(),
        action: after.type_.clone(),
        note: after.message.clone(),
    })
}

#[cfg(test)]
mod tests;
