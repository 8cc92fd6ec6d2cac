//! Translates a policy document to the steps of one scope.
//!
//! An import never widens access: a policy that cannot be translated becomes a step that refuses with 501, under
//! the conditions under which the policy would have run.

mod choose;
mod context;
mod credentials;
mod element;
mod failover;
mod fragment;
mod target;

use std::path::Path;

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

pub(super) use self::context::{Context, Fragment};
pub(super) use self::credentials::token_variables;
pub(super) use self::failover::retried_statuses;
pub(super) use self::fragment::{Fragments, import_fragment};
use self::target::Target;
pub(super) use self::target::{own_backend, websocket};
use super::field::Element;
use super::finding::{Finding, Level};
use super::probe::Probe;
use super::service::Token;
use super::steps::COMMENT;
use super::xml::{Unreadable, parse, position, protect, reported, restore};
use tidegate_config::policy::Section;

/// The object that a policy document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All APIs; the steps belong in a Gateway.
    Global,
    /// One product; the steps belong in a Product.
    Product,
    /// One API; the steps belong in a WebSocketApi.
    Api,
}

/// The maximum of steps in a section or fragment.
const MAX_STEPS: usize = 32;

/// The maximum of findings: each one costs a scan of the document.
const MAX_FINDINGS: usize = 1_000;

/// Deeper nesting of choose is refused.
const MAX_DEPTH: usize = 16;

/// The steps of a document, as `onHandshake`, and findings without the name of the file. `Err`: the document
/// cannot be parsed.
pub(super) fn import(
    text: &str,
    scope: Scope,
    context: &Context,
    fragments: &mut Fragments,
) -> Result<(Value, Vec<Finding>), Finding> {
    let protected = protect(text).map_err(|error| unreadable(text, &error))?;
    let document = parse(&protected).map_err(|error| unparsed(&protected, &error))?;
    let root = document.root_element();
    if root.tag_name().name() != "policies" {
        let text = format!("expected <policies>, not <{}>", root.tag_name().name());
        return Err(Finding::new(1, 1, Level::Error, text));
    }
    let mut translator = Translator {
        document: &document,
        scope,
        context,
        file: None,
        state: State::of(fragments),
    };
    context.service.enter(&Token::Unsure);
    let value = translator.policies(root);
    *fragments = translator.state.fragments;
    Ok((value, translator.state.findings))
}

/// Steps in place of a document that cannot be read.
pub(super) fn refusal() -> Value {
    let answer = json!({"status": 501, "message": "A policy could not be imported."});
    json!({"inbound": [{"id": "not-imported", "returnResponse": answer}]})
}

/// Name of the root element; `None`: the text cannot be parsed.
pub(super) fn root_name(text: &str) -> Option<String> {
    let protected = protect(text).ok()?;
    let document = parse(&protected).ok()?;
    Some(document.root_element().tag_name().name().to_owned())
}

fn unreadable(text: &str, error: &Unreadable) -> Finding {
    let at = match error {
        Unreadable::NoEnd { at } => *at,
        Unreadable::TooLong | Unreadable::Standins => 0,
    };
    let (row, column) = position(text, at);
    Finding::new(row, column, Level::Error, error.to_string())
}

fn unparsed(protected: &str, error: &roxmltree::Error) -> Finding {
    let (row, column) = reported(protected, error.pos());
    Finding::new(row, column, Level::Error, restore(&error.to_string()))
}

struct Translator<'a, 'i> {
    document: &'a Document<'i>,
    scope: Scope,
    context: &'a Context,
    /// File and line of the document, unless the caller adds them.
    file: Option<(&'a Path, u32)>,
    state: State,
}

/// State that documents and fragments share.
#[derive(Default)]
struct State {
    probe: Probe,
    findings: Vec<Finding>,
    /// Number of choices stored in variables so far.
    choices: usize,
    /// Prefix of their names, because fragments run inside branches of a document.
    prefix: String,
    fragments: Fragments,
    /// Depth of nested fragments.
    depth: usize,
}

impl State {
    fn of(fragments: &mut Fragments) -> Self {
        Self {
            fragments: std::mem::take(fragments),
            ..Self::default()
        }
    }
}

/// The steps of a section so far, and the condition of the next ones.
struct Steps {
    section: Section,
    found: Vec<Value>,
    guard: Option<String>,
    depth: usize,
    /// In the section `backend`: whether a policy forwards the request.
    forwards: Option<bool>,
    target: Target,
    /// Comments in front of the next step.
    comments: Vec<String>,
}

impl Steps {
    fn new(section: Section, target: Target) -> Self {
        Self {
            section,
            found: Vec::new(),
            guard: None,
            depth: 0,
            forwards: None,
            target,
            comments: Vec::new(),
        }
    }
}

impl Steps {
    /// Adds a step behind the comments in front of it.
    fn push(&mut self, mut step: Value) {
        if !self.comments.is_empty() {
            step[COMMENT] = json!(self.comments.join(" "));
            self.comments.clear();
        }
        self.found.push(step);
    }
}

/// A condition within another one. The latter is a comparison of the importer's own variable, which cannot fail,
/// unless it is the condition of the document itself.
fn both(outer: &str, own: &str) -> String {
    match outer.starts_with("vars.imported_") {
        true => format!("{outer} && {own}"),
        false => format!("({outer} ? {own} : false)"),
    }
}

fn in_one_line(text: &str) -> String {
    let text = restore(text);
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ")
}

impl<'a> Translator<'a, '_> {
    /// An element, with what its expressions must know.
    fn element_of<'n, 'i>(&self, node: Node<'n, 'i>) -> Element<'n, 'i>
    where
        'a: 'n,
    {
        Element::new(node, &self.context.service)
    }

