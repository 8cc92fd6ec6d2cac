//! The policies of one object, compiled: the steps of its sections and its named values.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_config::policy::{self, OnHandshake, Section};
use tidegate_config::{ResolvedValue, SecretDataId};

use super::Context;
use super::action::Action;
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Condition;
use crate::exchange::ScopeValues;

/// Whose policies these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Gateway,
    Product,
    Api,
}

impl Scope {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Product => "product",
            Self::Api => "api",
        }
    }
}

/// A step, compiled.
#[derive(Debug)]
pub(super) struct Step {
    /// Its id; without one, scope, section and position: `api.inbound[2]`.
    pub(super) label: String,
    pub(super) scope: Scope,
    /// The fragment that it came with.
    pub(super) fragment: Option<Arc<str>>,
    /// Its key in resources.
    pub(super) policy: &'static str,
    pub(super) when: Option<Condition>,
    /// `None`: here the wider scope's steps stand.
    pub(super) action: Option<Action>,
    /// How many steps follow that came with a fragment: skipped when its condition does not hold.
    pub(super) followers: usize,
}

/// The policies of one scope, compiled.
#[derive(Debug)]
pub(crate) struct ScopePolicies {
    pub(super) inherit: bool,
    pub(super) inbound: Vec<Arc<Step>>,
    pub(super) outbound: Vec<Arc<Step>>,
    pub(super) on_error: Vec<Arc<Step>>,
    /// The object's own named values, and whether each is secret.
    pub(super) values: BTreeMap<String, (String, bool)>,
    /// The same, ready to be read.
    pub(super) own_values: Arc<ScopeValues>,
}

impl ScopePolicies {
    /// No steps and no values.
    pub(crate) fn none() -> Self {
        Self {
            inherit: true,
            inbound: Vec::new(),
            outbound: Vec::new(),
            on_error: Vec::new(),
            values: BTreeMap::new(),
            own_values: Arc::new(ScopeValues::new(&BTreeMap::new())),
        }
    }

    /// Compiles the policies of one object; `values` are the named values of the same object.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: the first step that does not compile.
    pub(crate) fn compile(
        scope: Scope,
        on: &OnHandshake,
        values: &BTreeMap<String, ResolvedValue>,
        context: &Context<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let values = resolve(values, context)?;
        let mut compiled = Self {
            inherit: on.inherit,
            own_values: Arc::new(ScopeValues::new(&values)),
            values,
            ..Self::none()
        };
        let mut included = Included::default();
        for (section, position, step) in on.steps() {
            let place = format!("{}[{position}]", section.field());
            let label = match step.id() {
                Some(id) => id.to_owned(),
                None => format!("{}.{place}", scope.as_str()),
            };
            let compiler = Compiler {
                context: *context,
                scope,
                section,
                label,
                place,
            };
            let steps = match section {
                Section::Inbound => &mut compiled.inbound,
                Section::Outbound => &mut compiled.outbound,
                Section::OnError => &mut compiled.on_error,
            };
            let fragment = included.fragment_of(section, position, step);
            let step = compile_step(step, fragment, &compiler)?;
            if step.action.is_none() && steps.iter().any(|other| other.action.is_none()) {
                let problem = "the wider scope's steps can stand in one place only";
                return Err(compiler.invalid("base", problem));
            }
            steps.push(Arc::new(step));
        }
        Ok(compiled)
    }

    /// The steps of one section.
    pub(super) fn steps(&self, section: Section) -> &[Arc<Step>] {
        match section {
            Section::Inbound => &self.inbound,
            Section::Outbound => &self.outbound,
            Section::OnError => &self.on_error,
        }
    }
}

/// The fragments that are open while the steps of an object are walked through, the innermost last.
#[derive(Default)]
struct Included {
    section: Option<Section>,
    /// Name, and the position of the last step that came with it.
    open: Vec<(Arc<str>, usize)>,
}

impl Included {
    /// The fragment that the step came with; steps are told in their order.
    fn fragment_of(
        &mut self,
        section: Section,
        position: usize,
        step: &dyn policy::Step,
    ) -> Option<Arc<str>> {
        if self.section.replace(section) != Some(section) {
            self.open.clear();
        }
        while self.open.pop_if(|(_, last)| *last < position).is_some() {}
        let fragment = self.open.last().map(|(name, _)| Arc::clone(name));
        if let Some(include) = step.include() {
            let last = position + include.steps;
            self.open.push((include.name.as_str().into(), last));
        }
        fragment
    }
}

fn compile_step(
    step: &dyn policy::Step,
    fragment: Option<Arc<str>>,
    compiler: &Compiler<'_>,
) -> Result<Step, InvalidPolicy> {
    let policy = step.policy();
    let policy =
        policy.ok_or_else(|| compiler.invalid("", "a step must name exactly one policy"))?;
    let when = step.when().map(|source| compiler.condition("when", source));
    Ok(Step {
        label: compiler.label.clone(),
        scope: compiler.scope,
        fragment,
        policy: policy.name(),
        when: when.transpose()?,
        action: Action::compile(policy, compiler)?,
        followers: step.include().map_or(0, |include| include.steps),
    })
}

fn resolve(
    values: &BTreeMap<String, ResolvedValue>,
    context: &Context<'_>,
) -> Result<BTreeMap<String, (String, bool)>, InvalidPolicy> {
    let one = |(name, value): (&String, &ResolvedValue)| {
        let resolved = match value {
            ResolvedValue::Plain(text) => (text.clone(), false),
            ResolvedValue::Secret(id) => (secret_text(name, id, context)?, true),
        };
        Ok((name.clone(), resolved))
    };
    values.iter().map(one).collect()
}

fn secret_text(
    name: &str,
    id: &SecretDataId,
    context: &Context<'_>,
) -> Result<String, InvalidPolicy> {
    let bytes = context.secret_data.get(id);
    let bytes = bytes.ok_or_else(|| InvalidPolicy::value(name, format!("{id} is missing")))?;
    let text = String::from_utf8(bytes.to_vec());
    text.map_err(|_| InvalidPolicy::value(name, format!("{id} is not UTF-8 text")))
}
