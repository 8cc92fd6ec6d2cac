//! JSON: reading and building it.
//!
//! A missing field is null in C# and an error in CEL, so the translation checks first whether it exists.
//! Numbers and `true` are printed differently in C#: converting them to a string is an error.

use super::super::csharp::Expr;
use super::operator::part;
use super::{Cel, Kind, Result, Scope, bounded, cel, constant, no, or_null, quote};

impl Cel {
    /// The value of a part of JSON.
    pub(crate) fn value(self, kind: Kind) -> Result<Self> {
        let strict = &self.text;
        let text = match kind {
            Kind::Bool => format!("bool({strict})"),
            // C# rounds a fraction, and CEL cuts it off.
            Kind::Int => format!("int(string({strict}))"),
            _ => {
                let mut condition = format!("{strict} != null");
                if let Some((of, key)) = &self.part {
                    condition = format!("{key} in {of} && {condition}");
                }
                let value = format!("({strict} + \"\")");
                return bounded(or_null(Kind::MaybeText, condition, value));
            }
        };
        bounded(cel(kind, text))
    }

    /// As the value of a variable.
    pub(crate) fn kept(self) -> Result<Self> {
        match (&self.part, self.kind) {
            (Some((of, key)), Kind::Json) => {
                let text = format!("({key} in {of} ? {} : null)", self.text);
                Ok(cel(Kind::Json, text))
            }
            (_, Kind::Url | Kind::UrlQuery) => no("a URL is kept as a text only"),
            _ => Ok(self),
        }
    }

    /// Its field or item.
    fn at(&self, key: String) -> Result<Self> {
        let mut found = bounded(cel(Kind::Json, format!("{}[{key}]", self.text)))?;
        if key.starts_with('"') {
            found.part = Some((self.text.clone(), key));
        }
        Ok(found)
    }
}

