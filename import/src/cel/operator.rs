//! Operators and casts.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, bounded, cel, choice, no};

/// An operand of `<`, `>`, `<=` or `>=`.
const ORDERED: [Kind; 2] = [Kind::Int, Kind::Time];

impl Scope {
    pub(super) fn cast(&self, to: &str, of: &Expr) -> Result<Cel> {
        let found = self.of(of)?;
        let kind = match to {
            "string" | "String" => Kind::MaybeText,
            "bool" => Kind::Bool,
            "int" | "long" => Kind::Int,
            "IResponse" => Kind::Response,
            "JArray" | "JObject" | "JToken" => Kind::Json,
            _ => Kind::Token,
        };
        match (found.kind, kind) {
            (Kind::Json, Kind::MaybeText | Kind::Bool | Kind::Int) => found.value(kind),
            (Kind::Any, _) => Ok(cel(kind, found.text)),
            (known, kind) if known == kind => Ok(found),
            (Kind::Text, Kind::MaybeText) => Ok(found),
            _ => no(format!("the cast to {to} is not translated")),
        }
    }

    pub(super) fn binary(&self, mark: &str, left: &Expr, right: &Expr) -> Result<Cel> {
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
            "??" if is_structure(left.kind) || is_structure(right.kind) => {
                no("?? is translated for single values only")
            }
            "??" => otherwise(&left, &right),
            "+" => sum(&left, &right),
            "==" | "!=" => equal(mark, &left, &right),
            "<" | ">" | "<=" | ">=" if (left.kind, right.kind) == (Kind::MaybeInt, Kind::Int) => {
                let (left, right) = (left.text, right.text);
                let text = format!("({left} == null ? false : {left} {mark} {right})");
                Ok(cel(Kind::Bool, text))
            }
            _ if left.kind == right.kind && ORDERED.contains(&left.kind) => {
                let is_arithmetic = ["-", "*", "/", "%"].contains(&mark);
                if is_arithmetic && left.kind != Kind::Int {
                    return no(format!("{mark} is translated for integers only"));
                }
                let kind = if is_arithmetic { Kind::Int } else { Kind::Bool };
                Ok(cel(kind, format!("({} {mark} {})", left.text, right.text)))
            }
            _ => no(format!("{mark} is translated for integers only")),
        }
    }
}

fn otherwise(left: &Cel, right: &Cel) -> Result<Cel> {
    let mut found = choice(&format!("{} != null", left.text), left, right)?;
    let is_text = matches!(left.kind, Kind::MaybeText | Kind::Null);
    if right.kind == Kind::Text && is_text {
        found.kind = Kind::Text;
    }
    Ok(found)
}

/// C# compares parts of JSON by reference: only the comparison with null has the same result.
fn equal(mark: &str, left: &Cel, right: &Cel) -> Result<Cel> {
    let text = match (left, right) {
        (json, null) | (null, json) if json.kind == Kind::Json && null.kind == Kind::Null => {
            let Some((of, key)) = &json.part else {
                return no("what is compared with null is never null");
            };
            match mark {
                "==" => format!("!({key} in {of})"),
                _ => format!("({key} in {of})"),
            }
        }
        (a, b) if [a.kind, b.kind].iter().any(|kind| is_structure(*kind)) => {
            if a.kind != Kind::Null && b.kind != Kind::Null {
                return no(format!("{mark} is not translated here: cast both to texts"));
            }
            format!("({} {mark} {})", a.text, b.text)
        }
        (a, b) => format!("({} {mark} {})", a.text, b.text),
    };
    Ok(cel(Kind::Bool, text))
}

/// Whether it is more than one value.
fn is_structure(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Text
            | Kind::MaybeText
            | Kind::Int
            | Kind::MaybeInt
            | Kind::Bool
            | Kind::Null
            | Kind::Any
            | Kind::Time
    )
}

/// An operand of string concatenation. In C#, null is empty; other types are printed differently.
fn sum(left: &Cel, right: &Cel) -> Result<Cel> {
    if (left.kind, right.kind) == (Kind::Int, Kind::Int) {
        return Ok(cel(Kind::Int, format!("({} + {})", left.text, right.text)));
    }
    let is_text = |kind| matches!(kind, Kind::Text | Kind::MaybeText);
    if !is_text(left.kind) && !is_text(right.kind) {
        return no("+ is translated for texts and integers only");
    }
    if left.text == "\"\"" && right.kind == Kind::Text {
        return Ok(right.clone());
    }
    bounded(cel(
        Kind::Text,
        format!("({} + {})", part(left)?, part(right)?),
    ))
}

/// A part of a string.
pub(super) fn part(of: &Cel) -> Result<String> {
    match of.kind {
        Kind::Text | Kind::Any => Ok(of.text.clone()),
        Kind::MaybeText => Ok(format!("({0} == null ? \"\" : {0})", of.text)),
        Kind::Int => Ok(format!("string({})", of.text)),
        Kind::Json => part(&of.clone().value(Kind::MaybeText)?),
        _ => no("this is not translated as a part of a text"),
    }
}
