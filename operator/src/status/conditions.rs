//! Conditions from judgements. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tidegate_api::ConditionType;
use tidegate_plan::{Judgement, Verdict};

/// The API server takes 32 KiB; nobody reads more than this in a terminal.
const MESSAGE_MAX: usize = 2048;

/// Makes conditions that keep the transition times of those they replace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    /// The time of transitions that happen now.
    pub(crate) now: &'a Time,
    /// The conditions that the object has.
    pub(crate) live: &'a [Condition],
}

impl Stamp<'_> {
    /// The three conditions of an object.
    pub(crate) fn all(self, verdict: &Verdict, programmed: &Judgement) -> Vec<Condition> {
        let judged = verdict.conditions();
        let programmed = (ConditionType::Programmed, programmed);
        judged
            .into_iter()
            .chain([programmed])
            .map(|(type_, judgement)| self.one(type_, judgement, verdict.generation))
            .collect()
    }

    /// The same and what its dependencies do.
    pub(crate) fn all_and(
        self,
        verdict: &Verdict,
        programmed: &Judgement,
        reachable: &Judgement,
    ) -> Vec<Condition> {
        let mut conditions = self.all(verdict, programmed);
        let type_ = ConditionType::DependenciesReachable;
        conditions.push(self.one(type_, reachable, verdict.generation));
        conditions
    }

    /// The two conditions that need no pods.
    pub(crate) fn judged(self, verdict: &Verdict) -> Vec<Condition> {
        verdict
            .conditions()
            .into_iter()
            .map(|(type_, judgement)| self.one(type_, judgement, verdict.generation))
            .collect()
    }

    pub(crate) fn one(
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
            message: cut(&judgement.message),
            observed_generation: Some(generation),
            last_transition_time: since.clone(),
        }
    }
}

fn cut(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

#[cfg(test)]
mod tests;
