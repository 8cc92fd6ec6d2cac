//! Policies and named values of one scope: is every step well-formed, does every expression
//! compile, does everything named exist?

mod address;
mod audience;
mod call;
mod check;
mod fragments;
mod header;
mod key;
mod url_template;

// `mod set_header;` and so on: one for each policy that config lists.
tidegate_config::policy_modules!();

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tidegate_api::Reason;
use tidegate_config::policy::{OnHandshake, Policy, Section, Step};
use tidegate_config::{HARD_LIMIT_BYTES, NamedValue, ObjectKey, ResolvedValue, SecretDataId};

pub(crate) use address::is_network;
pub(crate) use check::secret_data;
pub(crate) use fragments::{StepPaths, judge};

use self::check::{check_step, decides_access};
use self::fragments::{Expanded, comparable, expand, missing};
use crate::expressions::{Expressions, ValueRead};
use crate::problem::{Problem, step_path};
use crate::references::References;

/// One object may fill half a part; its other fields, all of which the schema bounds, have the rest.
const MAX_POLICIES_BYTES: usize = HARD_LIMIT_BYTES / 2 - 128 * 1024;

/// What a scope contributes to configurations.
pub(crate) struct Policies {
    pub(crate) on_handshake: OnHandshake,
    pub(crate) values: BTreeMap<String, ResolvedValue>,
    pub(crate) problems: Vec<Problem>,
    /// Where the steps were written.
    pub(crate) paths: StepPaths,
    /// The named values that it needs.
    reads: Vec<ValueRead>,
}

impl Policies {
    /// Besides the steps, this template reads their scope's values.
    pub(crate) fn add_template(
        &mut self,
        text: &str,
        path: &str,
        expressions: &mut Expressions,
    ) -> Option<Problem> {
        let (problem, mut reads) = expressions.check_template(text, path);
        self.reads.append(&mut reads);
        problem
    }

    /// What is wrong when there are no more values than these names.
    pub(crate) fn unknown_values<'n>(&self, there: impl Iterator<Item = &'n str>) -> Vec<Problem> {
        if self.reads.is_empty() {
            return Vec::new();
        }
        let there = there.collect();
        self.reads
            .iter()
            .filter_map(|read| read.problem(&there))
            .collect()
    }
}

/// Where policies are checked.
pub(crate) struct PolicyScope<'s> {
    /// What it is called in names of its steps: `gateway`, `product`, `api`.
    pub(crate) label: &'static str,
    pub(crate) namespace: &'s str,
    pub(crate) on_handshake: &'s OnHandshake,
    pub(crate) values: &'s [NamedValue],
}

impl PolicyScope<'_> {
    /// Checks everything.
    pub(crate) fn check(
        &self,
        references: &mut References<'_>,
        expressions: &mut Expressions,
    ) -> Policies {
        let names = (self.namespace, self.label);
        let mut expanded = expand(self.on_handshake, names, references);
        let included = expanded.used.iter();
        let included = included.map(|name| ObjectKey::new(self.namespace, name));
        references.named.included.extend(included);
        let mut problems = std::mem::take(&mut expanded.problems);
        let (found, reads) = check_steps(self.namespace, &expanded, references, expressions);
        problems.extend(found);
        let on_handshake = expanded.on_handshake;
        problems.extend(bases(&on_handshake));
        let values = self.resolve_values(&on_handshake, references, &mut problems);
        problems.extend(too_large(&on_handshake, &values));
        Policies {
            on_handshake: on_handshake.into_owned(),
            values,
            problems,
            paths: expanded.paths,
            reads,
        }
    }

    fn resolve_values(
        &self,
        on_handshake: &OnHandshake,
        references: &mut References<'_>,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<String, ResolvedValue> {
        let mut values = BTreeMap::new();
        for (i, value) in self.values.iter().enumerate() {
            let path = format!("spec.values[{i}]");
            match self.resolve_value(value, references) {
                Ok(_) if values.contains_key(&value.name) => {
                    let text = format!("there is already a value \"{}\"", value.name);
                    problems.push(Problem::invalid(text).at(&path));
                }
                Ok(resolved) => {
                    values.insert(value.name.clone(), resolved);
                }
                Err(problem) => {
                    let access = access_reads_values(on_handshake);
                    problems.push(problem.at(&path).concerning_access(access));
                }
            }
        }
        values
    }

    fn resolve_value(
        &self,
        value: &NamedValue,
        references: &mut References<'_>,
    ) -> Result<ResolvedValue, Problem> {
        let (plain, secret) = (&value.value, &value.secret_key_ref);
        match (plain, secret, &value.config_map_key_ref) {
            (Some(text), None, None) => Ok(ResolvedValue::Plain(text.clone())),
            (None, Some(reference), None) => {
                let bytes = references.secret_ref(self.namespace, reference)?;
                if std::str::from_utf8(&bytes).is_err() {
                    return Err(self.not_text("Secret", &reference.name, &reference.key));
                }
                let id = SecretDataId::of_secret_ref(self.namespace, reference);
                references.keep(id.clone(), &bytes);
                Ok(ResolvedValue::Secret(id))
            }
            (None, None, Some(reference)) => {
                let bytes = references.config_map_ref(self.namespace, reference)?;
                let text = String::from_utf8(bytes.into_owned());
                text.map(ResolvedValue::Plain)
                    .map_err(|_| self.not_text("ConfigMap", &reference.name, &reference.key))
            }
            _ => {
                let text = "exactly one of value, secretKeyRef, configMapKeyRef must be set";
                Err(Problem::invalid(text))
            }
        }
    }

    fn not_text(&self, kind: &str, name: &str, key: &str) -> Problem {
        let namespace = self.namespace;
        let text = format!("key \"{key}\" of {kind} {namespace}/{name} is not UTF-8 text");
        Problem::unresolved(Reason::InvalidMaterial, text)
    }
}

