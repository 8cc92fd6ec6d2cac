//! Operators and casts.

use super::super::csharp::Expr;
use super::{Cel, IdUse, Kind, Result, Scope, bounded, cel, choice, no};

impl Scope<'_> {
    pub(super) fn cast(&self, to: &str, of: &Expr) -> Result<Cel> {
        let found = self.of(of)?;
        let kind = match to {
            // An id stays one: it is compared as such.
            "string" | "String" if matches!(found.kind, Kind::Id(_)) => return Ok(found),
            "string" | "String" => Kind::MaybeText,
            "bool" => Kind::Bool,
            "int" | "long" => Kind::Int,
            "IResponse" => Kind::Response,
            "JArray" | "JObject" | "JToken" | "JValue" => Kind::Json,
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
            return Ok(junction(
                mark,
                &self.condition(left)?,
                &self.condition(right)?,
            ));
        }
        let (left, right) = (self.of(left)?, self.of(right)?);
        if mark == "==" || mark == "!=" {
            return self.equality(mark, left, right);
        }
        let (left, right) = (self.without_id(left)?, self.without_id(right)?);
        match mark {
            "??" if is_structure(left.kind) || is_structure(right.kind) => {
                no("?? is translated for single values only")
            }
            "??" => otherwise(&left, &right),
            "+" => sum(&left, &right),
            _ => arithmetic(mark, &left, &right),
        }
    }

    fn equality(&self, mark: &str, left: Cel, right: Cel) -> Result<Cel> {
        if is_by_reference(&left, &right) || is_by_reference(&right, &left) {
            return no(format!(
                "{mark} compares a variable by reference there: cast it to a string, as in (string)context.Variables[…]"
            ));
        }
        if let Some(found) = self.is_id(&left, &right) {
            let found = found?;
            return Ok(match (mark, found.text.as_str()) {
                ("==", _) => found,
                (_, "false") => Cel::of_truth(true),
                _ => cel(Kind::Bool, format!("!{}", found.text)).sure_if(found.is_sure),
            });
        }
        if left.kind == right.kind {
            return equal(mark, &left, &right);
        }
        // A comparison decides, whatever becomes of its result.
        let exact = Self {
            ids: IdUse::Exact,
            ..self.clone()
        };
        equal(mark, &exact.without_id(left)?, &exact.without_id(right)?)
    }
}

/// Whether C# compares the identity of an object with another value, and not what it holds. There is one null and
/// one empty text.
fn is_by_reference(of: &Cel, other: &Cel) -> bool {
    of.is_object && other.kind != Kind::Null && other.text != "\"\""
}

/// In C#, the second operand is not evaluated if the first one decides. In CEL it is, so that a failure of
/// the first one could go unnoticed: only if it cannot fail, CEL's operator is the same.
fn junction(mark: &str, left: &Cel, right: &Cel) -> Cel {
    let is_sure = left.is_sure && left.is_truth();
    let (first, second) = (&left.text, &right.text);
    let text = match (mark, is_sure) {
        (_, true) => format!("({first} {mark} {second})"),
        ("&&", _) => format!("({first} ? {second} : false)"),
        _ => format!("({first} ? true : {second})"),
    };
    cel(Kind::Bool, text).sure_if(is_sure && right.is_sure && right.is_truth())
}

fn arithmetic(mark: &str, left: &Cel, right: &Cel) -> Result<Cel> {
    let (first, second) = (&left.text, &right.text);
    let is_order = ["<", ">", "<=", ">="].contains(&mark);
    if is_order && (left.kind, right.kind) == (Kind::MaybeInt, Kind::Int) {
        let text = format!("({first} == null ? false : {first} {mark} {second})");
        return Ok(cel(Kind::Bool, text));
    }
    let is_time = left.kind == Kind::Time && is_order;
    if left.kind != right.kind || !(left.kind == Kind::Int || is_time) {
        return no(format!("{mark} is translated for integers only"));
    }
    let kind = if is_order { Kind::Bool } else { Kind::Int };
    let is_sure = is_order && left.is_sure && right.is_sure;
    Ok(cel(kind, format!("({first} {mark} {second})")).sure_if(is_sure))
}

fn otherwise(left: &Cel, right: &Cel) -> Result<Cel> {
    let mut found = match &left.or_null {
        Some((condition, value)) if right.text == "false" => {
            cel(Kind::Bool, format!("({condition} && {value})"))
        }
        Some((condition, value)) => choice(condition, &cel(Kind::Text, value), right)?,
        None => choice(&format!("{} != null", left.text), left, right)?,
    };
    let is_settled = matches!(
        (left.kind, right.kind),
        (Kind::MaybeText | Kind::Null, Kind::Text)
            | (Kind::MaybeBool, Kind::Bool)
            | (Kind::MaybeInt, Kind::Int)
    );
    if is_settled {
        found.kind = right.kind;
    }
    Ok(found.sure_if(left.is_sure && right.is_sure))
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
        (a, b) => match same_or_null(a, b).or_else(|| same_or_null(b, a)) {
            Some(same) if mark == "==" => format!("({same})"),
            Some(same) => format!("!({same})"),
            None => format!("({} {mark} {})", a.text, b.text),
        },
    };
    Ok(cel(Kind::Bool, text).sure_if(left.is_sure && right.is_sure))
}

/// Whether a value that may be null is null, or a constant text. Where the condition fails, so does the value, and
/// so does `&&`.
fn same_or_null(of: &Cel, other: &Cel) -> Option<String> {
    let (condition, value) = of.or_null.as_ref()?;
    match other.kind {
        Kind::Null => Some(format!("!({condition})")),
        Kind::Text if other.constant.is_some() => {
            Some(format!("{condition} && {value} == {}", other.text))
        }
        _ => None,
    }
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
            | Kind::MaybeBool
            | Kind::Null
            | Kind::Any
            | Kind::Time
            | Kind::Id(_)
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
    let mut found = cel(Kind::Text, format!("({} + {})", part(left)?, part(right)?));
    found.scheme = left.scheme;
    bounded(found)
}

/// A part of a string.
pub(super) fn part(of: &Cel) -> Result<String> {
    match of.kind {
        Kind::Text | Kind::Any => Ok(of.text.clone()),
        Kind::MaybeText => Ok(match &of.or_null {
            Some((condition, value)) => format!("({condition} ? {value} : \"\")"),
            None => format!("({0} == null ? \"\" : {0})", of.text),
        }),
        Kind::Int => Ok(format!("string({})", of.text)),
        Kind::Bool => Ok(of.as_text()),
        Kind::Json => part(&of.clone().value(Kind::MaybeText)?),
        _ => no("this is not translated as a part of a text"),
    }
}
