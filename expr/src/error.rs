//! What can be wrong with an expression: when it is compiled, and when it is evaluated.

use std::fmt;

/// Why an expression or template is refused before it ever runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError {
    /// Where, in characters from the start of the text given, counted from 0.
    pub position: usize,
    /// What is wrong.
    pub message: String,
    /// The nearest name that would have been right.
    pub suggestion: Option<String>,
}

impl CompileError {
    pub(crate) fn new(position: usize, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
            suggestion: None,
        }
    }

    pub(crate) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.position, self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, ", did you mean \"{name}\"?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for CompileError {}

/// Why an evaluation gave no result. Its text never shows a secret that the variables know of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The evaluation was cut off: too many steps, or too long a text.
    #[error("at {position}: {limit}")]
    Cost {
        /// Where it was cut off, in characters from the start of the text.
        position: usize,
        /// Which limit was reached.
        limit: &'static str,
    },
    /// A condition gave something else than true or false.
    #[error("the condition gave {got}, not true or false")]
    NotBool {
        /// The type it gave.
        got: &'static str,
    },
    /// An operation could not be done on the values it met.
    #[error("at {position}: {message}")]
    Failed {
        /// Where, in characters from the start of the text.
        position: usize,
        /// What went wrong.
        message: String,
    },
}

impl EvalError {
    pub(crate) fn failed(position: usize, message: impl Into<String>) -> Self {
        Self::Failed {
            position,
            message: message.into(),
        }
    }

    /// Cost ends the evaluation for good; every other error may be absorbed by `||`, `&&`, `exists`, `all`.
    pub(crate) fn is_cost(&self) -> bool {
        matches!(self, Self::Cost { .. })
    }
}

/// What went wrong inside a function or operator that does not know where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Cost(&'static str),
    Failed(String),
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub(crate) fn at(self, position: usize) -> EvalError {
        match self {
            Self::Cost(limit) => EvalError::Cost { position, limit },
            Self::Failed(message) => EvalError::Failed { position, message },
        }
    }
}