impl Scope<'_> {
    pub(super) fn index(&self, of: &Expr, index: &Expr) -> Result<Cel> {
        let special = self.of_kept(of, index);
        if let Some(found) = special.or_else(|| self.claim_at(of, index)) {
            return found;
        }
        let of = self.of(of)?;
        let text = &of.text;
        match (of.kind, index) {
            (Kind::Json | Kind::Made, Expr::Text(_)) => of.at(constant(index)?),
            (Kind::Json, Expr::Int(number)) => of.at(number.to_string()),
            (Kind::Headers, Expr::Text(name)) => {
                let key = quote(&name.to_ascii_lowercase())?;
                Ok(cel(Kind::List, format!("{text}[{key}]")))
            }
            (Kind::Query, Expr::Text(_)) => {
                Ok(cel(Kind::List, format!("{text}[{}]", constant(index)?)))
            }
            (Kind::List, Expr::Int(number)) => Ok(cel(Kind::Text, format!("{text}[{number}]"))),
            (Kind::MaybeList, Expr::Int(number)) => {
                Ok(cel(Kind::MaybeText, format!("{text}[{number}]")))
            }
            (Kind::JsonList, Expr::Int(number)) => Ok(cel(Kind::Json, format!("{text}[{number}]"))),
            (Kind::UrlQuery, Expr::Text(_)) => self.url_parameter(&of, index),
            _ => no("this index is not translated"),
        }
    }

    /// `new …`
    pub(super) fn made(&self, name: &str, args: &[Expr]) -> Result<Cel> {
        match (name, args) {
            ("JObject", _) => {
                let fields = args.iter().map(|field| self.property(field));
                let fields = fields.collect::<Result<Vec<_>>>()?;
                Ok(cel(Kind::Made, format!("{{{}}}", fields.join(", "))))
            }
            ("JArray", _) => {
                let items = args.iter().map(|item| self.json_of(item));
                let items = items.collect::<Result<Vec<_>>>()?;
                Ok(cel(Kind::Made, format!("[{}]", items.join(", "))))
            }
            ("Uri", [of]) => Ok(cel(Kind::Url, self.text(of)?)),
            _ => match self.new_digest(name, args) {
                Some(found) => found,
                None => no(format!("new {name} is not translated")),
            },
        }
    }

    /// `new JProperty(name, value)`
    fn property(&self, field: &Expr) -> Result<String> {
        match field {
            Expr::New(name, args) if name == "JProperty" => match args.as_slice() {
                [name, value] => Ok(format!("{}: {}", constant(name)?, self.json_of(value)?)),
                _ => no("a property has one value"),
            },
            _ => no("a JObject must list its properties literally"),
        }
    }

    /// `new { a = b }`
    pub(super) fn object(&self, fields: &[(String, Expr)]) -> Result<Cel> {
        let fields = fields
            .iter()
            .map(|(name, value)| Ok(format!("{}: {}", quote(name)?, self.json_of(value)?)));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(cel(Kind::Made, format!("{{{}}}", fields.join(", "))))
    }

    /// A value that JSON may contain.
    fn json_of(&self, value: &Expr) -> Result<String> {
        let found = self.without_id(self.of(value)?)?;
        match found.kind {
            Kind::Text
            | Kind::MaybeText
            | Kind::Int
            | Kind::MaybeInt
            | Kind::Bool
            | Kind::MaybeBool
            | Kind::Null
            | Kind::Any
            | Kind::List
            | Kind::MaybeList
            | Kind::Json
            | Kind::JsonList
            | Kind::Made => Ok(found.text),
            _ => no("this is not translated as a part of JSON"),
        }
    }

    /// Methods of JSON.
    pub(super) fn of_json(
        &self,
        of: &Cel,
        name: &str,
        argument: Option<&str>,
        args: &[Expr],
    ) -> Result<Cel> {
        match (name, argument, args) {
            ("ToString", None, []) if of.kind == Kind::Made => {
                Ok(cel(Kind::Text, format!("json.encode({})", of.text)))
            }
            ("ToString", None, _) if of.kind == Kind::Made => {
                match args.iter().map(super::path).collect::<Option<Vec<_>>>() {
                    Some(paths) if paths == [["Formatting", "None"]] => {
                        Ok(cel(Kind::Text, format!("json.encode({})", of.text)))
                    }
                    _ => no("this form of JSON is not translated"),
                }
            }
            // In C#, null has no methods.
            ("ToString", None, []) => Ok(cel(Kind::Text, format!("({} + \"\")", of.text))),
            ("Value", Some(to), []) => of.clone().value(kind_of(to)?),
            ("Value", Some(to), [key]) => of.at(constant(key)?)?.value(kind_of(to)?),
            ("ContainsKey", None, [key]) => {
                let text = format!("({} in {})", constant(key)?, of.text);
                Ok(cel(Kind::Bool, text))
            }
            ("SelectToken", None, [Expr::Text(path)]) => selected(of, path),
            _ => {
                let list = cel(Kind::JsonList, of.text.clone());
                self.of_list(&list, name, args)
            }
        }
    }

    /// `JObject.Parse(text)` and its like.
    pub(super) fn parsed(&self, text: &Expr) -> Result<Cel> {
        Ok(cel(Kind::Json, format!("json.parse({})", self.text(text)?)))
    }

    /// `JsonConvert.SerializeObject(value)`
    pub(super) fn encoded(&self, value: &Expr) -> Result<Cel> {
        let text = format!("json.encode({})", self.json_of(value)?);
        Ok(cel(Kind::Text, text))
    }

    /// `string.Concat(…)`, `string.Format(…)`: parts as one string.
    pub(super) fn joined(&self, parts: &[Cel]) -> Result<Cel> {
        let texts = parts.iter().map(|of| part(&self.without_id(of.clone())?));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        match texts.as_slice() {
            [] => Ok(cel(Kind::Text, "\"\"")),
            _ => bounded(cel(Kind::Text, format!("({})", texts.join(" + ")))),
        }
    }
}

fn kind_of(name: &str) -> Result<Kind> {
    match name {
        "string" | "String" => Ok(Kind::MaybeText),
        "bool" => Ok(Kind::Bool),
        "int" | "long" => Ok(Kind::Int),
        _ => no(format!("the type {name} is not translated")),
    }
}

/// A path of plain names. In C#, the result is null if a part is missing.
fn selected(of: &Cel, path: &str) -> Result<Cel> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if path.is_empty() || !path.chars().all(is_plain) || path.contains("..") {
        return no("only a path of names is translated");
    }
    let mut found = of.clone();
    for name in path.split('.') {
        found = found.at(quote(name)?)?;
    }
    Ok(found)
}