/// Everything that is wrong with steps, each named by where it was written.
fn check_steps(
    namespace: &str,
    expanded: &Expanded<'_>,
    references: &mut References<'_>,
    expressions: &mut Expressions,
) -> (Vec<Problem>, Vec<ValueRead>) {
    let (mut problems, mut reads) = (Vec::new(), Vec::new());
    for (section, position, step) in expanded.on_handshake.steps() {
        let path = expanded.paths.of(section, position);
        let access = decides_access(section, step);
        let (found, mut needed) = expressions.check(section, step, &path);
        let found = found
            .into_iter()
            .chain(check_step(namespace, step, &path, references))
            .map(|problem| problem.concerning_access(access));
        problems.extend(found);
        needed.iter_mut().for_each(|read| read.access = access);
        reads.append(&mut needed);
    }
    (problems, reads)
}

/// Policies and values must fit into a part of the rendered configuration.
fn too_large(
    on_handshake: &OnHandshake,
    values: &BTreeMap<String, ResolvedValue>,
) -> Option<Problem> {
    let mut size = Size::default();
    // Writing to a counter cannot fail.
    serde_json::to_writer(&mut size, &(on_handshake, values)).ok()?;
    let text = format!(
        "spec.onHandshake and spec.values have {} bytes, and at most {MAX_POLICIES_BYTES} can be served",
        size.0
    );
    (size.0 > MAX_POLICIES_BYTES).then(|| Problem::accepted(Reason::TooLarge, text))
}

/// Counts what is written.
#[derive(Default)]
struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Does a step that decides access read named values?
fn access_reads_values(on_handshake: &OnHandshake) -> bool {
    on_handshake
        .steps()
        .filter(|(section, _, step)| decides_access(*section, *step))
        .flat_map(|(_, _, step)| step.expressions())
        .any(|expression| expression.text.contains("values"))
}

/// What of a scope decides who may pass, for comparison with another version of the same scope.
pub(crate) fn same_access(a: &OnHandshake, b: &OnHandshake) -> bool {
    let missing: BTreeSet<_> = missing(a).union(&missing(b)).copied().collect();
    let decides = |section| {
        move |step: &dyn Step| {
            let base = step.policies().iter().any(|p| matches!(p, Policy::Base));
            base || decides_access(section, step)
        }
    };
    let (inbound, outbound) = (decides(Section::Inbound), decides(Section::Outbound));
    a.inherit == b.inherit
        && comparable(&a.inbound, &missing, inbound) == comparable(&b.inbound, &missing, inbound)
        && comparable(&a.outbound, &missing, outbound)
            == comparable(&b.outbound, &missing, outbound)
}

fn bases(on_handshake: &OnHandshake) -> Vec<Problem> {
    let mut problems = Vec::new();
    for section in [Section::Inbound, Section::Outbound, Section::OnError] {
        let is_base = |step: &dyn Step| step.policies().iter().any(|p| matches!(p, Policy::Base));
        let steps = on_handshake.steps();
        let mut bases = steps.filter(|(at, _, step)| *at == section && is_base(*step));
        if let Some((_, position, _)) = bases.nth(1) {
            let problem = Problem::invalid("a section may have only one base step");
            let problem = problem.at(&step_path(section, position));
            problems.push(problem.concerning_access(section != Section::OnError));
        }
    }
    problems
}
