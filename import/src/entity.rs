//! What templates and folders have in common: entities of API Management with their properties.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::finding::{Finding, Level};
use super::json::{Kind, Node};

/// One resource below the service.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// Its type below `Microsoft.ApiManagement/service`, in lower case: `products/apis`.
    pub(super) kind: String,
    /// Its name and those of the entities around it, outermost first.
    pub(super) names: Vec<String>,
    pub(super) properties: Node,
    /// Names of properties that are not known completely.
    pub(super) unknown: Vec<String>,
    pub(super) place: Place,
}

/// Properties whose readers say themselves what becomes of an unknown value.
const ELSEWHERE: [&str; 7] = [
    "type",
    "apitype",
    "value",
    "primarykey",
    "secondarykey",
    "url",
    "pool",
];

/// A place in a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) line: u32,
}

impl Entity {
    /// An entity with a text only, such as a policy document.
    pub(super) fn of_text(kind: &str, names: &[&str], text: String, file: PathBuf) -> Self {
        let field = |name: &str, text| {
            let kind = Kind::Text(text);
            (name.to_owned(), Node { line: 1, kind })
        };
        let fields = vec![field("format", "rawxml".to_owned()), field("value", text)];
        Self {
            kind: kind.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            properties: Node {
                line: 1,
                kind: Kind::Map(fields),
            },
            unknown: Vec::new(),
            place: Place { file, line: 1 },
        }
    }

    /// Its own name.
    pub(super) fn name(&self) -> &str {
        self.names.last().map_or("", String::as_str)
    }

    /// Name of the entity around it.
    pub(super) fn owner(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// A finding about it.
    pub(super) fn finding(&self, level: Level, text: impl Into<String>) -> Finding {
        Finding::at(&self.place.file, self.place.line.into(), level, text.into())
    }

    /// A finding about one of its properties.
    pub(super) fn about(&self, node: &Node, level: Level, text: impl Into<String>) -> Finding {
        Finding::at(&self.place.file, node.line.into(), level, text.into())
    }

    /// A warning for each property that has a value and is not one of these, and an error for each of these that
    /// is not known.
    pub(super) fn leftovers(&self, known: &[&str]) -> Vec<Finding> {
        let is_known = |name: &str| known.iter().any(|known| known.eq_ignore_ascii_case(name));
        let is_left = |(name, node): &&(String, Node)| {
            let is_empty = node.is_empty();
            !is_empty && !is_known(name)
        };
        let left = self.properties.fields().iter().filter(is_left);
        let say = |(name, node): &(String, Node)| {
            let text = format!("{} {}: {name} is not translated", self.kind, self.name());
            self.about(node, Level::Warning, text)
        };
        let unknown = self.unknown.iter().filter(|name| is_known(name));
        let unknown = unknown.filter(|name| !ELSEWHERE.contains(&name.to_lowercase().as_str()));
        let say_unknown = |name: &String| {
            let text = format!(
                "{} {}: {name} is an expression that cannot be evaluated: give its parameters values",
                self.kind,
                self.name()
            );
            self.finding(Level::Error, text)
        };
        left.map(say).chain(unknown.map(say_unknown)).collect()
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.properties.text_of(name)
    }

    /// A property that is true or false.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.properties.get(name)?.kind {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }
}

/// The last name of an ID: `/products/starter`, or a complete resource ID of Azure.
pub(super) fn last(id: &str) -> &str {
    let id = id.trim_end_matches('/');
    id.rsplit('/').next().unwrap_or(id)
}

/// Names of Kubernetes objects: the same for the same name, different for different names.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    /// Keeps a name for an object that is no entity.
    pub(super) fn reserve(&mut self, kind: &'static str, name: &str) {
        // No entity has such a name.
        self.0.insert((kind, format!("/{name}")), name.to_owned());
    }

    /// The name of an object of a kind.
    pub(super) fn of(&mut self, kind: &'static str, name: &str) -> String {
        let id = (kind, name.to_lowercase());
        if let Some(found) = self.0.get(&id) {
            return found.clone();
        }
        let plain = dns(name);
        let is_taken = |candidate: &str| {
            let mut of_kind = self.0.iter().filter(|((k, _), _)| *k == kind);
            of_kind.any(|(_, name)| name == candidate)
        };
        let numbered = (2..).map(|number| format!("{plain}-{number}"));
        let found = std::iter::once(plain.clone())
            .chain(numbered)
            .find(|candidate| !is_taken(candidate))
            .unwrap_or(plain);
        self.0.insert(id, found.clone());
        found
    }
}

/// Lower case letters, digits and `-`; other characters become `-` (RFC 1123, at most 50).
fn dns(name: &str) -> String {
    const LENGTH: usize = 50;
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.to_lowercase().chars().map(fits).take(LENGTH).collect();
    match name.trim_matches('-') {
        "" => "imported".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_kubernetes_and_stay_apart() {
        let mut names = Names::default();
        assert_eq!(names.of("Api", "Chat_API v2"), "chat-api-v2");
        assert_eq!(names.of("Api", "chat-api-v2"), "chat-api-v2-2");
        assert_eq!(names.of("Api", "CHAT_api V2"), "chat-api-v2");
        assert_eq!(names.of("Product", "chat-api-v2"), "chat-api-v2");
        assert_eq!(names.of("Api", "__"), "imported");
    }

    #[test]
    fn an_id_ends_in_a_name() {
        assert_eq!(last("/products/starter"), "starter");
        assert_eq!(last("/subscriptions/x/service/y/apis/"), "apis");
        assert_eq!(last("starter"), "starter");
    }
}
