//! Makes conditions from states. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_api::ConditionType;
use tidegate_plan::{ConditionState, Conditions};

/// Characters of a message at most. The API server accepts 32 KiB; nobody reads more than this in a terminal.
const MAX_MESSAGE_LENGTH: usize = 2048;

/// Makes conditions that keep the transition times of those they replace.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConditionBuilder<'a> {
    /// The time of transitions that happen now.
    pub(super) now: &'a Time,
    /// The conditions that the object has.
    pub(super) live: &'a [Condition],
}

impl ConditionBuilder<'_> {
    /// The conditions `Accepted`, `ResolvedRefs` and `Programmed`.
    pub(super) fn with_programmed(
        self,
        planned: &Conditions,
        programmed: &ConditionState,
    ) -> Vec<Condition> {
        let mut conditions = self.planned_conditions(planned);
        let type_ = ConditionType::Programmed;
        conditions.push(self.condition(type_, programmed, planned.generation));
        conditions
    }

    /// The same, and `DependenciesReachable`.
    pub(super) fn with_dependencies(
        self,
        planned: &Conditions,
        programmed: &ConditionState,
        reachable: &ConditionState,
    ) -> Vec<Condition> {
        let mut conditions = self.with_programmed(planned, programmed);
        let type_ = ConditionType::DependenciesReachable;
        conditions.push(self.condition(type_, reachable, planned.generation));
        conditions
    }

    /// The conditions `Accepted` and `ResolvedRefs`, which do not depend on pods.
    pub(super) fn planned_conditions(self, planned: &Conditions) -> Vec<Condition> {
        planned
            .each()
            .into_iter()
            .map(|(type_, state)| self.condition(type_, state, planned.generation))
            .collect()
    }

    pub(super) fn condition(
        self,
        type_: ConditionType,
        state: &ConditionState,
        generation: i64,
    ) -> Condition {
        let status = if state.status { "True" } else { "False" };
        let before = self.live.iter().find(|c| c.type_ == type_.as_str());
        let since = before
            .filter(|before| before.status == status)
            .map_or(self.now, |before| &before.last_transition_time);
        Condition {
            type_: type_.as_str().to_owned(),
            status: status.to_owned(),
            reason: state.reason.as_str().to_owned(),
            message: truncated(&state.message),
            observed_generation: Some(generation),
            last_transition_time: since.clone(),
        }
    }
}

fn truncated(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE_LENGTH) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

#[cfg(test)]
mod tests;
