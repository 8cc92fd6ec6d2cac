//! Reads the entities of ARM templates, also of those compiled from Bicep.

mod expression;

use std::path::Path;

use self::expression::Scope;
use super::entity::{Entity, Place};
use super::finding::{Finding, Level};
use super::json::{Kind, Node};

/// Prefix of the types of API Management.
const SERVICE: &str = "microsoft.apimanagement/service";

/// Deeper nesting than templates allow.
const MAX_DEPTH: usize = 8;

/// All entities of a template.
pub(super) fn entities(file: &Path, text: &str) -> Result<(Vec<Entity>, Vec<Finding>), Finding> {
    let root = Node::parse(text)
        .map_err(|error| Finding::at(file, error.line, Level::Error, error.message))?;
    let mut reader = Reader {
        file,
        scope: Scope::of(&root),
        entities: Vec::new(),
        findings: Vec::new(),
    };
    reader.resources(&root, "", "", 0);
    Ok((reader.entities, reader.findings))
}

struct Reader<'a> {
    file: &'a Path,
    scope: Scope,
    entities: Vec<Entity>,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    /// Resources of a template or below a resource: a list, or a map by symbolic name.
    fn resources(&mut self, node: &Node, kind: &str, name: &str, depth: usize) {
        let Some(resources) = node.get("resources") else {
            return;
        };
        let of_map = resources.fields().iter().map(|(_, resource)| resource);
        for resource in resources.items().iter().chain(of_map) {
            self.resource(resource, kind, name, depth);
        }
    }

    fn resource(&mut self, node: &Node, outer_kind: &str, outer_name: &str, depth: usize) {
        let own = node
            .text_of("type")
            .unwrap_or_default()
            .to_ascii_lowercase();
        let kind = match outer_kind {
            "" => own,
            outer if own.starts_with("microsoft.") => own.trim_start_matches(outer).to_owned(),
            outer => format!("{outer}/{own}"),
        };
        if self.is_left_out(node) {
            return;
        }
        if kind == "microsoft.resources/deployments" && depth < MAX_DEPTH {
            self.deployment(node, depth);
            return;
        }
        let Some(kind_below) = kind.strip_prefix(SERVICE) else {
            let text = format!("skipped: {kind} is not part of API Management");
            self.say(node, Level::Note, text);
            return;
        };
        let own_name = self.scope.text(node.get("name"));
        let name = match (outer_name, own_name) {
            (_, None) => {
                let text = "its name cannot be evaluated: only parameters with defaults, variables \
                            and string functions can";
                self.say(node, Level::Error, text.to_owned());
                return;
            }
            ("", Some(name)) => name,
            (outer, Some(name)) => format!("{outer}/{name}"),
        };
        let kind_below = kind_below.trim_start_matches('/');
        if !kind_below.is_empty() {
            self.entity(node, kind_below, &name);
        }
        if depth < MAX_DEPTH {
            self.resources(node, &kind, &name, depth + 1);
        }
    }

    /// Whether the resource is not imported: it exists already, its condition is false, or it is a copy loop.
    fn is_left_out(&mut self, node: &Node) -> bool {
        if node
            .get("existing")
            .and_then(|existing| self.scope.truth(existing))
            == Some(true)
        {
            return true;
        }
        if node.get("copy").is_some() {
            let text = "a copy loop is not translated: list its resources";
            self.say(node, Level::Error, text.to_owned());
            return true;
        }
        let Some(condition) = node.get("condition") else {
            return false;
        };
        match self.scope.truth(condition) {
            Some(true) => false,
            Some(false) => {
                let text = "skipped: its condition is false".to_owned();
                self.say(node, Level::Note, text);
                true
            }
            None => {
                let text = "its condition is unknown and assumed to be true".to_owned();
                self.say(node, Level::Warning, text);
                false
            }
        }
    }

    /// A nested template. It has its own parameters, unless its expressions are evaluated in the outer template.
    fn deployment(&mut self, node: &Node, depth: usize) {
        let properties = node.get("properties");
        let Some(template) = properties.and_then(|p| p.get("template")) else {
            let text = "a linked template is not read: pass its file too";
            self.say(node, Level::Error, text.to_owned());
            return;
        };
        let options = properties.and_then(|p| p.get("expressionEvaluationOptions"));
        let is_inner = options
            .and_then(|options| options.text_of("scope"))
            .is_some_and(|scope| scope.eq_ignore_ascii_case("inner"));
        let given = properties.and_then(|p| p.get("parameters"));
        let inner = match is_inner {
            true => self.scope.inner(template, given),
            false => self.scope.clone(),
        };
        let outer = std::mem::replace(&mut self.scope, inner);
        self.resources(template, "", "", depth + 1);
        self.scope = outer;
    }

    fn entity(&mut self, node: &Node, kind: &str, name: &str) {
        // The first part is the name of the service.
        let names: Vec<_> = name.split('/').skip(1).map(str::to_owned).collect();
        if names.len() != kind.split('/').count() || names.iter().any(String::is_empty) {
            let text = format!("the name {name:?} does not fit the type {kind}");
            self.say(node, Level::Error, text);
            return;
        }
        let mut properties = node.get("properties").cloned().unwrap_or(Node {
            line: node.line,
            kind: Kind::Map(Vec::new()),
        });
        self.scope.resolve(&mut properties);
        self.entities.push(Entity {
            kind: kind.to_owned(),
            names,
            properties,
            place: Place {
                file: self.file.to_owned(),
                line: node.line,
            },
        });
    }

    fn say(&mut self, node: &Node, level: Level, text: String) {
        let finding = Finding::at(self.file, node.line.into(), level, text);
        self.findings.push(finding);
    }
}
