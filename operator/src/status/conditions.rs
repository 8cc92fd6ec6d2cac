//! Makes conditions from judgements. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_api::ConditionType;
use tidegate_plan::{Judgement, Verdict};

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
        verdict: &Verdict,
        programmed: &Judgement,
    ) -> Vec<Condition> {
        let mut conditions = self.verdict_conditions(verdict);
        let type_ = ConditionType::Programmed;
        conditions.push(self.condition(type_, programmed, verdict.generation));
        conditions
    }

    /// The same, and `DependenciesReachable`.
    pub(super) fn with_dependencies(
        self,
        verdict: &Verdict,
        programmed: &Judgement,
        reachable: &Judgement,
    ) -> Vec<Condition> {
        let mut conditions = self.with_programmed(verdict, programmed);
        let type_ = ConditionType::DependenciesReachable;
        conditions.push(self.condition(type_, reachable, verdict.generation));
        conditions
    }

    /// The conditions `Accepted` and `ResolvedRefs`, which do not depend on pods.
    pub(super) fn verdict_conditions(self, verdict: &Verdict) -> Vec<Condition> {
        verdict
            .conditions()
            .into_iter()
            .map(|(type_, judgement)| self.condition(type_, judgement, verdict.generation))
            .collect()
    }

    pub(super) fn condition(
        self,
        type_: ConditionType,
        judgement: &Judgement,
        generation: i64,
    ) -> Condition {
        let status = if judgement.status { "True" } else { "False" };
        let before = self.live.iter().find(|c| c.type_ == type_.as_str());
        let since = before
            .filter(|before| before.status == status)
            .map_or(self.now, |before| &before.last_transition_time);
        Condition {
            type_: type_.as_str().to_owned(),
            status: status.to_owned(),
            reason: judgement.reason.as_str().to_owned(),
            message: truncated(&judgement.message),
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
