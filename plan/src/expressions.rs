//! Expressions of policies, checked by the expression language's own compiler.

use std::collections::{BTreeSet, HashMap};

use tidegate_config::ExpressionKind;
use tidegate_config::policy::{Section, Step};
use tidegate_expr::{Program, Stage, Template, nearest};

use crate::problem::Problem;
use tidegate_api::Reason;

/// So many texts are remembered at most.
const MAX_KNOWN: usize = 20_000;

/// Remembers which texts compile: at 5,000 APIs compiling all of them takes longer than the rest
/// of a plan, and hardly any text changes between two plans.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    known: HashMap<(Section, ExpressionKind, String), Checked>,
}

#[derive(Debug)]
struct Checked {
    /// What is wrong with it.
    error: Option<String>,
    /// The named values it needs, and where.
    values: Vec<(usize, String)>,
}

impl Expressions {
    /// Forgets everything when it has grown too large: most texts are met again soon.
    pub(crate) fn next_pass(&mut self) {
        if self.known.len() > MAX_KNOWN {
            self.known.clear();
        }
    }

    /// All expressions of a step that do not compile, and the named values that the others need.
    /// `path` is the step's place in its object.
    pub(crate) fn check(
        &mut self,
        section: Section,
        step: &dyn Step,
        path: &str,
    ) -> (Vec<Problem>, Vec<ValueRead>) {
        let (mut problems, mut reads) = (Vec::new(), Vec::new());
        for expression in step.expressions() {
            let section = match section {
                Section::Inbound if expression.is_deferrable => Section::Outbound,
                _ => section,
            };
            let known = self.known(section, expression.kind, expression.text);
            if known.error.is_none() && known.values.is_empty() {
                continue;
            }
            let field = format!("{path}.{}", expression.field);
            problems.extend(known.problem(&field));
            reads.extend(known.reads(&field));
        }
        (problems, reads)
    }

    /// What is wrong with a template at `path` that inbound policies have run before, and the named
    /// values that it needs.
    pub(crate) fn check_template(
        &mut self,
        text: &str,
        path: &str,
    ) -> (Option<Problem>, Vec<ValueRead>) {
        let known = self.known(Section::Inbound, ExpressionKind::Template, text);
        (known.problem(path), known.reads(path).collect())
    }

    fn known(&mut self, section: Section, kind: ExpressionKind, text: &str) -> &Checked {
        self.known
            .entry((section, kind, text.to_owned()))
            .or_insert_with(|| compile(stage(section), kind, text))
    }
}

impl Checked {
    fn problem(&self, field: &str) -> Option<Problem> {
        let error = self.error.as_ref()?;
        Some(Problem::accepted(Reason::InvalidExpression, error).at(field))
    }

    fn reads(&self, field: &str) -> impl Iterator<Item = ValueRead> {
        self.values.iter().map(move |(position, name)| ValueRead {
            field: field.to_owned(),
            position: *position,
            name: name.clone(),
            access: false,
        })
    }
}

/// A named value that an expression needs.
#[derive(Clone, Debug)]
pub(crate) struct ValueRead {
    /// Where the expression stands.
    field: String,
    /// Where in it.
    position: usize,
    name: String,
    /// Does its step decide who may pass?
    pub(crate) access: bool,
}

impl ValueRead {
    /// What is wrong when there are these values only.
    pub(crate) fn problem(&self, there: &BTreeSet<&str>) -> Option<Problem> {
        if there.contains(self.name.as_str()) {
            return None;
        }
        let Self { position, name, .. } = self;
        let mut text = format!("at {position}: there is no named value \"{name}\" here");
        if let Some(nearest) = nearest(name, there.iter().copied()) {
            text.push_str(&format!(", did you mean \"{nearest}\"?"));
        }
        let problem = Problem::accepted(Reason::InvalidExpression, text).at(&self.field);
        Some(problem.concerning_access(self.access))
    }
}

fn stage(section: Section) -> Stage {
    match section {
        Section::Inbound => Stage::Inbound,
        Section::Outbound => Stage::Outbound,
        Section::OnError => Stage::OnError,
    }
}

fn compile(stage: Stage, kind: ExpressionKind, text: &str) -> Checked {
    let compiled = match kind {
        ExpressionKind::Condition => {
            Program::condition(text, stage).map(|program| owned(program.named_values()))
        }
        ExpressionKind::Value => {
            Program::value(text, stage).map(|program| owned(program.named_values()))
        }
        ExpressionKind::Template => {
            Template::compile(text, stage).map(|template| owned(template.named_values()))
        }
    };
    let (values, error) = match compiled {
        Ok(values) => (values, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    Checked { error, values }
}

fn owned<'n>(values: impl Iterator<Item = (usize, &'n str)>) -> Vec<(usize, String)> {
    values.map(|(at, name)| (at, name.to_owned())).collect()
}
