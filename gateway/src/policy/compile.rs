//! Compiling a step: what its fields become, and what can be wrong with them.

use std::ops::RangeInclusive;

use http::HeaderName;
use tidegate_config::policy::{Section, is_restricted_header};
use tidegate_expr::{CompileError, Stage};

use super::Context;
use super::expression::{Computed, Condition, Text};
use super::scope::Scope;

/// Statuses of a policy that refuses.
pub(super) const REFUSING: RangeInclusive<u16> = 400..=599;

/// A step that cannot be compiled; its object is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{place}: {problem}")]
pub(crate) struct InvalidPolicy {
    /// The field in the object's spec.
    place: String,
    problem: String,
}

impl InvalidPolicy {
    /// What is wrong with a named value.
    pub(super) fn value(name: &str, problem: String) -> Self {
        Self {
            place: format!("values.{name}"),
            problem,
        }
    }
}

/// Compiles the fields of one step.
pub(super) struct Compiler<'a> {
    pub(super) context: Context<'a>,
    pub(super) scope: Scope,
    pub(super) section: Section,
    /// The step's name in logs and errors.
    pub(super) label: String,
    /// Section and position: `inbound[2]`.
    pub(super) place: String,
}

impl Compiler<'_> {
    /// What is wrong with `field`.
    pub(super) fn invalid(&self, field: &str, problem: impl Into<String>) -> InvalidPolicy {
        let dot = if field.is_empty() { "" } else { "." };
        InvalidPolicy {
            place: format!("onHandshake.{}{dot}{field}", self.place),
            problem: problem.into(),
        }
    }

    /// Which variables the step's expressions have.
    pub(super) fn stage(&self) -> Stage {
        match self.section {
            Section::Inbound => Stage::Inbound,
            Section::Outbound => Stage::Outbound,
            Section::OnError => Stage::OnError,
        }
    }

    pub(super) fn condition(&self, field: &str, source: &str) -> Result<Condition, InvalidPolicy> {
        Condition::compile(source, self.stage()).map_err(|error| self.expression(field, &error))
    }

    pub(super) fn computed(&self, field: &str, source: &str) -> Result<Computed, InvalidPolicy> {
        Computed::compile(source, self.stage()).map_err(|error| self.expression(field, &error))
    }

    pub(super) fn text(&self, field: &str, source: &str) -> Result<Text, InvalidPolicy> {
        Text::compile(source, self.stage()).map_err(|error| self.expression(field, &error))
    }

    pub(super) fn optional_text(
        &self,
        field: &str,
        source: Option<&String>,
    ) -> Result<Option<Text>, InvalidPolicy> {
        source.map(|source| self.text(field, source)).transpose()
    }

    pub(super) fn texts(
        &self,
        field: &str,
        sources: &[String],
    ) -> Result<Vec<Text>, InvalidPolicy> {
        let one = |(i, source): (usize, &String)| self.text(&format!("{field}[{i}]"), source);
        sources.iter().enumerate().map(one).collect()
    }

    pub(super) fn header(&self, field: &str, name: &str) -> Result<HeaderName, InvalidPolicy> {
        let invalid = || self.invalid(field, format!("\"{name}\" is not the name of a header"));
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())
    }

    /// A header that policies may change.
    pub(super) fn free_header(&self, field: &str, name: &str) -> Result<HeaderName, InvalidPolicy> {
        if is_restricted_header(name) {
            let problem = format!("{name} belongs to the handshake and cannot be set by a policy");
            return Err(self.invalid(field, problem));
        }
        self.header(field, name)
    }

    /// A status that refuses. A 1xx or 2xx here would tell the client that a tunnel is open.
    pub(super) fn status(
        &self,
        field: &str,
        status: u16,
        allowed: RangeInclusive<u16>,
    ) -> Result<u16, InvalidPolicy> {
        if allowed.contains(&status) {
            return Ok(status);
        }
        let (from, to) = allowed.into_inner();
        Err(self.invalid(field, format!("{status} is not from {from} to {to}")))
    }

    pub(super) fn expression(&self, field: &str, error: &CompileError) -> InvalidPolicy {
        self.invalid(field, error.to_string())
    }
}
