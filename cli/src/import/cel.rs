//! C# expressions to CEL.
//!
//! What is translated means the same or fails; everything else is an error. Where C# would stop
//! with an exception, CEL stops with an error as well: `&&` and `||` become choices, since CEL's own
//! would let a term that decides hide the failure of the one before it.

mod calls;
mod context;

use std::collections::BTreeMap;

use self::context::{path, property};
use super::csharp::{Expr, Stmt, Unreadable, parse};

/// What a translated expression is known to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A text or null.
    MaybeText,
    /// An integer.
    Int,
    /// True or false.
    Bool,
    /// Null.
    Null,
    /// Whatever a variable holds.
    Any,
    /// A decoded token.
    Token,
}

/// An expression in CEL, in parentheses where it needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cel {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

type Result<T> = std::result::Result<T, Unreadable>;

fn cel(kind: Kind, text: impl Into<String>) -> Cel {
    Cel {
        text: text.into(),
        kind,
    }
}

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// Longer than this no field of a step takes.
const MAX_LENGTH: usize = 4096;

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
struct Scope(BTreeMap<String, Cel>);

/// Statements as one expression: `if` becomes a choice, a local is put where it is read.
fn block(statements: &[Stmt], scope: &Scope) -> Result<Cel> {
    let Some((first, rest)) = statements.split_first() else {
        return no("a block must end with return");
    };
    match first {
        Stmt::Return(value) => scope.of(value),
        Stmt::Var(name, value) => {
            let value = scope.of(value)?;
            if value.text.contains("uuid()") {
                return no("a random value can not be kept in a local variable");
            }
            if value.text.len() > MAX_LENGTH {
                return no("its translation is too long");
            }
            let mut inner = scope.clone();
            inner.0.insert(name.clone(), value);
            block(rest, &inner)
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

fn choice(condition: &str, then: &Cel, otherwise: &Cel) -> Result<Cel> {
    let text = format!("({condition} ? {} : {})", then.text, otherwise.text);
    if text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    Ok(cel(either(then.kind, otherwise.kind), text))
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

/// A text as a CEL literal; `{{name}}` in it is a named value.
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

/// A name of a variable or named value: what CEL can not read in it becomes `_`.
pub(crate) fn identifier(name: &str) -> Result<String> {
    let name = name.trim();
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !starts_well || !name.chars().all(fits) || name.len() > 63 {
        return no(format!("the name {name:?} can not be carried over"));
    }
    Ok(name.replace(['-', '.'], "_"))
}

impl Scope {
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
            _ => no("a text is wanted here"),
        }
    }

    fn of(&self, expression: &Expr) -> Result<Cel> {
        if let Some(found) = path(expression).and_then(|path| property(&path)) {
            return Ok(found);
        }
        match expression {
            Expr::Text(text) => literal(text),
            Expr::Int(value) => Ok(cel(Kind::Int, value.to_string())),
            Expr::Bool(value) => Ok(cel(Kind::Bool, value.to_string())),
            Expr::Null => Ok(cel(Kind::Null, "null")),
            Expr::Name(name) => match self.0.get(name) {
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
            Expr::Member(of, name, _) => self.member(of, name),
            Expr::Index(of, index) => self.index(of, index),
            Expr::Call(of, argument, arguments) => self.call(of, argument.as_deref(), arguments),
        }
    }

    fn cast(&self, to: &str, of: &Expr) -> Result<Cel> {
        let found = self.of(of)?;
        let kind = match to {
            "string" | "String" => Kind::MaybeText,
            "bool" => Kind::Bool,
            "int" => Kind::Int,
            _ => Kind::Token,
        };
        match found.kind {
            Kind::Any => Ok(cel(kind, found.text)),
            known if known == kind || known == Kind::Text && kind == Kind::MaybeText => Ok(found),
            _ => no(format!("the cast to {to} is not translated")),
        }
    }

    fn binary(&self, mark: &str, left: &Expr, right: &Expr) -> Result<Cel> {
        if mark == "&&" || mark == "||" {
            let (left, right) = (self.condition(left)?, self.condition(right)?);
            let text = match mark {
                "&&" => format!("({left} ? {right} : false)"),
                _ => format!("({left} ? true : {right})"),
            };
            return Ok(cel(Kind::Bool, text));
        }
        let (left, right) = (self.of(left)?, self.of(right)?);
        match mark {
            "??" => choice(&format!("{} != null", left.text), &left, &right).map(|mut found| {
                if right.kind == Kind::Text && left.kind != Kind::Any {
                    found.kind = Kind::Text;
                }
                found
            }),
            "+" => sum(&left, &right),
            "==" | "!=" => Ok(cel(
                Kind::Bool,
                format!("({} {mark} {})", left.text, right.text),
            )),
            _ if (left.kind, right.kind) != (Kind::Int, Kind::Int) => {
                no(format!("{mark} is translated for integers only"))
            }
            _ => {
                let is_arithmetic = ["-", "*", "/"].contains(&mark);
                let kind = if is_arithmetic { Kind::Int } else { Kind::Bool };
                Ok(cel(kind, format!("({} {mark} {})", left.text, right.text)))
            }
        }
    }

    fn index(&self, of: &Expr, index: &Expr) -> Result<Cel> {
        let is_variables = path(of).is_some_and(|path| path == ["context", "Variables"]);
        match index {
            Expr::Text(name) if is_variables => {
                Ok(cel(Kind::Any, format!("vars.{}", identifier(name)?)))
            }
            _ => no("this index is not translated"),
        }
    }

    fn member(&self, of: &Expr, name: &str) -> Result<Cel> {
        if let Some(found) = self.credentials(of, name) {
            return found;
        }
        let of = self.of(of)?;
        let claim = match (of.kind, name) {
            (Kind::Text | Kind::MaybeText, "Length") => {
                return Ok(cel(Kind::Int, format!("size({})", of.text)));
            }
            (Kind::Token, "Subject") => "sub",
            (Kind::Token, "Issuer") => "iss",
            (Kind::Token, "Id") => "jti",
            _ => return no(format!("{name} is not translated")),
        };
        Ok(cel(Kind::Any, format!("{}.claims.{claim}", of.text)))
    }
}

/// C# joins null as nothing; other types print differently than here.
fn sum(left: &Cel, right: &Cel) -> Result<Cel> {
    if (left.kind, right.kind) == (Kind::Int, Kind::Int) {
        return Ok(cel(Kind::Int, format!("({} + {})", left.text, right.text)));
    }
    let is_text = |kind| matches!(kind, Kind::Text | Kind::MaybeText);
    if !is_text(left.kind) && !is_text(right.kind) {
        return no("+ is translated for texts and integers only");
    }
    let part = |of: &Cel| match of.kind {
        Kind::Text | Kind::Any => Ok(of.text.clone()),
        Kind::MaybeText => Ok(format!("({0} == null ? \"\" : {0})", of.text)),
        Kind::Int => Ok(format!("string({})", of.text)),
        Kind::Null | Kind::Bool | Kind::Token => no("this is not translated as a part of a text"),
    };
    let text = format!("({} + {})", part(left)?, part(right)?);
    if text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    Ok(cel(Kind::Text, text))
}

#[cfg(test)]
mod tests;
