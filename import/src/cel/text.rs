//! Methods of strings.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, no, path, quote};

impl Scope {
    pub(super) fn of_text(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let kind = of.kind;
        let of = &of.text;
        let found = match (name, args) {
            ("ToString", []) if kind == Kind::Text => cel(Kind::Text, of),
            ("ToString", []) => cel(Kind::Text, format!("({of} + \"\")")),
            ("Trim", []) => cel(Kind::Text, format!("{of}.trim()")),
            ("TrimStart" | "TrimEnd", [Expr::Text(character)]) => trimmed(of, name, character)?,
            ("ToLower" | "ToLowerInvariant", []) => cel(Kind::Text, format!("{of}.lowerAscii()")),
            ("ToUpper" | "ToUpperInvariant", []) => cel(Kind::Text, format!("{of}.upperAscii()")),
            ("Replace", [from, to]) => {
                let (from, to) = (self.text(from)?, self.text(to)?);
                cel(Kind::Text, format!("{of}.replace({from}, {to})"))
            }
            ("Split", [by]) => cel(Kind::List, format!("{of}.split({})", self.text(by)?)),
            ("IndexOf", [what]) => cel(Kind::Int, format!("{of}.indexOf({})", self.text(what)?)),
            ("LastIndexOf", [what]) => {
                cel(Kind::Int, format!("{of}.lastIndexOf({})", self.text(what)?))
            }
            ("Substring", [Expr::Int(start)]) => {
                cel(Kind::Text, format!("{of}.substring({start})"))
            }
            ("Substring", [Expr::Int(start), Expr::Int(length)]) => {
                let end = start.saturating_add(*length);
                cel(Kind::Text, format!("{of}.substring({start}, {end})"))
            }
            ("Substring", [start]) => match self.of(start)? {
                Cel {
                    text,
                    kind: Kind::Int,
                    ..
                } => cel(Kind::Text, format!("{of}.substring({text})")),
                _ => return no("a number is expected here"),
            },
            ("StartsWith" | "EndsWith" | "Contains" | "Equals", [with]) => {
                comparison(of, name, &self.text(with)?)
            }
            ("StartsWith" | "EndsWith" | "Equals", [with, how]) => {
                self.compared(of, name, &self.text(with)?, how)?
            }
            ("AsBasic", []) => cel(Kind::Basic, format!("basic.decode({of})")),
            ("AsJwt", []) => cel(
                Kind::Token,
                format!("jwt.decode({of}.replace(\"Bearer \", \"\", 1))"),
            ),
            _ => return no(format!("{name} is not translated here")),
        };
        Ok(found)
    }

    /// The cultures of C# do not differ for the texts of a handshake.
    pub(super) fn compared(&self, of: &str, name: &str, with: &str, how: &Expr) -> Result<Cel> {
        match path(how).as_deref() {
            Some(["StringComparison", "Ordinal" | "InvariantCulture"]) => {
                Ok(comparison(of, name, with))
            }
            Some(
                [
                    "StringComparison",
                    "OrdinalIgnoreCase" | "InvariantCultureIgnoreCase",
                ],
            ) => {
                let lower = |text: &str| format!("{text}.lowerAscii()");
                Ok(comparison(&lower(of), name, &lower(with)))
            }
            _ => no("this comparison is not translated"),
        }
    }
}

fn comparison(of: &str, name: &str, with: &str) -> Cel {
    let text = match name {
        "StartsWith" => format!("{of}.startsWith({with})"),
        "EndsWith" => format!("{of}.endsWith({with})"),
        "Contains" => format!("{of}.contains({with})"),
        _ => format!("({of} == {with})"),
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
