//! Lists. `Any` and `All` evaluate every item, so that no failure is hidden.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, bounded, cel, no};

impl Scope {
    pub(super) fn of_list(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let (text, item) = (&of.text, item_kind(of.kind));
        let found = match (name, args) {
            ("First", []) => cel(item, format!("{text}[0]")),
            ("FirstOrDefault", []) if item == Kind::Text => {
                let text = format!("(size({text}) > 0 ? {text}[0] : null)");
                cel(Kind::MaybeText, text)
            }
            ("Last", []) => cel(item, format!("{text}[size({text}) - 1]")),
            ("Count", []) => cel(Kind::Int, format!("size({text})")),
            ("Any", []) => cel(Kind::Bool, format!("(size({text}) > 0)")),
            ("Contains", [value]) if item == Kind::Text => {
                cel(Kind::Bool, format!("({} in {text})", self.text(value)?))
            }
            ("Any" | "All" | "Where" | "Count", [Expr::Lambda(parameter, body)]) => {
                let (variable, inner) = self.inside(parameter, item)?;
                let condition = inner.condition(body)?;
                let matching = format!("{text}.filter({variable}, {condition})");
                match name {
                    "Any" => cel(Kind::Bool, format!("(size({matching}) > 0)")),
                    "All" => cel(Kind::Bool, format!("(size({matching}) == size({text}))")),
                    "Count" => cel(Kind::Int, format!("size({matching})")),
                    _ => cel(of.kind, matching),
                }
            }
            ("Select", [Expr::Lambda(parameter, body)]) => {
                let (variable, inner) = self.inside(parameter, item)?;
                let mapped = inner.of(body)?;
                let kind = match mapped.kind {
                    Kind::Text => Kind::List,
                    Kind::Json => Kind::JsonList,
                    _ => return no("Select is translated for texts and JSON only"),
                };
                cel(kind, format!("{text}.map({variable}, {})", mapped.text))
            }
            ("ToArray" | "ToList", []) => of.clone(),
            _ => return no(format!("{name} is not translated here")),
        };
        bounded(found)
    }

    /// The variable of a lambda's parameter, and the scope of its body.
    fn inside(&self, parameter: &str, kind: Kind) -> Result<(String, Self)> {
        if !parameter.chars().all(|c| c.is_ascii_alphanumeric()) || parameter.len() > 32 {
            return no(format!("the name {parameter:?} cannot be translated"));
        }
        let variable = format!("each_{parameter}");
        let inner = self.with(parameter, cel(kind, variable.clone()));
        Ok((variable, inner))
    }
}

fn item_kind(list: Kind) -> Kind {
    match list {
        Kind::List => Kind::Text,
        _ => Kind::Json,
    }
}