    /// As in API Management, a section without base inherits nothing from wider scopes.
    fn policies(&mut self, root: Node<'_, '_>) -> Value {
        let mut fields = Map::new();
        if self.scope != Scope::Global {
            fields.insert("inherit".to_owned(), json!(false));
        }
        for (section, name) in [
            (Section::Inbound, "inbound"),
            (Section::Outbound, "outbound"),
            (Section::OnError, "on-error"),
        ] {
            let target = Target::of(self.context, self.scope);
            let mut steps = Steps::new(section, target);
            for node in children(root, name) {
                self.block(node, &mut steps);
            }
            steps.comments.clear();
            if section == Section::Inbound {
                for node in children(root, "backend") {
                    self.backend(node, &mut steps);
                }
            }
            self.limit(root, &mut steps);
            if !steps.found.is_empty() {
                fields.insert(section.field().to_owned(), Value::Array(steps.found));
            }
        }
        let known = ["inbound", "backend", "outbound", "on-error"];
        for node in root.children().filter(Node::is_element) {
            if !known.contains(&node.tag_name().name()) {
                self.say(node, Level::Error, "this section is not known");
            }
        }
        Value::Object(fields)
    }

    fn limit(&mut self, root: Node<'_, '_>, steps: &mut Steps) {
        if steps.found.len() > MAX_STEPS {
            let (count, field) = (steps.found.len(), steps.section.field());
            steps.found.clear();
            let text = format!("{field} would have {count} steps; the maximum is {MAX_STEPS}");
            self.refuse(root, steps, &text);
        }
    }

    /// The section `backend` may only forward: the handshake always goes to the backend.
    fn backend(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        steps.forwards = Some(false);
        self.block(node, steps);
        if steps.forwards != Some(true) {
            self.refuse(node, steps, "nothing in it forwards the request");
        }
        steps.forwards = None;
    }

    fn block(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        for child in node.children() {
            if child.is_element() {
                self.element(child, steps);
                self.remark(child);
            } else if child.is_comment() {
                steps.comments.extend(child.text().map(in_one_line));
            } else if child.is_text() && child.text().is_some_and(|text| !text.trim().is_empty()) {
                self.refuse(child, steps, "text has no place here");
            }
        }
    }

    /// Reports what the translation of an element had to say about it.
    fn remark(&mut self, node: Node<'_, '_>) {
        for (level, text) in self.context.service.remarks() {
            self.say(node, level, &text);
        }
    }

    /// Adds a step, or a refusal if the step is not valid.
    fn push(&mut self, node: Node<'_, '_>, steps: &mut Steps, policy: Value) {
        if let Err(why) = self.add(node, steps, policy) {
            self.refuse(node, steps, &why);
        }
    }

    /// Adds a step. `Err`: why the step is not valid.
    fn add(
        &mut self,
        node: Node<'_, '_>,
        steps: &mut Steps,
        mut policy: Value,
    ) -> Result<(), String> {
        if let Some(id) = node.attribute("id") {
            policy["id"] = json!(id);
        }
        if let Some(guard) = &steps.guard {
            policy["when"] = match policy["when"].as_str() {
                Some(own) => json!(both(guard, own)),
                None => json!(guard),
            };
        }
        match self.state.probe.check(steps.section, &policy) {
            None => {
                steps.push(policy);
                Ok(())
            }
            Some(why) => Err(why),
        }
    }

    /// Reports what is not translated, and adds a refusal instead, except in onError, where the handshake is already
    /// refused.
    fn refuse(&mut self, node: Node<'_, '_>, steps: &mut Steps, why: &str) {
        if steps.section == Section::OnError {
            self.say(node, Level::Error, &format!("left out: {why}"));
            return;
        }
        self.say(
            node,
            Level::Error,
            &format!("refuses with 501 instead: {why}"),
        );
        let (line, _) = position(self.document.input_text(), node.range().start);
        let mut placeholder = json!({
            "id": format!("not-imported-line-{line}"),
            "returnResponse": {"status": 501, "message": "A policy could not be imported."},
        });
        if let Some(guard) = &steps.guard {
            let plain = placeholder.clone();
            placeholder["when"] = json!(guard);
            // The condition itself may be what is not valid here.
            if self
                .state
                .probe
                .check(steps.section, &placeholder)
                .is_some()
            {
                placeholder = plain;
            }
        }
        steps.push(placeholder);
    }

    fn say(&mut self, node: Node<'_, '_>, level: Level, text: &str) {
        let range = node.range();
        let (row, column) = position(self.document.input_text(), range.start);
        let source = self.document.input_text().get(range).unwrap_or_default();
        let start: String = source.chars().take(1024).collect();
        let source = excerpt(&restore(&start));
        let text = format!("{text}: {source}");
        let finding = Finding::new(row, column, level, text);
        self.state.findings.push(match self.file {
            None => finding,
            Some((file, 1)) => finding.in_file(file),
            Some((file, line)) => finding.within(file, line),
        });
    }
}

fn children<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Vec<Node<'a, 'i>> {
    let has_name = |child: &Node<'_, '_>| child.has_tag_name(name);
    node.children().filter(has_name).collect()
}

/// The text in one line, shortened.
fn excerpt(source: &str) -> String {
    const LENGTH: usize = 160;
    let line = in_one_line(source);
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests;
