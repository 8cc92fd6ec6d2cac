//! What the steps of one handshake did, recorded if a trace was requested.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `inbound`, `outbound` or `onError`.
    pub section: String,
    /// `gateway`, `product` or `api`.
    pub scope: String,
    /// The PolicyFragment that it came with; absent: with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<String>,
    /// Its id; without one, scope, section and position.
    pub step: String,
    /// Its policy.
    pub policy: String,
    /// What became of it.
    pub result: StepResult,
    /// What it changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Why it refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StepResult {
    /// It ran to its end.
    Ran,
    /// Its condition did not hold.
    Skipped,
    /// It ended the handshake.
    Refused,
    /// It could not do its work, and that ended the handshake.
    Failed,
}

/// One thing that a step changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// What was changed.
    pub target: Target,
    /// How.
    pub action: Action,
    /// Of the header, parameter or variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What a step can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// A header of the backend's handshake.
    Header,
    /// A query parameter of the backend's URL.
    Query,
    /// The path of the backend's URL.
    Path,
    /// Scheme, host and port of the backend.
    Backend,
    /// The Host header that the backend gets.
    Host,
    /// A header of the client's answer.
    AnswerHeader,
    /// Status and message of the refusal.
    Status,
    /// `vars.NAME`, or `jwt`.
    Variable,
    /// When the tunnel must close, in seconds since 1970.
    Expiry,
    /// A limit that counted this handshake or reserved a permit for its tunnel.
    Limit,
    /// What the step tells: the text of trace, the message of onOpen.
    Note,
}

/// How something was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// It has this value now.
    Set,
    /// This value comes besides others.
    Append,
    /// It has this value if it had none.
    SetIfAbsent,
    /// It is gone.
    Remove,
    /// Counted by a limit of handshakes.
    Count,
    /// Will be counted when the answer is known.
    CountLater,
    /// A tunnel permit is reserved.
    Reserve,
}

/// A name with its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// One of the reasons of `docs/errors.md`.
    pub reason: String,
    /// Who is the cause: `client`, `gateway`, `policy`, `backend`.
    pub source: String,
    /// The step that refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What the client is told.
    pub message: String,
    /// What it is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// More headers of the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Field>,
}

/// The refusal as the outcome of a trace, or of a step.
pub(crate) fn outcome_of(refusal: &Refusal) -> Answer {
    Answer {
        status: refusal.status,
        reason: refusal.reason.as_str().to_owned(),
        source: refusal.origin.as_str().to_owned(),
        step: refusal.step.clone(),
        message: refusal.message.clone(),
        detail: refusal.detail.clone(),
        headers: refusal.headers.iter().map(|(n, v)| field(n, v)).collect(),
    }
}

/// Headers as they stand in a trace.
pub(crate) fn fields(headers: &HeaderMap) -> Vec<Field> {
    headers.iter().map(|(n, v)| field(n, v)).collect()
}

pub(crate) fn field(name: &HeaderName, value: &HeaderValue) -> Field {
    Field {
        name: name.as_str().to_owned(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    }
}
