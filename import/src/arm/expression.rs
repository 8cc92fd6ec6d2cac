//! Expressions of ARM templates, as far as names and settings need them: parameters with defaults, variables,
//! and functions of strings and booleans.

mod evaluate;
mod functions;

use std::cell::Cell;
use std::collections::BTreeMap;

use self::evaluate::evaluate;
use super::super::json::{Kind, Node};

/// Depth of variables that refer to variables.
const MAX_DEPTH: usize = 16;

/// Limit of terms in one value: variables that refer to another one twice grow exponentially.
const MAX_TERMS: usize = 10_000;

/// Values of parameters and variables. Unknown expressions stay as written.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    parameters: BTreeMap<String, Node>,
    variables: BTreeMap<String, Node>,
    /// Indexes of the copy loops around, by their names, and of the innermost one by an empty name.
    copies: BTreeMap<String, usize>,
    /// Terms evaluated for the current value.
    terms: Cell<usize>,
}

/// The value of a parameter without a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    Fails,
    Placeholder,
}

impl Scope {
    /// The scope of a template: defaults of its parameters, and its variables.
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
            copies: BTreeMap::new(),
            terms: Cell::default(),
        }
    }

    /// The same scope with these values of parameters.
    pub(super) fn given(mut self, parameters: &[(String, Node)]) -> Self {
        let parameters = parameters.iter().cloned();
        self.parameters
            .extend(parameters.map(|(name, node)| (name.to_lowercase(), node)));
        self
    }

    /// The same scope within a copy loop.
    pub(super) fn copy(&self, name: &str, index: usize) -> Self {
        let mut inner = self.clone();
        inner.copies.insert(name.to_lowercase(), index);
        inner.copies.insert(String::new(), index);
        inner
    }

    /// A whole number; `None`: unknown.
    pub(super) fn count(&self, node: &Node) -> Option<usize> {
        let found = match &node.kind {
            Kind::Text(text) => self.value(text, Unknown::Fails)?,
            other => other.clone(),
        };
        match found {
            Kind::Number(number) => number.parse().ok(),
            _ => None,
        }
    }

    /// The scope of a nested template, with the parameters that it is given.
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

    /// A text with its expression evaluated. In a name, what is not known is `?`, because the name of the service
    /// usually is.
    pub(super) fn text(&self, node: Option<&Node>) -> Option<String> {
        let text = node?.text()?;
        match self.value(text, Unknown::Placeholder) {
            None if inside(text).is_none() => Some(text.to_owned()),
            None => None,
            Some(Kind::Text(found) | Kind::Number(found)) => Some(found),
            Some(_) => None,
        }
    }

    /// A boolean; `None`: unknown.
    pub(super) fn truth(&self, node: &Node) -> Option<bool> {
        let found = match &node.kind {
            Kind::Text(text) => self.value(text, Unknown::Fails)?,
            other => other.clone(),
        };
        match found {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Evaluates expressions everywhere in a value, and returns whether all are known.
    pub(super) fn resolve(&self, node: &mut Node) -> bool {
        let mut is_known = true;
        match &mut node.kind {
            Kind::Text(text) => match self.value(text, Unknown::Fails) {
                Some(found) => node.kind = found,
                None => is_known = inside(text).is_none(),
            },
            Kind::List(items) => items
                .iter_mut()
                .for_each(|item| is_known &= self.resolve(item)),
            Kind::Map(fields) => {
                let fields = fields.iter_mut();
                fields.for_each(|(_, field)| is_known &= self.resolve(field));
            }
            Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
        }
        if let Kind::Text(text) = &mut node.kind
            && text.starts_with("[[")
        {
            text.remove(0);
        }
        is_known
    }

    fn value(&self, text: &str, unknown: Unknown) -> Option<Kind> {
        self.terms.set(0);
        evaluate(inside(text)?, self, unknown, 0)
    }
}

/// The expression in a text. `[[` starts a text without one.
fn inside(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    (!inside.starts_with('[')).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope() -> Scope {
        let template = r#"{
            "parameters": {"service": {"type": "string"}, "env": {"defaultValue": "dev"},
                           "on": {"defaultValue": false}, "none": {"defaultValue": ""}},
            "variables": {
                "api": "[concat('chat-', parameters('env'))]",
                "all": [{"name": "one"}, {"name": "[concat('t', 'wo')]"}],
                "loop": "[concat(variables('loop'), variables('loop'))]",
                "long": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                "longer": "[replace(replace(variables('long'), 'x', variables('long')), 'x', variables('long'))]",
                "big": "[replace(replace(variables('longer'), 'x', variables('longer')), 'x', variables('longer'))]"
            }
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
            ("[toLower('A')]", Some("a")),
            ("[uniqueString('A')]", Some("?")),
            (
                "[format('{0}/{1}', format('apim-{0}', uniqueString(resourceGroup().id)), 'speech')]",
                Some("apim-?/speech"),
            ),
            (
                "[replace(concat(variables('api'), 'x'), 'x', '-y')]",
                Some("chat-dev-y"),
            ),
            ("[variables('all')[1].name]", Some("two")),
            ("[parameters('service').name]", Some("?")),
            ("[last(split(variables('api'), '-'))]", Some("dev")),
            (
                "[if(equals(parameters('env'), 'dev'), 'a', uniqueString('b'))]",
                Some("a"),
            ),
            ("[if(empty(parameters('none')), 'b', 'c')]", Some("b")),
            ("[if(parameters('on'), 'b', 'c')]", Some("c")),
            ("[variables('big')]", Some("?")),
            ("[concat('a'", Some("[concat('a'")),
        ] {
            let node = Node {
                line: 1,
                kind: Kind::Text(text.to_owned()),
            };
            assert_eq!(scope().text(Some(&node)).as_deref(), name, "{text}");
        }
        let text = "[variables('loop')]".to_owned();
        let kind = Kind::Text(text);
        let name = scope().text(Some(&Node { line: 1, kind }));
        assert!(name.is_none_or(|name| name.contains('?')));
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
