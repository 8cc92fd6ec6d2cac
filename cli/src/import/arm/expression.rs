//! Expressions of ARM templates, as far as names and settings are made of them: parameters with
//! defaults, variables, `concat`, `format` and `resourceId`.

use std::collections::BTreeMap;

use super::super::json::{Kind, Node};

/// Variables may name variables, but not for ever.
const MAX_DEPTH: usize = 16;

/// What names stand for. What is not known stays as it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    parameters: BTreeMap<String, Node>,
    variables: BTreeMap<String, Node>,
}

impl Scope {
    /// Of a template: defaults of its parameters, and its variables.
    pub(super) fn of(template: &Node) -> Self {
        let fields = |name: &str| {
            let fields = template.get(name).map(Node::fields);
            fields.unwrap_or_default().iter()
        };
        let default = |(name, node): &(String, Node)| {
            Some((name.to_lowercase(), node.get("defaultValue")?.clone()))
        };
        let variable = |(name, node): &(String, Node)| (name.to_lowercase(), node.clone());
        Self {
            parameters: fields("parameters").filter_map(default).collect(),
            variables: fields("variables").map(variable).collect(),
        }
    }

    /// Of a template within this one, with what this one gives it.
    pub(super) fn inner(&self, template: &Node, given: Option<&Node>) -> Self {
        let mut inner = Self::of(template);
        for (name, node) in given.map(Node::fields).unwrap_or_default() {
            if let Some(value) = node.get("value") {
                let mut value = value.clone();
                self.resolve(&mut value);
                inner.parameters.insert(name.to_lowercase(), value);
            }
        }
        inner
    }

    /// A text with its expression evaluated. A parameter without a value is `?` within a name, since
    /// the service's own name mostly is one.
    pub(super) fn text(&self, node: Option<&Node>) -> Option<String> {
        let text = node?.text()?;
        match inside(text) {
            None => Some(text.to_owned()),
            Some(expression) => self.parse(expression, Unknown::Placeholder, 0),
        }
    }

    /// Evaluates what can be, everywhere in a value.
    pub(super) fn resolve(&self, node: &mut Node) {
        match &mut node.kind {
            Kind::Text(text) => {
                let found = inside(text).and_then(|e| self.parse(e, Unknown::Fails, 0));
                match found {
                    Some(found) => *text = found,
                    None => {
                        if let Some(whole) = inside(text).and_then(|e| self.whole(e)) {
                            node.kind = whole;
                        }
                    }
                }
            }
            Kind::List(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            Kind::Map(fields) => fields.iter_mut().for_each(|(_, field)| self.resolve(field)),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        }
        if let Kind::Text(text) = &mut node.kind
            && text.starts_with("[[")
        {
            text.remove(0);
        }
    }

    /// A parameter or variable that is no text.
    fn whole(&self, expression: &str) -> Option<Kind> {
        let (function, rest) = expression.split_once('(')?;
        let name = rest.trim().strip_suffix(')')?.trim().trim_matches('\'');
        let name = name.to_lowercase();
        let found = match function.trim().to_lowercase().as_str() {
            "parameters" => self.parameters.get(&name)?,
            "variables" => self.variables.get(&name)?,
            _ => return None,
        };
        (found.text().is_none()).then(|| found.kind.clone())
    }

    fn parse(&self, expression: &str, unknown: Unknown, depth: usize) -> Option<String> {
        let mut parser = Parser {
            rest: expression.trim(),
            scope: self,
            unknown,
            depth,
        };
        let found = parser.term()?;
        parser.rest.trim().is_empty().then_some(found)
    }
}

/// What a parameter without a value is.
#[derive(Clone, Copy)]
enum Unknown {
    Fails,
    Placeholder,
}

/// The expression in a text; `[[` starts a plain one.
fn inside(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    (!inside.starts_with('[')).then_some(inside)
}

struct Parser<'a> {
    rest: &'a str,
    scope: &'a Scope,
    unknown: Unknown,
    depth: usize,
}

