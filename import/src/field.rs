//! Attributes and texts of elements as templates, values and numbers.

use std::ops::Deref;

use roxmltree::Node;
use serde_json::Value;

use super::cel::{Cel, IdUse, Kind, literal, translate};
use super::csharp::Unreadable;
use super::service::{NamedValue, Service, Token};
use super::xml::restore;

type Result<T> = std::result::Result<T, Unreadable>;

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// An element of a policy document, with what its expressions must know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a, 'i> {
    node: Node<'a, 'i>,
    pub(super) service: &'a Service,
}

impl<'a, 'i> Deref for Element<'a, 'i> {
    type Target = Node<'a, 'i>;

    fn deref(&self) -> &Self::Target {
        &self.node
    }
}

fn is_expression(text: &str) -> bool {
    text.starts_with("@(") || text.starts_with("@{")
}

impl<'a, 'i> Element<'a, 'i> {
    pub(super) fn new(node: Node<'a, 'i>, service: &'a Service) -> Self {
        Self { node, service }
    }

    /// Its name.
    pub(super) fn name(self) -> &'a str {
        self.node.tag_name().name()
    }

    /// The expression that a text is, or that the named value holds which is all of the text.
    fn expression(self, text: &str) -> Option<String> {
        let text = text.trim();
        if is_expression(text) {
            return Some(text.to_owned());
        }
        let name = text.strip_prefix("{{")?.strip_suffix("}}")?;
        match self.service.named(name) {
            NamedValue::Expression(held) if !name.contains("}}") => Some(held.trim().to_owned()),
            _ => None,
        }
    }

    /// A text or an expression, as a template.
    pub(super) fn template(self, text: &str) -> Result<String> {
        if let Some(found) = self.text_expression(text)? {
            return Ok(format!("${{{}}}", found.text));
        }
        if text.contains("@(") || text.contains("@{") {
            return no("an expression inside a text is not translated");
        }
        let mut found = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return no("a named value has no end");
            };
            found.push_str(&before.replace("${", "$${"));
            found.push_str(&self.template_of_value(name)?);
            rest = after;
        }
        found.push_str(&rest.replace("${", "$${"));
        Ok(found)
    }

    /// The expression that a text is, as CEL of a text; `None`: it is none.
    pub(super) fn text_expression(self, text: &str) -> Result<Option<Cel>> {
        let Some(expression) = self.expression(text) else {
            return Ok(None);
        };
        let found = translate(&expression, self.service, IdUse::Forwarded)?;
        let scheme = found.scheme;
        let mut found = Cel::of_text(printed(found)?);
        found.scheme = scheme;
        Ok(Some(found))
    }

    /// The credentials whose token the text sends as `Bearer`.
    pub(super) fn token(self, text: &str) -> Result<Option<Value>> {
        let Some(expression) = self.expression(text) else {
            return Ok(None);
        };
        let Ok(found) = translate(&expression, self.service, IdUse::Credentials) else {
            return Ok(None);
        };
        let Some((name, token)) = self.service.token_in(&found.text) else {
            return Ok(None);
        };
        let Token::Of(credentials) = token else {
            return no(format!(
                "whether {name} is the token of a managed identity, and of which one, depends on what ran before: \
                 put authentication-managed-identity in front of this"
            ));
        };
        let whole = format!("vars.{name}");
        let or_empty = format!("({whole} == null ? \"\" : {whole})");
        // The variable is set at this place, so no default counts.
        let text = ["null", "\"\""].iter().fold(found.text, |text, default| {
            text.replace(&format!("(has({whole}) ? {whole} : {default})"), &whole)
        });
        let sent = text.strip_prefix("(\"Bearer \" + ");
        match sent.and_then(|sent| sent.strip_suffix(')')) {
            Some(sent) if sent == whole || sent == or_empty => Ok(Some(credentials)),
            _ => no("the token of a managed identity is translated only after \"Bearer \""),
        }
    }

    /// A named value within a text.
    fn template_of_value(self, name: &str) -> Result<String> {
        match self.service.named(name) {
            NamedValue::Expression(_) => no(format!(
                "{{{{{name}}}}} is an expression, and stands inside a text"
            )),
            _ => Ok(format!("${{values.{}}}", self.service.value(name)?)),
        }
    }

    /// A text or an expression, as CEL for a key: handshakes are told apart by it.
    pub(super) fn key(self, text: &str) -> Result<String> {
        self.cel(text, IdUse::Key)
    }

    /// A text or an expression, as CEL for a value that is kept and compared later.
    pub(super) fn value(self, text: &str) -> Result<String> {
        self.cel(text, IdUse::Exact)
    }

    fn cel(self, text: &str, ids: IdUse) -> Result<String> {
        if let Some(expression) = self.expression(text) {
            let found = translate(&expression, self.service, ids)?;
            return Ok(found.kept()?.text);
        }
        Ok(literal(text, self.service)?.text)
    }

    /// A boolean expression, or the word true or false, as CEL.
    pub(super) fn condition(self, text: &str) -> Result<Cel> {
        let Some(expression) = self.expression(text) else {
            let truth = truth(&self.service.resolved(text)?)?;
            return Ok(Cel::of_truth(truth));
        };
        let found = translate(&expression, self.service, IdUse::Exact)?;
        match found.kind {
            Kind::Bool | Kind::Any => Ok(found),
            _ => no("a condition must be true or false"),
        }
    }

    /// The text of the element.
    pub(super) fn content(self) -> Result<String> {
        if self.node.children().any(|child| child.is_element()) {
            return no("only text is supported here");
        }
        let parts: String = self
            .node
            .children()
            .filter_map(|child| child.text())
            .collect();
        Ok(restore(&parts))
    }

    /// The text of the element, which must be constant.
    pub(super) fn constant(self) -> Result<String> {
        self.fixed(self.content()?.trim(), "the text")
    }

    /// An attribute as written.
    pub(super) fn optional(self, name: &str) -> Option<String> {
        self.node.attribute(name).map(restore)
    }

    /// A required attribute as written.
    pub(super) fn required(self, name: &str) -> Result<String> {
        match self.optional(name) {
            Some(text) => Ok(text),
            None => no(format!("the attribute {name} is missing")),
        }
    }

    /// An attribute that is the same for all handshakes. Named values are replaced by their values.
    pub(super) fn plain(self, name: &str) -> Result<Option<String>> {
        let found = self.optional(name).map(|text| self.fixed(&text, name));
        found.transpose()
    }

    /// The same, if it is required.
    pub(super) fn required_plain(self, name: &str) -> Result<String> {
        self.fixed(&self.required(name)?, name)
    }

    fn fixed(self, text: &str, what: &str) -> Result<String> {
        let resolved = self.service.resolved(text)?;
        match is_expression(resolved.trim()) || resolved.contains("@(") {
            true => no(format!("{what} with an expression is not translated")),
            false => Ok(resolved),
        }
    }

    /// A literal number.
    pub(super) fn number(self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.optional(name) else {
            return Ok(None);
        };
        match self.service.resolved(&text)?.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => no(format!("{name} is translated only when it is a number")),
        }
    }

    /// An attribute that is true or false.
    pub(super) fn flag(self, name: &str) -> Result<Option<bool>> {
        let text = self.plain(name)?;
        text.map(|text| truth(&text)).transpose()
    }

    /// All child elements.
    pub(super) fn children_of(self) -> Vec<Self> {
        let children = self.node.children().filter(Node::is_element);
        children.map(|node| Self { node, ..self }).collect()
    }

    /// The child elements. Other names than these are an error.
    pub(super) fn elements(self, names: &[&str]) -> Result<Vec<Self>> {
        let found = self.children_of();
        match found.iter().find(|child| !names.contains(&child.name())) {
            None => Ok(found),
            Some(child) => no(format!("{} is not translated here", child.name())),
        }
    }

    /// Fails if there are other attributes than these and `id`.
    pub(super) fn known(self, names: &[&str]) -> Result<()> {
        let mut attributes = self.node.attributes().map(|attribute| attribute.name());
        match attributes.find(|name| *name != "id" && !names.contains(name)) {
            None => Ok(()),
            Some(name) => no(format!("the attribute {name} is not translated")),
        }
    }
}

/// A value that a template prints as C# does.
fn printed(found: Cel) -> Result<String> {
    let found = match found.kind {
        Kind::Json => found.value(Kind::MaybeText)?,
        _ => found,
    };
    match found.kind {
        Kind::Text | Kind::MaybeText | Kind::Int | Kind::MaybeInt | Kind::Any | Kind::Id(_) => {
            Ok(found.text)
        }
        Kind::Bool => Ok(found.as_text()),
        _ => no("a string is expected here"),
    }
}

fn truth(text: &str) -> Result<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => no(format!("{text:?} is neither true nor false")),
    }
}
