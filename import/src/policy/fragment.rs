//! `include-fragment`: a fragment becomes a PolicyFragment, once for each kind of section that
//! includes it.

use std::collections::BTreeMap;

use roxmltree::Node;
use serde_json::{Value, json};

use super::super::csharp::Unreadable;
use super::super::entity::Names;
use super::super::finding::{Finding, Level};
use super::super::service::{Token, Tokens};
use super::super::xml::{parse, protect};
use super::target::Target;
use super::{Context, Fragment, Scope, State, Steps, Translator};
use tidegate_config::policy::Section;

/// Depth of nested fragments that Tidegate allows.
const MAX_DEPTH: usize = 5;

/// Fragments that were translated.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    names: Names,
    /// By id in lower case: its object, `None` while it is being made.
    made: BTreeMap<(String, Section), Option<(Made, Tokens)>>,
    /// PolicyFragments.
    pub(crate) objects: Vec<Value>,
}

impl Fragments {
    /// Whether the fragment was included.
    pub(crate) fn has(&self, id: &str) -> bool {
        let id = id.to_lowercase();
        self.made.keys().any(|(made, _)| *made == id)
    }
}

/// The result of translating a fragment.
#[derive(Clone, Debug)]
enum Made {
    Object(String),
    /// It has no steps.
    Nothing,
    Unreadable(String),
}

/// Translates a fragment that no document includes, as a PolicyFragment for inbound.
pub(crate) fn import_fragment(
    id: &str,
    context: &Context,
    fragments: &mut Fragments,
) -> Vec<Finding> {
    let Some((id, fragment)) = context.fragment(id) else {
        return Vec::new();
    };
    if fragments.has(id) {
        return Vec::new();
    }
    let mut state = State::of(fragments);
    let (made, _) = made(id, fragment, Section::Inbound, context, &mut state);
    *fragments = state.fragments;
    if let Made::Unreadable(why) = made {
        let finding = Finding::at(&fragment.file, fragment.line.into(), Level::Error, why);
        state.findings.push(finding);
    }
    state.findings
}

impl Translator<'_, '_> {
    pub(super) fn include(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let made = match self.included(node, steps.section) {
            Ok((made, changed)) => {
                let mut tokens = self.context.service.tokens();
                tokens.change(&changed);
                self.context.service.set_tokens(tokens);
                made
            }
            Err(why) => Made::Unreadable(why.to_string()),
        };
        // The fragment may change the target.
        steps.target.forget();
        match made {
            Made::Object(name) => {
                self.push(node, steps, json!({"includeFragment": {"name": name}}));
            }
            Made::Nothing => self.say(node, Level::Note, "the fragment has no steps"),
            Made::Unreadable(why) => self.refuse(node, steps, &why),
        }
    }

    fn included(
        &mut self,
        node: Node<'_, '_>,
        section: Section,
    ) -> Result<(Made, Tokens), Unreadable> {
        let no = |text: String| Err(Unreadable(text));
        let element = self.element_of(node);
        element.known(&["fragment-id"])?;
        element.elements(&[])?;
        let id = element.required_plain("fragment-id")?;
        let Some((id, fragment)) = self.context.fragment(&id) else {
            return no(format!(
                "the fragment {id} is not imported together with it"
            ));
        };
        let key = (id.to_lowercase(), section);
        match self.state.fragments.made.get(&key) {
            Some(Some(made)) => return Ok(made.clone()),
            Some(None) => return no("the fragment includes itself".to_owned()),
            None => {}
        }
        if self.state.depth >= MAX_DEPTH {
            return no("fragments are nested too deeply".to_owned());
        }
        Ok(made(id, fragment, section, self.context, &mut self.state))
    }
}

/// Translates a fragment and remembers the result, with what it changed about variables with tokens.
fn made(
    id: &str,
    fragment: &Fragment,
    section: Section,
    context: &Context,
    state: &mut State,
) -> (Made, Tokens) {
    let key = (id.to_lowercase(), section);
    state.fragments.made.insert(key.clone(), None);
    let name = match section {
        Section::Inbound => id.to_owned(),
        Section::Outbound => format!("{id}-outbound"),
        Section::OnError => format!("{id}-on-error"),
    };
    let name = state.fragments.names.of("PolicyFragment", &name);
    let outer = (
        std::mem::replace(&mut state.prefix, prefix(&name, state.fragments.made.len())),
        std::mem::take(&mut state.choices),
    );
    let outside = context.service.enter(&Token::Outer);
    let steps = steps(fragment, section, context, state);
    let changed = context.service.tokens().changed();
    context.service.set_tokens(outside);
    (state.prefix, state.choices) = outer;
    let made = match steps {
        Err(why) => Made::Unreadable(format!("the fragment cannot be read: {why}")),
        Ok(steps) if steps.is_empty() => Made::Nothing,
        Ok(steps) => {
            state.fragments.objects.push(json!({
                "apiVersion": "tidegate.dev/v1alpha1",
                "kind": "PolicyFragment",
                "metadata": {"name": name},
                "spec": {"steps": steps},
            }));
            Made::Object(name)
        }
    };
    let made = (made, changed);
    state.fragments.made.insert(key, Some(made.clone()));
    made
}

/// What the names of a fragment's own variables start with.
fn prefix(name: &str, number: usize) -> String {
    const LENGTH: usize = 32;
    let plain = name.replace('-', "_");
    match plain.len() > LENGTH {
        true => format!("{}_{number}_", &plain[..LENGTH]),
        false => format!("{plain}_"),
    }
}

/// Policies that do not run on a handshake are skipped as in wider scopes, because documents of any scope may
/// include the fragment.
fn steps(
    fragment: &Fragment,
    section: Section,
    context: &Context,
    state: &mut State,
) -> Result<Vec<Value>, String> {
    let protected = protect(&fragment.text).map_err(|error| error.to_string())?;
    let document = parse(&protected).map_err(|error| error.to_string())?;
    let mut inner = Translator {
        document: &document,
        scope: Scope::Product,
        context,
        file: Some((&fragment.file, fragment.line)),
        state: std::mem::take(state),
    };
    inner.state.depth += 1;
    let mut steps = Steps::new(section, Target::default());
    let root = document.root_element();
    inner.block(root, &mut steps);
    inner.limit(root, &mut steps);
    *state = inner.state;
    state.depth -= 1;
    Ok(steps.found)
}
