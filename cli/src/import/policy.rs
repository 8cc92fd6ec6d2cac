//! A policy document to the steps of one scope.
//!
//! Nothing gets open by an import: what can not be translated becomes a step that refuses with 501,
//! under the conditions under which the policy would have run.

mod choose;
mod context;
mod fragment;

use std::path::Path;

use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};

pub(super) use self::context::{Context, Fragment};
use super::finding::{Finding, Level};
use super::probe::Probe;
use super::steps::step;
use super::xml::{protect, restore};
use tidegate_config::policy::Section;

/// Whose policies a document has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scope {
    /// All APIs: goes into a Gateway.
    Global,
    /// Goes into a Product.
    Product,
    /// The operation onHandshake: goes into a WebSocketApi.
    Api,
}

/// What is never run on a handshake there; allowed in wider scopes only.
const UNSUPPORTED: [&str; 15] = [
    "mock-response",
    "cache-lookup",
    "cache-store",
    "cross-domain",
    "cors",
    "jsonp",
    "set-method",
    "set-body",
    "xml-to-json",
    "json-to-xml",
    "xsl-transform",
    "validate-content",
    "validate-parameters",
    "validate-headers",
    "validate-status-code",
];

/// What only watches: leaving it out lets nobody in.
const WATCHERS: [&str; 3] = ["trace", "emit-metric", "log-to-eventhub"];

/// Steps a section takes.
const MAX_STEPS: usize = 32;

/// Deeper nesting of choose is refused as a whole.
const MAX_DEPTH: usize = 16;

/// The steps of a document, as `onHandshake`, and what there is to say about it. Findings lack the
/// file's name. `Err`: nothing could be read.
pub(super) fn import(
    text: &str,
    scope: Scope,
    context: &Context,
) -> Result<(Value, Vec<Finding>), Finding> {
    let unreadable = |line, column, text: String| Finding::new(line, column, Level::Error, text);
    let Some(protected) = protect(text) else {
        let text = "has characters of the private use area U+E000 to U+E003";
        return Err(unreadable(1, 1, text.to_owned()));
    };
    let document = Document::parse(&protected).map_err(|error| {
        let at = error.pos();
        unreadable(at.row, at.col, restore(&error.to_string()))
    })?;
    let root = document.root_element();
    if root.tag_name().name() != "policies" {
        let text = format!("<policies> is wanted, not <{}>", root.tag_name().name());
        return Err(unreadable(1, 1, text));
    }
    let mut translator = Translator {
        document: &document,
        scope,
        context,
        file: None,
        state: State::default(),
    };
    let value = translator.policies(root);
    Ok((value, translator.state.findings))
}

struct Translator<'a, 'i> {
    document: &'a Document<'i>,
    scope: Scope,
    context: &'a Context,
    /// Of the document, where it is not that of the import.
    file: Option<(&'a Path, u32)>,
    state: State,
}

/// What documents and fragments have in common.
#[derive(Default)]
struct State {
    probe: Probe,
    findings: Vec<Finding>,
    /// Conditions kept in variables so far.
    conditions: usize,
    /// Fragments within fragments.
    depth: usize,
}

/// Steps of a section as they grow, and under which condition the next ones run.
struct Steps {
    section: Section,
    found: Vec<Value>,
    guard: Option<String>,
    depth: usize,
}

impl Translator<'_, '_> {
    /// A section without base gets nothing from wider scopes, as there.
    fn policies(&mut self, root: Node<'_, '_>) -> Value {
        let mut fields = Map::new();
        if self.scope != Scope::Global {
            fields.insert("inherit".to_owned(), json!(false));
        }
        let empty = [
            (Section::Inbound, "inbound"),
            (Section::Outbound, "outbound"),
        ];
        let sections = empty.into_iter().chain([(Section::OnError, "on-error")]);
        for (section, name) in sections {
            let mut steps = Steps {
                section,
                found: Vec::new(),
                guard: None,
                depth: 0,
            };
            for node in children(root, name) {
                self.block(node, &mut steps);
            }
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
            let text = format!("{field} would have {count} steps, of {MAX_STEPS}");
            self.refuse(root, steps, &text);
        }
    }

    /// The handshake goes to the backend by itself.
    fn backend(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let mut forwards = false;
        for child in node.children().filter(Node::is_element) {
            match child.tag_name().name() {
                "base" => forwards |= self.scope != Scope::Global,
                "forward-request" => {
                    forwards = true;
                    if child.attributes().len() > 0 {
                        let text = "left out: its settings are timeouts of the WebSocketApi";
                        self.say(child, Level::Warning, text);
                    }
                }
                _ => {
                    self.element(child, steps);
                }
            }
        }
        if !forwards {
            self.refuse(node, steps, "nothing in it forwards the request");
        }
    }

    fn block(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        for child in node.children() {
            if child.is_element() {
                self.element(child, steps);
            } else if child.is_text() && child.text().is_some_and(|text| !text.trim().is_empty()) {
                self.refuse(child, steps, "text has no place here");
            }
        }
    }

    fn element(&mut self, node: Node<'_, '_>, steps: &mut Steps) {
        let name = node.tag_name().name();
        if name == "choose" {
            self.choose(node, steps);
        } else if name == "include-fragment" {
            self.include(node, steps);
        } else if name == "base" {
            match self.scope {
                Scope::Global => {}
                _ => self.push(node, steps, json!({"base": {}})),
            }
        } else if UNSUPPORTED.contains(&name) && self.scope != Scope::Api {
            self.say(node, Level::Note, "skipped for WebSocket, as there");
        } else if UNSUPPORTED.contains(&name) {
            self.refuse(node, steps, "not supported on a WebSocket API");
        } else if WATCHERS.contains(&name) {
            self.say(node, Level::Warning, "left out: it changes no handshake");
        } else {
            match step(node, self.context) {
                Ok(policy) => self.push(node, steps, policy),
                Err(why) => self.refuse(node, steps, &why.to_string()),
            }
        }
    }

    /// Adds a step, when it is one that Tidegate takes.
    fn push(&mut self, node: Node<'_, '_>, steps: &mut Steps, mut policy: Value) {
        if let Some(id) = node.attribute("id") {
            policy["id"] = json!(id);
        }
        if let Some(guard) = &steps.guard {
            policy["when"] = json!(guard);
        }
        match self.state.probe.check(steps.section, &policy) {
            None => steps.found.push(policy),
            Some(why) => self.refuse(node, steps, &why),
        }
    }

    /// Says what is not translated, and puts a refusal in its place. In onError the handshake is
    /// refused already.
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
        let line = self.document.text_pos_at(node.range().start).row;
        let mut placeholder = json!({
            "id": format!("not-imported-line-{line}"),
            "returnResponse": {"status": 501, "message": "A policy could not be imported."},
        });
        if let Some(guard) = &steps.guard {
            placeholder["when"] = json!(guard);
        }
        steps.found.push(placeholder);
    }

    fn say(&mut self, node: Node<'_, '_>, level: Level, text: &str) {
        let range = node.range();
        let at = self.document.text_pos_at(range.start);
        let source = self.document.input_text().get(range).unwrap_or_default();
        let source = excerpt(&restore(source));
        let text = format!("{text}: {source}");
        let finding = Finding::new(at.row, at.col, level, text);
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

/// The text in one line, not too long.
fn excerpt(source: &str) -> String {
    const LENGTH: usize = 160;
    let words: Vec<_> = source.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
