//! Expressions of policies: compiled once, evaluated over an exchange.

use std::borrow::Cow;
use std::ops::Range;

use tidegate_expr::{CompileError, EvalError, Program, Stage, Template, Value, to_text};

use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// A CEL condition.
#[derive(Clone, Debug)]
pub(super) struct Condition(Program);

impl Condition {
    pub(super) fn compile(source: &str, stage: Stage) -> Result<Self, CompileError> {
        Program::condition(source, stage).map(Self)
    }

    pub(super) fn holds(&self, exchange: &mut Exchange) -> Result<bool, Refusal> {
        self.0.evaluate_bool(exchange.variables()).map_err(failed)
    }
}

/// A CEL expression of any value.
#[derive(Clone, Debug)]
pub(super) struct Computed(Program);

impl Computed {
    pub(super) fn compile(source: &str, stage: Stage) -> Result<Self, CompileError> {
        Program::value(source, stage).map(Self)
    }

    pub(super) fn value(&self, exchange: &mut Exchange) -> Result<Value, Refusal> {
        self.0.evaluate(exchange.variables()).map_err(failed)
    }

    /// The value as a template would print it.
    pub(super) fn text(&self, exchange: &mut Exchange) -> Result<String, Refusal> {
        let value = self.value(exchange)?;
        to_text(&value).map_err(|error| expression_failed(error.to_string()))
    }
}

/// A template.
#[derive(Clone, Debug)]
pub(super) struct Text(Template);

impl Text {
    pub(super) fn compile(source: &str, stage: Stage) -> Result<Self, CompileError> {
        Template::compile(source, stage).map(Self)
    }

    /// The text, when it is always the same.
    pub(super) fn literal(&self) -> Option<&str> {
        self.0.literal()
    }

    /// The text for this exchange; costs nothing when it is always the same.
    pub(super) fn render<'t>(&'t self, exchange: &mut Exchange) -> Result<Cow<'t, str>, Refusal> {
        match self.0.literal() {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => {
                let text = self.0.render(exchange.variables()).map_err(failed)?;
                Ok(Cow::Owned(text))
            }
        }
    }

    /// The text for this exchange, and where in it values stand.
    pub(super) fn render_marked(
        &self,
        exchange: &mut Exchange,
    ) -> Result<(String, Vec<Range<usize>>), Refusal> {
        self.0.render_marked(exchange.variables()).map_err(failed)
    }

    /// What the template's only expression gives, with its type; of any other template the text.
    pub(super) fn value(&self, exchange: &mut Exchange) -> Result<Value, Refusal> {
        self.0.value(exchange.variables()).map_err(failed)
    }
}

/// All of several templates.
pub(super) fn render_all<'t>(
    texts: &'t [Text],
    exchange: &mut Exchange,
) -> Result<Vec<Cow<'t, str>>, Refusal> {
    texts.iter().map(|text| text.render(exchange)).collect()
}

fn failed(error: EvalError) -> Refusal {
    expression_failed(error.to_string())
}

/// Keeps a value that is as large as clients and servers like.
pub(super) fn keep(exchange: &mut Exchange, name: &str, value: Value) -> Result<(), Refusal> {
    let kept = exchange.keep_var(name, value);
    kept.map_err(|error| expression_failed(format!("vars.{name}: {error}")))
}

/// The client learns nothing about the expression; the log does.
pub(super) fn expression_failed(detail: impl Into<String>) -> Refusal {
    let message = "Internal server error";
    Refusal::new(500, Reason::ExpressionFailed, Origin::Policy, message).detail(detail)
}
