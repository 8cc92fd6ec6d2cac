//! Methods of strings.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, no, path, quote};

impl Scope<'_> {
    pub(super) fn of_text(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let text = &of.text;
        Ok(match (name, args) {
            ("ToString", []) if of.kind == Kind::Text => cel(Kind::Text, text),
            ("ToString", []) => cel(Kind::Text, never_null(text)),
            ("Trim", []) => cel(Kind::Text, format!("{text}.trim()")),
            ("TrimStart" | "TrimEnd", [Expr::Text(character)]) => trimmed(text, name, character)?,
            ("ToLower" | "ToLowerInvariant", []) => cel(Kind::Text, lower(text)),
            ("ToUpper" | "ToUpperInvariant", []) => cel(Kind::Text, format!("{text}.upperAscii()")),
            ("Replace", [from, to]) => {
                let (from, to) = (self.text(from)?, self.text(to)?);
                cel(Kind::Text, format!("{text}.replace({from}, {to})"))
            }
            ("AsBasic", []) => cel(Kind::Basic, format!("basic.decode({text})")),
            ("AsJwt", []) => {
                let token = format!("{text}.replace(\"Bearer \", \"\", 1)");
                cel(Kind::Token, format!("jwt.decode({token})"))
            }
            ("Split" | "Substring", _) => self.part_of_text(text, name, args)?,
            _ => self.test_of_text(of, name, args)?,
        })
    }

    fn part_of_text(&self, of: &str, name: &str, args: &[Expr]) -> Result<Cel> {
        match (name, args) {
            ("Split", [by]) => {
                let by = self.separator(by)?;
                Ok(cel(Kind::List, format!("{of}.split({by})")))
            }
            ("Split", [by, options]) => {
                let parts = format!("{of}.split({})", self.separator(by)?);
                let text = match path(options).as_deref() {
                    Some(["StringSplitOptions", "RemoveEmptyEntries"]) => {
                        format!("{parts}.filter(each_part, each_part != \"\")")
                    }
                    Some(["StringSplitOptions", "None"]) => parts,
                    _ => return no("these options of Split are not translated"),
                };
                Ok(cel(Kind::List, text))
            }
            ("Substring", [Expr::Int(start), Expr::Int(length)]) => {
                let end = start.saturating_add(*length);
                Ok(cel(Kind::Text, format!("{of}.substring({start}, {end})")))
            }
            ("Substring", [start]) => match self.of(start)? {
                start if start.kind == Kind::Int => {
                    Ok(cel(Kind::Text, format!("{of}.substring({})", start.text)))
                }
                _ => no("a number is expected here"),
            },
            _ => no(format!("{name} is not translated here")),
        }
    }

    /// Methods that compare or search.
    fn test_of_text(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let text = &of.text;
        match (name, args) {
            ("IndexOf", [what]) => {
                let what = self.text(what)?;
                Ok(cel(Kind::Int, format!("{text}.indexOf({what})")))
            }
            ("LastIndexOf", [what]) => {
                let what = self.text(what)?;
                Ok(cel(Kind::Int, format!("{text}.lastIndexOf({what})")))
            }
            ("Equals", [with, how @ ..]) if how.len() < 2 => {
                // A text equals no null; null itself has no methods.
                let of = match of.kind {
                    Kind::Text => of.clone(),
                    _ => cel(Kind::Text, never_null(text)),
                };
                self.equals(&of, with, how.first())
            }
            ("StartsWith" | "EndsWith" | "Contains", [with]) => {
                Ok(comparison(text, name, &self.text(with)?))
            }
            ("StartsWith" | "EndsWith" | "Contains", [with, how]) => {
                let with = self.text(with)?;
                Ok(match ignores_case(how)? {
                    true => comparison(&lower(text), name, &lower(&with)),
                    false => comparison(text, name, &with),
                })
            }
            _ => no(format!("{name} is not translated here")),
        }
    }

    /// What `Split` splits at: one text, character, or list with one of them.
    fn separator(&self, by: &Expr) -> Result<String> {
        match by {
            Expr::List(items) => match items.as_slice() {
                [only] => self.text(only),
                _ => no("Split is translated for one separator only"),
            },
            by => self.text(by),
        }
    }

    /// `a.Equals(b)`, `string.Equals(a, b)`, either of which may be null.
    pub(super) fn equals(&self, a: &Cel, b: &Expr, how: Option<&Expr>) -> Result<Cel> {
        let ignores = how.map(ignores_case).transpose()?.unwrap_or(false);
        let b = self.of(b)?;
        let found = match ignores {
            true => self.is_id_in_any_case(a, &b),
            false => self.is_id(a, &b),
        };
        if let Some(found) = found {
            return found;
        }
        let (a, b) = (self.without_id(a.clone())?, self.without_id(b)?);
        let is_text = |of: &Cel| {
            matches!(
                of.kind,
                Kind::Text | Kind::MaybeText | Kind::Null | Kind::Any
            )
        };
        if !is_text(&a) || !is_text(&b) {
            return no("only texts are compared by Equals");
        }
        let is_sure = a.is_sure && b.is_sure && ![a.kind, b.kind].contains(&Kind::Any);
        if !ignores {
            let text = format!("({} == {})", a.text, b.text);
            return Ok(cel(Kind::Bool, text).sure_if(is_sure));
        }
        let text = in_any_case(&a, &b);
        Ok(cel(Kind::Bool, format!("({text})")).sure_if(is_sure))
    }
}

