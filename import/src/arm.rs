//! Reads the entities of ARM templates, also of those compiled from Bicep.

mod expression;

use std::path::Path;

use self::expression::Scope;
use super::entity::{Entity, Place};
use super::finding::{Finding, Level};
use super::json::{Kind, Node};

/// Prefix of the types of API Management.
const SERVICE: &str = "microsoft.apimanagement/service";

/// A template within the template.
const DEPLOYMENT: &str = "microsoft.resources/deployments";

const UNKNOWN_NAME: &str =
    "its name cannot be evaluated: only parameters with values, variables and string functions can";

/// Deeper nesting than templates allow.
const MAX_DEPTH: usize = 8;

/// The most resources of one copy loop, as in Azure.
const MAX_COPIES: usize = 800;

/// Values of parameters by name.
pub(super) type Parameters = Vec<(String, Node)>;

/// The values in a file of parameters; `None`: it is no such file.
pub(super) fn parameters(text: &str) -> Option<Parameters> {
    let root = Node::parse(text).ok()?;
    let given = root.get("parameters")?.fields();
    let is_value = |(_, node): &(String, Node)| node.get("type").is_none();
    if root.get("resources").is_some() || !given.iter().all(is_value) {
        return None;
    }
    // `${NAME}` is a variable of the tool that deploys.
    let is_known = |node: &Node| node.text().is_none_or(|text| !text.contains("${"));
    let value = |(name, node): &(String, Node)| {
        let value = node.get("value").filter(|value| is_known(value))?;
        Some((name.clone(), value.clone()))
    };
    Some(given.iter().filter_map(value).collect())
}

/// All entities of a template with these parameters.
pub(super) fn entities(
    file: &Path,
    text: &str,
    parameters: &[(String, Node)],
) -> Result<(Vec<Entity>, Vec<Finding>), Finding> {
    let root = Node::parse(text)
        .map_err(|error| Finding::at(file, error.line, Level::Error, error.message))?;
    let mut reader = Reader {
        file,
        scope: Scope::of(&root).given(parameters),
        entities: Vec::new(),
        findings: Vec::new(),
    };
    reader.resources(&root, "", "", 0);
    Ok((reader.entities, reader.findings))
}

/// Names of properties before 2019, and their names since.
const OLD_NAMES: [(&str, &str); 2] = [("policyContent", "value"), ("contentFormat", "format")];

fn rename_old(properties: &mut Node) {
    let Kind::Map(fields) = &mut properties.kind else {
        return;
    };
    for (name, _) in fields {
        let mut known = OLD_NAMES.iter();
        if let Some((_, new)) = known.find(|(old, _)| old.eq_ignore_ascii_case(name)) {
            *name = (*new).to_owned();
        }
    }
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
            self.copies(resource, kind, name, depth);
        }
    }

    /// A resource, as often as its copy loop says.
    fn copies(&mut self, node: &Node, kind: &str, name: &str, depth: usize) {
        let Some(copy) = node.get("copy") else {
            self.resource(node, kind, name, depth);
            return;
        };
        let count = copy.get("count").and_then(|count| self.scope.count(count));
        let Some(count) = count.filter(|count| *count <= MAX_COPIES) else {
            let text =
                "a copy loop whose count is not known is left out: give its parameters values";
            self.say(node, Level::Error, text.to_owned());
            return;
        };
        let own = copy.text_of("name").unwrap_or_default();
        for index in 0..count {
            let inner = self.scope.copy(own, index);
            let outer = std::mem::replace(&mut self.scope, inner);
            self.resource(node, kind, name, depth);
            self.scope = outer;
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
        let is_left_out = self.is_left_out(node, &kind);
        if is_left_out && !kind.starts_with(SERVICE) {
            return;
        }
        if kind == DEPLOYMENT && depth < MAX_DEPTH {
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
                self.say(node, Level::Error, UNKNOWN_NAME.to_owned());
                return;
            }
            ("", Some(name)) => name,
            (outer, Some(name)) => format!("{outer}/{name}"),
        };
        let kind_below = kind_below.trim_start_matches('/');
        if kind_below.is_empty() && !is_left_out {
            let text = "skipped: the service itself: of it only what lies below is imported";
            self.say(node, Level::Note, text.to_owned());
        } else if !is_left_out {
            self.entity(node, kind_below, &name);
        }
        if depth < MAX_DEPTH {
            self.resources(node, &kind, &name, depth + 1);
        } else if node.get("resources").is_some() {
            let text = "its resources are left out: they are nested too deeply";
            self.say(node, Level::Error, text.to_owned());
        }
    }

    /// Whether the resource is not imported: it exists already, or its condition is false. What stands below it is
    /// another resource.
    fn is_left_out(&mut self, node: &Node, kind: &str) -> bool {
        let existing = node.get("existing");
        if existing.and_then(|existing| self.scope.truth(existing)) == Some(true) {
            let why = "it exists already, and the template does not say what it is";
            // Without its policies, an object lets through what they refuse.
            let level = match kind.ends_with("policies") {
                true => Level::Error,
                false => Level::Note,
            };
            self.say_skipped(node, kind, level, why);
            return true;
        }
        let Some(condition) = node.get("condition") else {
            return false;
        };
        match self.scope.truth(condition) {
            Some(true) => false,
            Some(false) => {
                self.say_skipped(node, kind, Level::Note, "its condition is false");
                true
            }
            None => {
                let is_read = kind.starts_with(SERVICE) || kind == DEPLOYMENT;
                if is_read {
                    let text = "its condition is unknown and assumed to be true".to_owned();
                    self.say(node, Level::Warning, text);
                }
                false
            }
        }
    }

    fn say_skipped(&mut self, node: &Node, kind: &str, level: Level, why: &str) {
        let name = self.scope.text(node.get("name"));
        let name = name.unwrap_or_else(|| "?".to_owned());
        self.say(node, level, format!("skipped: {kind} {name}: {why}"));
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
        if names.iter().any(|name| name.contains('?')) || name == "?" {
            self.say(node, Level::Error, UNKNOWN_NAME.to_owned());
            return;
        }
        if names.len() != kind.split('/').count() || names.iter().any(String::is_empty) {
            let text = format!("the name {name:?} does not fit the type {kind}");
            self.say(node, Level::Error, text);
            return;
        }
        let mut properties = node.get("properties").cloned().unwrap_or(Node {
            line: node.line,
            kind: Kind::Map(Vec::new()),
        });
        rename_old(&mut properties);
        let unknown = self.resolve(&mut properties);
        self.entities.push(Entity {
            unknown,
            kind: kind.to_owned(),
            names,
            properties,
            place: Place {
                file: self.file.to_owned(),
                line: node.line,
            },
        });
    }

    /// Evaluates properties, and returns the names of those that are not known.
    fn resolve(&self, properties: &mut Node) -> Vec<String> {
        let Kind::Map(fields) = &mut properties.kind else {
            return Vec::new();
        };
        let unknown = fields.iter_mut().filter_map(|(name, node)| {
            let is_known = self.scope.resolve(node);
            (!is_known).then(|| name.clone())
        });
        unknown.collect()
    }

    fn say(&mut self, node: &Node, level: Level, text: String) {
        let finding = Finding::at(self.file, node.line.into(), level, text);
        self.findings.push(finding);
    }
}
