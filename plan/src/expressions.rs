//! Expressions of policies, checked by the expression language's own compiler.

use std::collections::HashMap;

use tidegate_config::ExpressionKind;
use tidegate_config::policy::{Section, Step};
use tidegate_expr::{Program, Stage, Template};

use crate::problem::Problem;
use tidegate_api::Reason;

/// Remembers which texts compile: at 5,000 APIs compiling all of them takes longer than the rest
/// of a plan, and hardly any text changes between two plans.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    known: HashMap<(Section, ExpressionKind, String), Known>,
    pass: u64,
}

#[derive(Debug)]
struct Known {
    /// What is wrong with it.
    error: Option<String>,
    /// Last plan that met it.
    seen: u64,
}

impl Expressions {
    /// Forgets what the last plan did not meet.
    pub(crate) fn next_pass(&mut self) {
        let pass = self.pass;
        self.known.retain(|_, known| known.seen == pass);
        self.pass += 1;
    }

    /// All expressions of a step that do not compile. `path` is the step's place in its object.
    pub(crate) fn check(&mut self, section: Section, step: &dyn Step, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        for expression in step.expressions() {
            let section = match section {
                Section::Inbound if expression.may_wait => Section::Outbound,
                _ => section,
            };
            if let Some(error) = self.error(section, expression.kind, expression.text) {
                let field = format!("{path}.{}", expression.field);
                problems.push(Problem::accepted(Reason::InvalidExpression, error).at(&field));
            }
        }
        problems
    }

    fn error(&mut self, section: Section, kind: ExpressionKind, text: &str) -> Option<&str> {
        let pass = self.pass;
        let known = self
            .known
            .entry((section, kind, text.to_owned()))
            .or_insert_with(|| Known {
                error: compile(stage(section), kind, text),
                seen: pass,
            });
        known.seen = pass;
        known.error.as_deref()
    }
}

fn stage(section: Section) -> Stage {
    match section {
        Section::Inbound => Stage::Inbound,
        Section::Outbound => Stage::Outbound,
        Section::OnError => Stage::OnError,
    }
}

fn compile(stage: Stage, kind: ExpressionKind, text: &str) -> Option<String> {
    let error = match kind {
        ExpressionKind::Condition => Program::condition(text, stage).err(),
        ExpressionKind::Value => Program::value(text, stage).err(),
        ExpressionKind::Template => Template::compile(text, stage).err(),
    };
    error.map(|error| error.to_string())
}
