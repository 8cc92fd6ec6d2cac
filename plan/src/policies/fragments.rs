//! includeFragment: the steps of PolicyFragments in the place where they are included. Pure.
//!
//! What an object serves is whole: gateways know no fragments. An include stays in front of the
//! steps that came with it, since its condition decides about all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tidegate_api::{PolicyFragment, Reason};
use tidegate_config::ObjectKey;
use tidegate_config::policy::{IncludeFragment, OnHandshake, Section, SectionStep, Step};

use super::check_steps;
use crate::Conditions;
use crate::expressions::Expressions;
use crate::index::generation_of;
use crate::problem::{Problem, conditions, step_path};
use crate::references::References;

/// Fragments in fragments, at most so deep: more than that nobody can follow.
const MAX_DEPTH: usize = 5;

/// Steps of a section with all that it includes. A handshake may run all of them.
const MAX_STEPS: usize = 256;

/// The policies of a scope with everything that they include.
pub(crate) struct Expanded<'s> {
    pub(crate) on_handshake: Cow<'s, OnHandshake>,
    pub(crate) paths: StepPaths,
    pub(crate) problems: Vec<Problem>,
    /// The fragments that were opened.
    pub(crate) used: BTreeSet<String>,
}

/// Where each step was written; empty: where it stands.
#[derive(Debug, Default)]
pub(crate) struct StepPaths(BTreeMap<(Section, usize), String>);

impl StepPaths {
    /// Where the step was written.
    pub(crate) fn of(&self, section: Section, position: usize) -> String {
        match self.0.get(&(section, position)) {
            Some(path) => path.clone(),
            None => step_path(section, position),
        }
    }
}

/// Expands a scope. `label` is the scope's name in logs.
pub(crate) fn expand<'s>(
    on_handshake: &'s OnHandshake,
    (namespace, label): (&str, &str),
    references: &mut References<'_>,
) -> Expanded<'s> {
    let mut expansion = Expansion::new(namespace, references);
    let includes = |(_, _, step): (_, _, &dyn Step)| step.include().is_some();
    let on_handshake = if on_handshake.steps().any(includes) {
        Cow::Owned(OnHandshake {
            inherit: on_handshake.inherit,
            inbound: expansion.section(Section::Inbound, &on_handshake.inbound, label),
            outbound: expansion.section(Section::Outbound, &on_handshake.outbound, label),
            on_error: expansion.section(Section::OnError, &on_handshake.on_error, label),
        })
    } else {
        Cow::Borrowed(on_handshake)
    };
    Expanded {
        on_handshake,
        paths: expansion.paths,
        problems: expansion.problems,
        used: expansion.used,
    }
}