impl Parser<'_> {
    fn term(&mut self) -> Option<String> {
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('\'') {
            return self.literal();
        }
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric())?;
        let (function, rest) = self.rest.split_at(end);
        if function.bytes().all(|b| b.is_ascii_digit()) && !function.is_empty() {
            self.rest = rest;
            return Some(function.to_owned());
        }
        self.rest = rest.trim_start().strip_prefix('(')?;
        let mut arguments = Vec::new();
        let unknown = self.unknown;
        // An id names the service, which is mostly a parameter.
        if function.eq_ignore_ascii_case("resourceId") {
            self.unknown = Unknown::Placeholder;
        }
        self.depth += 1;
        while !self.take(')') {
            arguments.push(self.term()?);
            if !self.take(',') && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        self.depth -= 1;
        self.unknown = unknown;
        self.call(&function.to_lowercase(), arguments)
    }

    fn take(&mut self, what: char) -> bool {
        match self.rest.trim_start().strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A doubled quote is one.
    fn literal(&mut self) -> Option<String> {
        let mut found = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = characters.next() {
            if c != '\'' {
                found.push(c);
            } else if characters.peek().is_some_and(|(_, next)| *next == '\'') {
                characters.next();
                found.push(c);
            } else {
                self.rest = &self.rest[at + 1..];
                return Some(found);
            }
        }
        None
    }

    fn call(&self, function: &str, arguments: Vec<String>) -> Option<String> {
        match function {
            "concat" => Some(arguments.concat()),
            "format" => format(&arguments),
            "resourceid" => Some(resource_id(&arguments)),
            "parameters" | "variables" => {
                let name = arguments.first()?.to_lowercase();
                let known = match function {
                    "parameters" => self.scope.parameters.get(&name),
                    _ => self.scope.variables.get(&name),
                };
                match (known.and_then(Node::text), self.unknown) {
                    (Some(text), unknown) => match inside(text) {
                        None => Some(text.to_owned()),
                        Some(inner) => self.scope.parse(inner, unknown, self.depth + 1),
                    },
                    (None, Unknown::Placeholder) => Some("?".to_owned()),
                    (None, Unknown::Fails) => None,
                }
            }
            _ => None,
        }
    }
}

/// The part of an id behind the provider: types and names by turns.
fn resource_id(arguments: &[String]) -> String {
    let at = arguments.iter().position(|argument| argument.contains('/'));
    let Some((kind, names)) = at.and_then(|at| arguments[at..].split_first()) else {
        return arguments.join("/");
    };
    let kinds = kind.split('/').skip(1);
    let parts = kinds
        .zip(names)
        .map(|(kind, name)| format!("/{kind}/{name}"));
    parts.collect()
}

/// `{0}` and so on; other braces are doubled.
fn format(arguments: &[String]) -> Option<String> {
    let (pattern, values) = arguments.split_first()?;
    let mut found = String::new();
    let mut rest = pattern.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        found.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            found.push_str(brace);
            rest = after;
            continue;
        }
        let (number, after) = rest.split_once('}')?;
        found.push_str(values.get(number.parse::<usize>().ok()?)?);
        rest = after;
    }
    found.push_str(rest);
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let template = r#"{
            "parameters": {"service": {"type": "string"}, "env": {"defaultValue": "dev"},
                           "on": {"defaultValue": false}},
            "variables": {"api": "[concat('chat-', parameters('env'))]"}
        }"#;
        Scope::of(&Node::parse(template).unwrap())
    }

    #[test]
    fn names_are_read_whatever_they_are_made_of() {
        for (text, name) in [
            ("plain/chat", Some("plain/chat")),
            ("[concat(parameters('service'), '/chat')]", Some("?/chat")),
            (
                "[format('{0}/{1}', parameters('service'), variables('api'))]",
                Some("?/chat-dev"),
            ),
            ("[format('{{{0}}}', 'it''s')]", Some("{it's}")),
            ("[toLower('A')]", None),
            ("[concat('a'", Some("[concat('a'")),
        ] {
            let node = Node {
                line: 1,
                kind: Kind::Text(text.to_owned()),
            };
            assert_eq!(scope().text(Some(&node)).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn values_keep_what_is_not_known() {
        for (text, value) in [
            ("[parameters('env')]", Kind::Text("dev".to_owned())),
            (
                "[resourceId('Microsoft.ApiManagement/service/apis', parameters('service'), 'a')]",
                Kind::Text("/service/?/apis/a".to_owned()),
            ),
            ("[parameters('on')]", Kind::Bool(false)),
            (
                "[parameters('service')]",
                Kind::Text("[parameters('service')]".to_owned()),
            ),
            (
                "[[not an expression]",
                Kind::Text("[not an expression]".to_owned()),
            ),
        ] {
            let mut node = Node {
                line: 1,
                kind: Kind::Text(text.to_owned()),
            };
            scope().resolve(&mut node);
            assert_eq!(node.kind, value, "{text}");
        }
    }
}
