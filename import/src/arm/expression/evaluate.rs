//! Parses an expression and evaluates it at the same time.

use std::collections::BTreeMap;

use super::super::super::json::{Kind, Node};
use super::functions::call;
use super::{MAX_DEPTH, MAX_TERMS, Scope, Unknown, inside};

/// The value; `None`: unknown.
pub(super) fn evaluate(
    expression: &str,
    scope: &Scope,
    unknown: Unknown,
    depth: usize,
) -> Option<Kind> {
    let mut reader = Reader {
        rest: expression.trim(),
        scope,
        unknown,
        depth,
    };
    let found = reader.term()?;
    reader.rest.trim().is_empty().then_some(found).flatten()
}

struct Reader<'a> {
    rest: &'a str,
    scope: &'a Scope,
    unknown: Unknown,
    depth: usize,
}

impl Reader<'_> {
    /// Outer `None`: a syntax error. Inner `None`: the value is unknown.
    fn term(&mut self) -> Option<Option<Kind>> {
        self.scope.terms.set(self.scope.terms.get() + 1);
        if self.depth > MAX_DEPTH || self.scope.terms.get() > MAX_TERMS {
            return None;
        }
        self.rest = self.rest.trim_start();
        if self.rest.starts_with('\'') {
            return self.literal().map(|text| Some(Kind::Text(text)));
        }
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            return Some(Some(Kind::Number(word.to_owned())));
        }
        let mut found = self.call(&word.to_lowercase())?;
        loop {
            if self.take('.') {
                let end = self
                    .rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                self.rest = rest;
                found = found.and_then(|of| field(of, name));
            } else if self.take('[') {
                self.depth += 1;
                let index = self.term()?;
                self.depth -= 1;
                if !self.take(']') {
                    return None;
                }
                found = found.zip(index).and_then(|(of, index)| at(of, &index));
            } else {
                return Some(found);
            }
        }
    }

    fn call(&mut self, function: &str) -> Option<Option<Kind>> {
        if !self.take('(') {
            return None;
        }
        let unknown = self.unknown;
        // An ID contains the name of the service, which usually is a parameter.
        if function == "resourceid" {
            self.unknown = Unknown::Placeholder;
        }
        let mut arguments = Vec::new();
        self.depth += 1;
        while !self.take(')') {
            arguments.push(self.term()?);
            if !self.take(',') && !self.rest.trim_start().starts_with(')') {
                return None;
            }
        }
        self.depth -= 1;
        self.unknown = unknown;
        let found = match function {
            "copyindex" => self.copy_index(&arguments),
            "parameters" => self.named(&self.scope.parameters, &arguments),
            "variables" => self.named(&self.scope.variables, &arguments),
            _ => call(function, arguments),
        };
        let unknown = || (self.unknown == Unknown::Placeholder).then(placeholder);
        Some(found.or_else(unknown))
    }

    /// `copyIndex()`, `copyIndex(name)`, either with an offset.
    fn copy_index(&self, arguments: &[Option<Kind>]) -> Option<Kind> {
        let (name, offset) = match arguments {
            [] => ("", 0),
            [Some(Kind::Number(offset))] => ("", offset.parse().ok()?),
            [Some(Kind::Text(name))] => (name.as_str(), 0),
            [Some(Kind::Text(name)), Some(Kind::Number(offset))] => {
                (name.as_str(), offset.parse().ok()?)
            }
            _ => return None,
        };
        let index = self.scope.copies.get(&name.to_lowercase())?;
        Some(Kind::Number((index + offset).to_string()))
    }

    fn named(&self, all: &BTreeMap<String, Node>, arguments: &[Option<Kind>]) -> Option<Kind> {
        let Some(Some(Kind::Text(name))) = arguments.first() else {
            return None;
        };
        match all.get(&name.to_lowercase()) {
            Some(node) => self.inner(node),
            None => None,
        }
    }

    /// A value that may contain expressions.
    fn inner(&self, node: &Node) -> Option<Kind> {
        let all = |nodes: &[Node]| {
            let all = nodes.iter().map(|node| {
                let kind = self.inner(node)?;
                Some(Node {
                    line: node.line,
                    kind,
                })
            });
            all.collect::<Option<Vec<_>>>()
        };
        match &node.kind {
            Kind::Text(text) => match inside(text) {
                None => Some(Kind::Text(text.clone())),
                Some(inner) => evaluate(inner, self.scope, self.unknown, self.depth + 1),
            },
            Kind::List(items) => all(items).map(Kind::List),
            Kind::Map(fields) => {
                let fields = fields.iter().map(|(name, node)| {
                    let kind = self.inner(node)?;
                    Some((
                        name.clone(),
                        Node {
                            line: node.line,
                            kind,
                        },
                    ))
                });
                fields.collect::<Option<Vec<_>>>().map(Kind::Map)
            }
            other => Some(other.clone()),
        }
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

    /// A doubled quote is one quote.
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
}

/// What stands for a value that is not known.
fn placeholder() -> Kind {
    Kind::Text("?".to_owned())
}

fn field(of: Kind, name: &str) -> Option<Kind> {
    match of {
        of if of == placeholder() => Some(of),
        Kind::Map(fields) => {
            let mut fields = fields.into_iter();
            let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
            found.map(|(_, node)| node.kind)
        }
        _ => None,
    }
}

fn at(of: Kind, index: &Kind) -> Option<Kind> {
    match (of, index) {
        (of, _) if of == placeholder() => Some(of),
        (Kind::List(items), Kind::Number(number)) => {
            let found = items.into_iter().nth(number.parse().ok()?);
            found.map(|node| node.kind)
        }
        (of, Kind::Text(name)) => field(of, name),
        _ => None,
    }
}
