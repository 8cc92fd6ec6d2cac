//! Lists. `Any` and `All` evaluate every item, so that no failure is hidden.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, bounded, cel, no};

impl Scope<'_> {
    pub(super) fn of_list(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let (text, item) = (&of.text, item_kind(of.kind));
        let found = match (name, args) {
            ("First", []) => cel(item, format!("{text}[0]")),
            ("FirstOrDefault" | "LastOrDefault", []) => or_default(name, text, item),
            ("Last", []) => cel(item, format!("{text}[size({text}) - 1]")),
            ("Count", []) => cel(Kind::Int, format!("size({text})")),
            ("Any", []) => cel(Kind::Bool, format!("(size({text}) > 0)")),
            ("Contains", [value]) if item != Kind::Json => {
                cel(Kind::Bool, format!("({} in {text})", self.text(value)?))
            }
            ("Contains", [value, how]) if item == Kind::Text => {
                self.contains_in_any_case(text, value, how)?
            }
            (
                "First" | "FirstOrDefault" | "LastOrDefault" | "Any" | "All" | "Where" | "Count",
                [Expr::Lambda(parameter, body)],
            ) => self.filtered(of, name, parameter, body)?,
            ("Select", [Expr::Lambda(parameter, body)]) => self.mapped(of, parameter, body)?,
            ("ToArray" | "ToList", []) => of.clone(),
            _ => return no(format!("{name} is not translated here")),
        };
        bounded(found)
    }

    /// Methods that take a condition on the items.
    fn filtered(&self, of: &Cel, name: &str, parameter: &str, body: &Expr) -> Result<Cel> {
        let (text, item) = (&of.text, item_kind(of.kind));
        let (variable, inner) = self.inside(parameter, item)?;
        let condition = inner.condition(body)?.text;
        let matching = format!("{text}.filter({variable}, {condition})");
        Ok(match name {
            "First" => cel(item, format!("{matching}[0]")),
            "FirstOrDefault" | "LastOrDefault" => or_default(name, &matching, item),
            "Any" => cel(Kind::Bool, format!("(size({matching}) > 0)")),
            "All" => cel(Kind::Bool, format!("(size({matching}) == size({text}))")),
            "Count" => cel(Kind::Int, format!("size({matching})")),
            _ => cel(of.kind, matching),
        })
    }

    fn mapped(&self, of: &Cel, parameter: &str, body: &Expr) -> Result<Cel> {
        let (variable, inner) = self.inside(parameter, item_kind(of.kind))?;
        let mapped = inner.of(body)?;
        let kind = match mapped.kind {
            Kind::Text => Kind::List,
            Kind::Json => Kind::JsonList,
            _ => return no("Select is translated for texts and JSON only"),
        };
        let text = format!("{}.map({variable}, {})", of.text, mapped.text);
        Ok(cel(kind, text))
    }

    /// `new[] { a, b }`
    pub(super) fn list(&self, items: &[Expr]) -> Result<Cel> {
        let mut texts = Vec::new();
        for item in items {
            let found = self.without_id(self.of(item)?)?;
            match found.kind {
                Kind::Text | Kind::MaybeText | Kind::Null => texts.push(found),
                _ => return no("only lists of texts are translated"),
            }
        }
        let is_sure = texts.iter().all(|text| text.is_sure);
        let kind = match texts.iter().all(|text| text.kind == Kind::Text) {
            true => Kind::List,
            false => Kind::MaybeList,
        };
        let texts: Vec<_> = texts.into_iter().map(|text| text.text).collect();
        Ok(cel(kind, format!("[{}]", texts.join(", "))).sure_if(is_sure))
    }

    /// `list.Contains(value, StringComparer.OrdinalIgnoreCase)`
    fn contains_in_any_case(&self, list: &str, value: &Expr, how: &Expr) -> Result<Cel> {
        let value = self.of(value)?;
        let is_known = match super::path(how).as_deref() {
            Some(["StringComparer", name]) => name.ends_with("IgnoreCase"),
            _ => false,
        };
        if !is_known || value.kind != Kind::Text {
            return no("this comparison is not translated");
        }
        let value = format!("{}.lowerAscii()", value.text);
        let text = format!("({value} in {list}.map(each_item, each_item.lowerAscii()))");
        Ok(cel(Kind::Bool, text))
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

/// The first or last item, or null.
fn or_default(name: &str, list: &str, item: Kind) -> Cel {
    let at = match name {
        "FirstOrDefault" => "0".to_owned(),
        _ => format!("size({list}) - 1"),
    };
    let kind = if item == Kind::Text {
        Kind::MaybeText
    } else {
        item
    };
    cel(kind, format!("(size({list}) > 0 ? {list}[{at}] : null)"))
}

fn item_kind(list: Kind) -> Kind {
    match list {
        Kind::List => Kind::Text,
        Kind::MaybeList => Kind::MaybeText,
        _ => Kind::Json,
    }
}
