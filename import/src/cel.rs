//! Translates C# expressions to CEL.
//!
//! A translation has the same value or fails; everything else is an error. Where C# throws an exception, CEL
//! must fail too. Therefore `&&` and `||` become conditional expressions: CEL's own operators ignore the
//! failure of the first operand if the second one decides.

mod calls;
mod context;
mod json;
mod library;
mod list;
mod operator;
mod text;
mod time;
mod url;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use self::context::{path, property};
use super::csharp::{Expr, Stmt, Unreadable, parse};

/// The type of a translated expression, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A string or null.
    MaybeText,
    /// An integer.
    Int,
    /// An integer or null.
    MaybeInt,
    /// True or false.
    Bool,
    /// Null.
    Null,
    /// The unknown value of a variable.
    Any,
    /// A decoded token.
    Token,
    /// User and password.
    Basic,
    /// A response that `sendRequest` stored.
    Response,
    /// Headers: lists by name in lower case.
    Headers,
    /// A query: lists by name.
    Query,
    /// A list of strings.
    List,
    /// JSON, or a part of it.
    Json,
    /// JSON that the expression builds.
    Made,
    /// A list of JSON.
    JsonList,
    /// A point in time.
    Time,
    /// A URL whose parts are used.
    Url,
    /// A URL whose query is used.
    UrlQuery,
    /// A client certificate.
    Certificate,
}

/// An expression in CEL, in parentheses where it needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cel {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Container and key of a part of JSON. In C# a missing part is null.
    part: Option<(String, String)>,
}

type Result<T> = std::result::Result<T, Unreadable>;

fn cel(kind: Kind, text: impl Into<String>) -> Cel {
    Cel {
        text: text.into(),
        kind,
        part: None,
    }
}

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// The longest text that a field of a step may have.
const MAX_LENGTH: usize = 4096;

/// Limit of translated statements: each `if` doubles those after it.
const MAX_STATEMENTS: usize = 2_000;

/// Translates `@(…)` or `@{…}`.
pub(crate) fn translate(text: &str) -> Result<Cel> {
    let found = block(&parse(text)?, &Scope::default())?;
    if found.text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    Ok(found)
}

/// Local variables of a block.
#[derive(Clone, Debug, Default)]
struct Scope {
    locals: BTreeMap<String, Cel>,
    statements: Rc<Cell<usize>>,
}

/// Statements as one expression: `if` becomes a conditional expression, and local variables are inlined.
fn block(statements: &[Stmt], scope: &Scope) -> Result<Cel> {
    let Some((first, rest)) = statements.split_first() else {
        return no("a block must end with return");
    };
    scope.statements.set(scope.statements.get() + 1);
    if scope.statements.get() > MAX_STATEMENTS {
        return no("it has too many branches");
    }
    match first {
        Stmt::Return(value) => scope.of(value),
        Stmt::Set(name, value) => {
            let value = scope.of(value)?;
            if value.text.contains("uuid()") {
                return no("a random value cannot be kept in a local variable");
            }
            block(rest, &scope.with(name, bounded(value)?))
        }
        Stmt::If(condition, then, otherwise) => {
            let after = |branch: &[Stmt]| [branch, rest].concat();
            let condition = scope.condition(condition)?;
            let then = block(&after(then), scope)?;
            let otherwise = block(&after(otherwise), scope)?;
            choice(&condition, &then, &otherwise)
        }
    }
}

fn bounded(value: Cel) -> Result<Cel> {
    if value.text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    Ok(value)
}

fn choice(condition: &str, then: &Cel, otherwise: &Cel) -> Result<Cel> {
    let text = format!("({condition} ? {} : {})", then.text, otherwise.text);
    bounded(cel(either(then.kind, otherwise.kind), text))
}

fn either(a: Kind, b: Kind) -> Kind {
    match (a, b) {
        _ if a == b => a,
        (Kind::Text | Kind::MaybeText | Kind::Null, Kind::Text | Kind::MaybeText | Kind::Null) => {
            Kind::MaybeText
        }
        _ => Kind::Any,
    }
}

/// A string as a CEL literal. `{{name}}` in it is a named value.
pub(crate) fn literal(text: &str) -> Result<Cel> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return no("a named value has no end");
        };
        if !before.is_empty() {
            parts.push(quote(before)?);
        }
        parts.push(format!("values.{}", identifier(name)?));
        rest = after;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(quote(rest)?);
    }
    let text = parts.join(" + ");
    let is_sum = parts.len() > 1;
    Ok(cel(
        Kind::Text,
        if is_sum { format!("({text})") } else { text },
    ))
}

fn quote(text: &str) -> Result<String> {
    match serde_json::to_string(text) {
        Ok(quoted) => Ok(quoted),
        Err(error) => no(error.to_string()),
    }
}

/// A literal string without named values, as a CEL literal.
fn constant(expression: &Expr) -> Result<String> {
    match expression {
        Expr::Text(text) if !text.contains("{{") => quote(text),
        _ => no("a literal string is expected here"),
    }
}

/// The name of a variable or named value. Characters that CEL does not allow become `_`.
pub(crate) fn identifier(name: &str) -> Result<String> {
    let name = name.trim();
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !starts_well || !name.chars().all(fits) || name.len() > 63 {
        return no(format!("the name {name:?} cannot be translated"));
    }
    Ok(name.replace(['-', '.'], "_"))
}

impl Scope {
    fn with(&self, name: &str, value: Cel) -> Self {
        let mut inner = self.clone();
        inner.locals.insert(name.to_owned(), value);
        inner
    }

    fn condition(&self, expression: &Expr) -> Result<String> {
        let found = self.of(expression)?;
        match found.kind {
            Kind::Bool | Kind::Any => Ok(found.text),
            _ => no("a condition must be true or false"),
        }
    }

    fn text(&self, expression: &Expr) -> Result<String> {
        let found = self.of(expression)?;
        match found.kind {
            Kind::Text | Kind::MaybeText | Kind::Any => Ok(found.text),
            _ => no("a string is expected here"),
        }
    }

    fn of(&self, expression: &Expr) -> Result<Cel> {
        if let Some(found) = path(expression).and_then(|path| property(&path)) {
            return Ok(found);
        }
        let found = match expression {
            Expr::Text(text) => literal(text),
            Expr::Int(value) => Ok(cel(Kind::Int, value.to_string())),
            Expr::Bool(value) => Ok(cel(Kind::Bool, value.to_string())),
            Expr::Null => Ok(cel(Kind::Null, "null")),
            Expr::Name(name) => match self.locals.get(name) {
                Some(value) => Ok(value.clone()),
                None => no(format!("{name} is not known")),
            },
            Expr::Not(of) => Ok(cel(Kind::Bool, format!("!({})", self.condition(of)?))),
            Expr::Cast(to, of) => self.cast(to, of),
            Expr::Choice(condition, then, otherwise) => choice(
                &self.condition(condition)?,
                &self.of(then)?,
                &self.of(otherwise)?,
            ),
            Expr::Binary(mark, left, right) => self.binary(mark, left, right),
            Expr::Member(of, name, is_conditional) => self.member(of, name, *is_conditional),
            Expr::Index(of, index) => self.index(of, index),
            Expr::Call(of, argument, arguments) => self.call(of, argument.as_deref(), arguments),
            Expr::New(name, arguments) => self.made(name, arguments),
            Expr::Object(fields) => self.object(fields),
            Expr::Lambda(..) => no("a function is not translated here"),
        };
        found.and_then(bounded)
    }
}

#[cfg(test)]
mod tests;