/// A fragment by itself, as if a section held its steps and nothing else.
fn alone(key: &ObjectKey, section: Section, references: &mut References<'_>) -> Expanded<'static> {
    let mut expansion = Expansion::new(&key.namespace, references);
    let mut on_handshake = OnHandshake::default();
    match section {
        Section::Inbound => on_handshake.inbound = expansion.whole(section, &key.name),
        Section::Outbound => on_handshake.outbound = expansion.whole(section, &key.name),
        Section::OnError => on_handshake.on_error = expansion.whole(section, &key.name),
    }
    Expanded {
        on_handshake: Cow::Owned(on_handshake),
        paths: expansion.paths,
        problems: expansion.problems,
        used: expansion.used,
    }
}

/// What is to be said about a fragment. Which section it is for is known where it is included: it is
/// good when it could stand in one, else the section with the fewest problems says what is wrong.
pub(crate) fn judge(
    key: &ObjectKey,
    fragment: &PolicyFragment,
    references: &mut References<'_>,
    expressions: &mut Expressions,
) -> Conditions {
    let sections = [Section::Inbound, Section::Outbound, Section::OnError];
    let problems = sections.map(|section| {
        let mut expanded = alone(key, section, references);
        let mut problems = std::mem::take(&mut expanded.problems);
        // Which named values there are is known where it is included.
        let (found, _) = check_steps(&key.namespace, &expanded, references, expressions);
        problems.extend(found);
        problems
    });
    let best = problems.into_iter().min_by_key(Vec::len);
    conditions(generation_of(fragment), &best.unwrap_or_default())
}

struct Expansion<'f, 'w> {
    namespace: &'f str,
    references: &'f mut References<'w>,
    paths: StepPaths,
    problems: Vec<Problem>,
    used: BTreeSet<String>,
    /// Names of the fragments that are open, the outermost first.
    open: Vec<String>,
    /// Steps looked at in this section, those of broken fragments included.
    seen: usize,
}

impl<'f, 'w> Expansion<'f, 'w> {
    fn new(namespace: &'f str, references: &'f mut References<'w>) -> Self {
        Self {
            namespace,
            references,
            paths: StepPaths::default(),
            problems: Vec::new(),
            used: BTreeSet::new(),
            open: Vec::new(),
            seen: 0,
        }
    }

    fn section<S: SectionStep>(&mut self, section: Section, steps: &[S], label: &str) -> Vec<S> {
        self.seen = 0;
        let mut out = Vec::with_capacity(steps.len());
        for (i, step) in steps.iter().enumerate() {
            let mut step = step.clone();
            if !out.is_empty() && step.id().is_none() {
                // Where it was written, whatever a fragment in front of it grows to.
                step.set_id(format!("{label}.{}[{i}]", section.field()));
            }
            self.push(section, step, step_path(section, i), &mut out);
        }
        out
    }

    fn whole<S: SectionStep>(&mut self, section: Section, name: &str) -> Vec<S> {
        let mut out = Vec::new();
        self.open.push(name.to_owned());
        if let Some(fragment) = self.find(name) {
            self.fragment(section, fragment, "spec", &mut out);
        }
        out
    }

    fn find(&mut self, name: &str) -> Option<&'w PolicyFragment> {
        self.references
            .fragment(ObjectKey::new(self.namespace, name))
    }

    /// A step, and what it includes.
    fn push<S: SectionStep>(&mut self, section: Section, step: S, path: String, out: &mut Vec<S>) {
        self.seen += 1;
        if self.seen > MAX_STEPS {
            if self.seen == MAX_STEPS + 1 {
                let text = format!(
                    "the section has more than {MAX_STEPS} steps, those of its fragments included"
                );
                let problem = Problem::invalid(text).at(&path);
                self.problems
                    .push(problem.concerning_access(decides(section)));
            }
            return;
        }
        let at = out.len();
        self.paths.0.insert((section, at), path.clone());
        let include = step.include().map(|include| include.name.clone());
        out.push(step);
        if let Some(name) = include {
            self.include(section, &name, &path, out);
            let steps = out.len() - at - 1;
            if let Some(include) = out.get_mut(at).and_then(S::include_mut) {
                include.steps = steps;
            }
        }
    }

    /// The steps of a fragment that the step at `path` includes.
    fn include<S: SectionStep>(
        &mut self,
        section: Section,
        name: &str,
        path: &str,
        out: &mut Vec<S>,
    ) {
        match self.enter(section, name) {
            Ok(fragment) => {
                let (root, _) = path.split_once(".includeFragment").unwrap_or((path, ""));
                let prefix = format!("{root}.includeFragment: PolicyFragment {name}, spec");
                self.fragment(section, fragment, &prefix, out);
                self.open.pop();
            }
            Err(problem) => {
                let problem = problem.at(&format!("{path}.includeFragment.name"));
                self.problems.push(problem);
            }
        }
    }

    /// Opens a fragment. One that is not there may come: what was served before serves on then. A
    /// loop is somebody's change, of which nobody knows what it was to be.
    fn enter(&mut self, section: Section, name: &str) -> Result<&'w PolicyFragment, Problem> {
        if self.open.iter().any(|open| open == name) {
            let way: Vec<_> = self.open.iter().map(String::as_str).collect();
            let text = format!(
                "PolicyFragment {name} includes itself: {} → {name}",
                way.join(" → ")
            );
            return Err(Problem::invalid(text).concerning_access(decides(section)));
        }
        if self.open.len() == MAX_DEPTH {
            let text = format!("fragments are nested more than {MAX_DEPTH} deep");
            return Err(Problem::invalid(text).concerning_access(decides(section)));
        }
        let fragment = self.find(name).ok_or_else(|| {
            let key = ObjectKey::new(self.namespace, name);
            Problem::missing(Reason::FragmentNotFound, "PolicyFragment", key)
        })?;
        self.open.push(name.to_owned());
        self.used.insert(name.to_owned());
        Ok(fragment)
    }

    fn fragment<S: SectionStep>(
        &mut self,
        section: Section,
        fragment: &PolicyFragment,
        prefix: &str,
        out: &mut Vec<S>,
    ) {
        let name = self.open.last().cloned().unwrap_or_default();
        for (i, step) in fragment.spec.steps.iter().enumerate() {
            let path = format!("{prefix}.steps[{i}]");
            match S::of_fragment(step) {
                Ok(mut step) => {
                    if step.id().is_none() {
                        step.set_id(format!("fragment.{name}[{i}]"));
                    }
                    self.push(section, step, path, out);
                }
                Err(policy) => {
                    let text = format!("{policy} is not supported in {}", section.field());
                    let problem = Problem::invalid(text).at(&path);
                    self.problems
                        .push(problem.concerning_access(decides(section)));
                }
            }
        }
    }
}

/// May what stands here decide who may pass?
fn decides(section: Section) -> bool {
    section != Section::OnError
}

/// What two versions of a section are compared by: the steps that decide who may pass. What a
/// fragment holds that is not there now is not known, and left out on both sides.
pub(crate) fn comparable<'s, S: SectionStep>(
    steps: &'s [S],
    missing: &BTreeSet<&str>,
    decides: impl Fn(&dyn Step) -> bool,
) -> Vec<Compared<'s, S>> {
    let mut compared = Vec::new();
    let mut next = 0;
    while let Some(step) = steps.get(next) {
        next += 1;
        match step.include() {
            Some(include) => {
                let when = step.when();
                compared.push(Compared::Include(&include.name, when));
                if missing.contains(include.name.as_str()) {
                    next += include.steps;
                }
            }
            None if decides(step) => compared.push(Compared::Step(step)),
            None => {}
        }
    }
    compared
}

/// A step, or an include by its name and condition.
#[derive(Debug, PartialEq)]
pub(crate) enum Compared<'s, S> {
    Include(&'s str, Option<&'s str>),
    Step(&'s S),
}

/// Names of the fragments that a version includes and that were not there.
pub(crate) fn missing(on_handshake: &OnHandshake) -> BTreeSet<&str> {
    let includes = on_handshake
        .steps()
        .filter_map(|(_, _, step)| step.include());
    let empty = includes.filter(|include: &&IncludeFragment| include.steps == 0);
    empty.map(|include| include.name.as_str()).collect()
}
