//! The variables of one handshake: what an expression may read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use cel::Value;
use cel::objects::{Key, Map};

use crate::budget::{BYTES_PER_STEP, weight};
use crate::error::EvalError;
use crate::mask::mask;
use crate::value::from_time;
use crate::vocabulary::Variable;

/// Longest text of an error: it goes into a log line, and may quote what a client sent.
const MAX_ERROR_CHARS: usize = 300;

/// All `vars` together, where a number counts like a short text. Eight answers of requests fit, as large as they
/// may be.
pub(crate) const MAX_VARS_BYTES: usize = 8 * 1024 * 1024;

const MAX_VARS_WEIGHT: u64 = (MAX_VARS_BYTES / BYTES_PER_STEP) as u64;

/// The variables take more than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variables of the handshake are too large")]
pub struct TooBig;

/// The variables of one handshake. A variable that was never set is null.
#[derive(Clone, Default)]
pub struct Variables {
    fixed: [Option<Value>; Variable::COUNT],
    vars: Arc<HashMap<Key, Value>>,
    /// What each of `vars` weighs that was kept by [`Variables::keep_var`].
    weights: HashMap<String, u64>,
    secrets: Vec<String>,
}

impl Variables {
    /// No variable set: all null, and no `vars`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one of the fixed variables (`request`, `client`, `api`, …). A name that no expression can use is
    /// ignored, and `vars` must be a map.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match (Variable::named(name), value) {
            (Some(Variable::Vars), Value::Map(map)) => self.vars = map.map,
            (Some(Variable::Vars) | None, _) => {}
            (Some(variable), value) => self.fixed[variable.slot()] = Some(value),
        }
    }

    /// Sets `now`.
    pub fn set_now(&mut self, now: SystemTime) {
        self.fixed[Variable::Now.slot()] = Some(from_time(now));
    }

    /// Sets `vars.NAME`.
    pub fn set_var(&mut self, name: &str, value: Value) {
        Arc::make_mut(&mut self.vars).insert(Key::from(name), value);
    }

    /// Sets `vars.NAME` to a value that a policy made.
    ///
    /// # Errors
    ///
    /// When all `vars` together would take more than they may; the variable is not set then.
    pub fn keep_var(&mut self, name: &str, value: Value) -> Result<(), TooBig> {
        let others = self.weights.iter().filter(|(known, _)| *known != name);
        let others: u64 = others.map(|(_, weight)| weight).sum();
        let left = MAX_VARS_WEIGHT.saturating_sub(others);
        let weight = weight(&value, left);
        if weight > left {
            return Err(TooBig);
        }
        self.weights.insert(name.to_owned(), weight);
        self.set_var(name, value);
        Ok(())
    }

    /// `vars.NAME`, if it was set.
    pub fn var(&self, name: &str) -> Option<&Value> {
        self.vars.get(&Key::from(name))
    }

    /// The value of a variable; null when it was never set or does not exist.
    pub fn get(&self, name: &str) -> Value {
        Variable::named(name).map_or(Value::Null, |variable| self.value_of(variable))
    }

    pub(crate) fn value_of(&self, variable: Variable) -> Value {
        match variable {
            Variable::Vars => Value::Map(Map {
                map: Arc::clone(&self.vars),
            }),
            _ => self.fixed[variable.slot()].clone().unwrap_or(Value::Null),
        }
    }

    /// A text that no error may show.
    pub fn add_secret(&mut self, secret: &str) {
        if self.secrets.iter().any(|known| known == secret) {
            return;
        }
        // Foreign messages quote values in Rust's escaped form.
        let quoted = format!("{secret:?}");
        let escaped = &quoted[1..quoted.len() - 1];
        if escaped != secret {
            self.secrets.push(escaped.to_owned());
        }
        self.secrets.push(secret.to_owned());
    }

    /// The secret texts added so far, for [`mask`].
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The error as it may be shown: masked first, shortened then, so that no half secret is left over.
    pub(crate) fn presentable(&self, error: EvalError) -> EvalError {
        match error {
            EvalError::Failed { position, message } => EvalError::Failed {
                position,
                message: shorten(mask(&message, &self.secrets)),
            },
            EvalError::Cost { .. } | EvalError::NotBool { .. } => error,
        }
    }
}

impl std::fmt::Debug for Variables {
    /// Values may be secret: only names are shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set = |v: &&Variable| self.fixed[v.slot()].is_some();
        let names: Vec<&str> = Variable::ALL.iter().filter(set).map(|v| v.name()).collect();
        let mut vars: Vec<String> = self.vars.keys().map(ToString::to_string).collect();
        vars.sort_unstable();
        f.debug_struct("Variables")
            .field("set", &names)
            .field("vars", &vars)
            .finish_non_exhaustive()
    }
}

fn shorten(text: String) -> String {
    match text.char_indices().nth(MAX_ERROR_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
