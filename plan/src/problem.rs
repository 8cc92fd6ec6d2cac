//! What is wrong with an object, and what that means for its conditions.

use tidegate_api::Reason;
use tidegate_config::ObjectKey;
use tidegate_config::policy::Section;

use crate::{ConditionState, Conditions, Flaw, Missing, Serving};

/// Messages of so many problems go into a condition; the rest is counted.
const SHOWN: usize = 3;

/// Which condition is false because of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affects {
    Accepted,
    ResolvedRefs,
}

/// Something that must be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) affects: Affects,
    pub(crate) reason: Reason,
    /// What is wrong where, and what to change.
    pub(crate) message: String,
    /// Does it concern who may pass? Then nobody may, until it is repaired.
    pub(crate) access: bool,
    /// The object that does not exist.
    pub(crate) missing: Option<Missing>,
}

impl Problem {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::of(Affects::Accepted, Reason::Invalid, message)
    }

    pub(crate) fn accepted(reason: Reason, message: impl Into<String>) -> Self {
        Self::of(Affects::Accepted, reason, message)
    }

    pub(crate) fn unresolved(reason: Reason, message: impl Into<String>) -> Self {
        Self::of(Affects::ResolvedRefs, reason, message)
    }

    /// An object that is named does not exist.
    pub(crate) fn missing(reason: Reason, kind: &'static str, key: ObjectKey) -> Self {
        let text = format!("{kind} {key} does not exist");
        Self {
            missing: Some(Missing { kind, key }),
            ..Self::unresolved(reason, text)
        }
    }

    fn of(affects: Affects, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            affects,
            reason,
            message: message.into(),
            access: false,
            missing: None,
        }
    }

    fn flaw(&self) -> Flaw {
        Flaw {
            message: self.message.clone(),
            missing: self.missing.clone(),
        }
    }

    /// The same, named by the field where it was found.
    pub(crate) fn at(mut self, field: &str) -> Self {
        self.message = format!("{field}: {}", self.message);
        self
    }

    /// The same; it concerns who may pass, if `access`.
    pub(crate) fn concerning_access(mut self, access: bool) -> Self {
        self.access |= access;
        self
    }
}

/// Each problem once, where several Gateways tell the same.
pub(crate) fn without_repeats(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut found = Vec::new();
    for problem in problems {
        if !found.contains(&problem) {
            found.push(problem);
        }
    }
    found
}

/// Place of a step in its object.
pub(crate) fn step_path(section: Section, position: usize) -> String {
    format!("spec.onHandshake.{}[{position}]", section.field())
}

/// Both conditions, from all problems of an object.
pub(crate) fn conditions(generation: i64, problems: &[Problem]) -> Conditions {
    Conditions {
        generation,
        accepted: state(problems, Affects::Accepted, Reason::Accepted),
        resolved: state(problems, Affects::ResolvedRefs, Reason::ResolvedRefs),
        flaws: problems.iter().map(Problem::flaw).collect(),
    }
}

fn state(problems: &[Problem], affects: Affects, good: Reason) -> ConditionState {
    let mut concerned = problems.iter().filter(|p| p.affects == affects);
    match concerned.next() {
        None => ConditionState::good(good, ""),
        Some(first) => {
            let all: Vec<_> = problems.iter().filter(|p| p.affects == affects).collect();
            ConditionState::bad(first.reason, summary(&all))
        }
    }
}

/// The first few messages.
pub(crate) fn summary(problems: &[&Problem]) -> String {
    let shown: Vec<_> = problems
        .iter()
        .take(SHOWN)
        .map(|p| p.message.as_str())
        .collect();
    match problems.len().saturating_sub(SHOWN) {
        0 => shown.join("; "),
        more => format!("{}; and {more} more", shown.join("; ")),
    }
}

/// Says in both false conditions and in every flaw what is served meanwhile.
pub(crate) fn consequence(conditions: &mut Conditions, worst: Option<Serving>) {
    let consequence = match worst {
        Some(Serving::LastGood) => "; the last working version is served until this is fixed",
        Some(Serving::Blocked) => "; every handshake is refused until this is fixed",
        Some(Serving::Current) | None => return,
    };
    for state in [&mut conditions.accepted, &mut conditions.resolved] {
        if !state.status {
            state.message.push_str(consequence);
        }
    }
    for flaw in &mut conditions.flaws {
        flaw.message.push_str(consequence);
    }
}
