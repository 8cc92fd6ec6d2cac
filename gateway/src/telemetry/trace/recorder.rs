//! Records what each step did.

use std::time::{Duration, Instant};

use super::observe::Observed;
use crate::exchange::Exchange;
use crate::exchange::steps::{Step, StepResult, outcome_of};
use crate::refusal::{Reason, Refusal};

/// More than any policy document has; a bound for what fragments may multiply.
const MAX_STEPS: usize = 1024;

/// A step that has begun.
pub(crate) struct StepStart {
    before: Observed,
    at: Instant,
}

/// Where a step stands, and its policy.
#[derive(Clone, Copy)]
pub(crate) struct StepInfo<'a> {
    pub(crate) section: &'static str,
    pub(crate) scope: &'static str,
    pub(crate) fragment: Option<&'a str>,
    pub(crate) label: &'a str,
    pub(crate) policy: &'static str,
}

impl Exchange {
    /// Call it before a step; `None` without a trace.
    pub(crate) fn step_begins(&mut self) -> Option<Box<StepStart>> {
        self.evaluation.trace.as_ref()?;
        // Whatever the step writes into what is seen here, these values must not be seen.
        self.add_scope_secrets();
        Some(Box::new(StepStart {
            before: Observed::of(self),
            at: Instant::now(),
        }))
    }

    /// Call it after the step, with whether it ran.
    pub(crate) fn step_ended(
        &mut self,
        begun: Option<Box<StepStart>>,
        step_info: StepInfo<'_>,
        result: &Result<bool, Refusal>,
    ) {
        let Some(begun) = begun else { return };
        let elapsed = begun.at.elapsed();
        let changes = begun.before.changes(&Observed::of(self));
        if let Some(steps) = &mut self.evaluation.trace
            && steps.len() < MAX_STEPS
        {
            steps.push(Step {
                section: step_info.section.to_owned(),
                scope: step_info.scope.to_owned(),
                fragment: step_info.fragment.map(str::to_owned),
                step: step_info.label.to_owned(),
                policy: step_info.policy.to_owned(),
                result: result_of(result),
                changes,
                answer: result.as_ref().err().map(outcome_of),
                micros: micros(elapsed),
            });
        }
    }
}

fn result_of(result: &Result<bool, Refusal>) -> StepResult {
    match result {
        Ok(true) => StepResult::Ran,
        Ok(false) => StepResult::Skipped,
        // An answer of its own is what the step is for.
        Err(refusal) if refusal.reason == Reason::ReturnResponse => StepResult::Refused,
        Err(refusal) if refusal.reason.is_failure() => StepResult::Failed,
        Err(_) => StepResult::Refused,
    }
}

fn micros(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
}
