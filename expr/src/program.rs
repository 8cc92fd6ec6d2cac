//! A compiled expression.

use std::sync::Arc;

use cel::Value;

use crate::budget::{Budget, MAX_STEPS};
use crate::check::{Resolved, resolve};
use crate::error::{CompileError, EvalError};
use crate::evaluate::{Machine, Node};
use crate::syntax::{MAX_SOURCE_BYTES, parse};
use crate::types::Type;
use crate::value::type_name;
use crate::variables::Variables;
use crate::vocabulary::Stage;

/// A compiled expression: checked, and cheap to clone and to evaluate.
#[derive(Clone, Debug)]
pub struct Program {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: Node,
    values: Vec<(usize, String)>,
}

impl Program {
    /// Compiles a condition: an expression that may give true or false.
    ///
    /// # Errors
    ///
    /// When the text is no expression, names what does not exist in `stage`, or can never give true
    /// or false.
    pub fn condition(source: &str, stage: Stage) -> Result<Self, CompileError> {
        let chars = characters(source)?;
        let resolved = resolve(parse(&chars, 0, chars.len())?, stage)?;
        match resolved.gives {
            Type::Bool | Type::Any => Ok(Self::new(resolved)),
            other => {
                let message = format!("a condition must be true or false, not {other}");
                Err(CompileError::new(resolved.node.at, message))
            }
        }
    }

    /// Compiles an expression of any value.
    ///
    /// # Errors
    ///
    /// When the text is no expression, or names what does not exist in `stage`.
    pub fn value(source: &str, stage: Stage) -> Result<Self, CompileError> {
        let chars = characters(source)?;
        Self::part(&chars, 0, chars.len(), stage)
    }

    /// Compiles the expression between two character offsets of a text.
    pub(crate) fn part(
        chars: &[char],
        from: usize,
        to: usize,
        stage: Stage,
    ) -> Result<Self, CompileError> {
        Ok(Self::new(resolve(parse(chars, from, to)?, stage)?))
    }

    fn new(resolved: Resolved) -> Self {
        Self {
            inner: Arc::new(Inner {
                node: resolved.node,
                values: resolved.values,
            }),
        }
    }

    /// The value for these variables.
    ///
    /// # Errors
    ///
    /// When an operation cannot be done on the values that it meets, or the evaluation exceeds its
    /// budget.
    pub fn evaluate(&self, vars: &Variables) -> Result<Value, EvalError> {
        let mut budget = Budget::new(MAX_STEPS);
        let value = self.evaluate_within(vars, &mut budget);
        // Whoever gets it walks over it without a budget.
        let weighed = value.and_then(|value| {
            let paid = budget.spend_values(std::slice::from_ref(&value), 1);
            paid.map_err(|fault| fault.at(self.position()))?;
            Ok(value)
        });
        weighed.map_err(|error| vars.presentable(error))
    }

    /// The answer of a condition for these variables.
    ///
    /// # Errors
    ///
    /// As with [`Self::evaluate`], and when the value is neither true nor false.
    pub fn evaluate_bool(&self, vars: &Variables) -> Result<bool, EvalError> {
        match self.evaluate(vars)? {
            Value::Bool(answer) => Ok(answer),
            other => Err(EvalError::NotBool {
                got: type_name(&other),
            }),
        }
    }

    /// The value, paid from a budget that may be shared; its error may still show secrets.
    pub(crate) fn evaluate_within(
        &self,
        vars: &Variables,
        budget: &mut Budget,
    ) -> Result<Value, EvalError> {
        let mut machine = Machine {
            vars,
            locals: Vec::new(),
            budget: std::mem::replace(budget, Budget::new(0)),
        };
        let result = machine.run(&self.inner.node);
        *budget = machine.budget;
        result
    }

    /// Where it stands, in characters of its text.
    pub(crate) fn position(&self) -> usize {
        self.inner.node.at
    }

    /// The named values it needs (`values.NAME`), each with its position in the text; those that it
    /// asks for with `has()` or `.?` may be missing.
    pub fn named_values(&self) -> impl Iterator<Item = (usize, &str)> {
        self.inner
            .values
            .iter()
            .map(|(at, name)| (*at, name.as_str()))
    }
}

/// The characters of a text that is not too long to be looked at.
pub(crate) fn characters(source: &str) -> Result<Vec<char>, CompileError> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!("longer than {MAX_SOURCE_BYTES} bytes");
        return Err(CompileError::new(0, message));
    }
    Ok(source.chars().collect())
}

#[cfg(test)]
mod tests;