/// Whether two texts are the same in any case; null is the same as null only.
fn in_any_case(a: &Cel, b: &Cel) -> String {
    for (a, b) in [(a, b), (b, a)] {
        if let (Some((condition, value)), Some(_)) = (&a.or_null, &b.constant) {
            return format!("{condition} && {} == {}", lower(value), lower(&b.text));
        }
    }
    let same = format!("{} == {}", lower(&a.text), lower(&b.text));
    match (a.kind == Kind::Text, b.kind == Kind::Text) {
        (true, true) => same,
        (true, false) => format!("{} == null ? false : {same}", b.text),
        (false, true) => format!("{} == null ? false : {same}", a.text),
        (false, false) => format!(
            "{0} == null || {1} == null ? {0} == {1} : {same}",
            a.text, b.text
        ),
    }
}

/// The text, or a failure.
fn never_null(text: &str) -> String {
    format!("({text} + \"\")")
}

/// The text in lower case; a literal, as it is then.
fn lower(text: &str) -> String {
    match serde_json::from_str::<String>(text) {
        // Escapes are in lower case already.
        Ok(_) => text.to_ascii_lowercase(),
        Err(_) => format!("{text}.lowerAscii()"),
    }
}

/// The cultures of C# do not differ for the texts of a handshake.
fn ignores_case(how: &Expr) -> Result<bool> {
    let how = path(how);
    let how = how
        .as_deref()
        .map(|how| how.strip_prefix(&["System"]).unwrap_or(how));
    match how {
        Some(
            [
                "StringComparison",
                "Ordinal" | "InvariantCulture" | "CurrentCulture",
            ],
        ) => Ok(false),
        Some(
            [
                "StringComparison",
                "OrdinalIgnoreCase" | "InvariantCultureIgnoreCase" | "CurrentCultureIgnoreCase",
            ],
        ) => Ok(true),
        _ => no("this comparison is not translated"),
    }
}

fn comparison(of: &str, name: &str, with: &str) -> Cel {
    let text = match name {
        "StartsWith" => format!("{of}.startsWith({with})"),
        "EndsWith" => format!("{of}.endsWith({with})"),
        _ => format!("{of}.contains({with})"),
    };
    cel(Kind::Bool, text)
}

/// Removes a character at one end: keeps the longest part that begins or ends with another one.
fn trimmed(of: &str, name: &str, character: &str) -> Result<Cel> {
    let mut characters = character.chars();
    let (Some(c), None) = (characters.next(), characters.next()) else {
        return no("only one character is trimmed");
    };
    let pattern = match (c, name) {
        (c, _) if !c.is_ascii_punctuation() && c != ' ' => {
            return no("only ASCII punctuation is trimmed");
        }
        (c, "TrimStart") => format!("(?s)[^\\{c}].*$"),
        (c, _) => format!("(?s)^.*[^\\{c}]"),
    };
    let pattern = pattern.replace("\\ ", " ");
    Ok(cel(Kind::Text, format!("{of}.find({})", quote(&pattern)?)))
}
