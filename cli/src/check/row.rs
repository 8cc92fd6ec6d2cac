//! A check as a line of the list, and the closed set of problems. Pure.

use serde::Serialize;

use crate::print::Row;

/// What can be wrong with an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Problem {
    /// The API server cannot be reached.
    ApiServerAway,
    /// A kind is not installed.
    MissingKind,
    /// A kind is older than this program.
    OldKind,
    /// The operator lacks a right.
    MissingRight,
    /// No operator is installed, or none of its pods is available.
    NoOperator,
    /// No operator holds the Lease of the leader election.
    NoLeader,
    /// Two operators serve the same namespaces.
    TwoOperators,
    /// A pod cannot get its image, or has another one than it should.
    WrongImage,
    /// A pod does not serve the latest configuration.
    LaggingPods,
    /// The server of `counters.redis` cannot be reached.
    UnreachableRedis,
    /// Keys of tokens or backends cannot be reached.
    UnreachableDependency,
    /// A Secret is missing, may not be read, or has unusable content.
    UnreadableSecret,
    /// An object is not valid.
    InvalidObject,
}

impl Problem {
    /// As it is printed.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ApiServerAway => "api-server-away",
            Self::MissingKind => "missing-kind",
            Self::OldKind => "old-kind",
            Self::MissingRight => "missing-right",
            Self::NoOperator => "no-operator",
            Self::NoLeader => "no-leader",
            Self::TwoOperators => "two-operators",
            Self::WrongImage => "wrong-image",
            Self::LaggingPods => "lagging-pods",
            Self::UnreachableRedis => "unreachable-redis",
            Self::UnreachableDependency => "unreachable-dependency",
            Self::UnreadableSecret => "unreadable-secret",
            Self::InvalidObject => "invalid-object",
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// It is as it should be.
    Ok,
    /// It works, and should be looked at.
    Warning,
    /// It is wrong.
    Failed,
    /// It could not be checked.
    Skipped,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// A check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct CheckRow {
    pub(super) check: &'static str,
    pub(super) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<Problem>,
    /// What was found, and what to change.
    pub(super) message: String,
}

impl CheckRow {
    pub(super) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Outcome::Ok, None, message)
    }

    pub(super) fn skipped(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Outcome::Skipped, None, message)
    }

    pub(super) fn warning(check: &'static str, message: impl Into<String>) -> Self {
        Self::new(check, Outcome::Warning, None, message)
    }

    pub(super) fn failed(
        check: &'static str,
        problem: Problem,
        message: impl Into<String>,
    ) -> Self {
        Self::new(check, Outcome::Failed, Some(problem), message)
    }

    fn new(
        check: &'static str,
        outcome: Outcome,
        problem: Option<Problem>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            check,
            outcome,
            problem,
            message: message.into(),
        }
    }
}

impl Row for CheckRow {
    const COLUMNS: &'static [&'static str] = &["CHECK", "RESULT", "PROBLEM", "WHAT"];

    const GONE: &'static str = "is gone";

    fn cells(&self) -> Vec<String> {
        let problem = self.problem.map(Problem::as_str).unwrap_or_default();
        vec![
            self.check.to_owned(),
            self.outcome.as_str().to_owned(),
            problem.to_owned(),
            self.message.clone(),
        ]
    }

    fn id(&self) -> String {
        format!("{} {}", self.check, self.message)
    }

    fn name(&self) -> String {
        self.problem
            .map(Problem::as_str)
            .unwrap_or_default()
            .to_owned()
    }
}
