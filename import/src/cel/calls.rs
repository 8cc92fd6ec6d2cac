//! Translates members and calls, by the part of the context or the type that they belong to.

use super::super::csharp::{Expr, Unreadable};
use super::context::instead;
use super::time::part_of_time;
use super::url::of_url;
use super::{Cel, Kind, Result, Scope, cel, no, or_null, path, quote};

impl Scope<'_> {
    pub(super) fn member(&self, of: &Expr, name: &str, is_conditional: bool) -> Result<Cel> {
        let named = |why| match path(of) {
            Some(mut path) if path.first() == Some(&"context") => {
                path.push(name);
                Unreadable(format!(
                    "{} is not translated{}",
                    path.join("."),
                    instead(&path)
                ))
            }
            _ => why,
        };
        let holder = self.of(of).map_err(named)?;
        let of = self.without_id(holder)?;
        let found = member_of(&of, name).map_err(named)?;
        // `a?.b` is null if a is null. The other types are never null, or return null themselves.
        Ok(match (is_conditional, of.kind, found.kind) {
            (true, Kind::Response | Kind::MaybeText, Kind::Int) => cel(
                Kind::MaybeInt,
                format!("({} == null ? null : {})", of.text, found.text),
            ),
            (true, Kind::Response, _) => return no("?. is not translated here"),
            _ => found,
        })
    }

    pub(super) fn call(&self, of: &Expr, argument: Option<&str>, args: &[Expr]) -> Result<Cel> {
        let Expr::Member(receiver, name, is_conditional) = of else {
            return no("this call is not translated");
        };
        let is_conditional = *is_conditional;
        if let Some(receiver) = path(receiver) {
            if receiver == ["context", "Variables"] {
                return self.of_variables(name, argument, args);
            }
            if let Some(found) = self.of_library(&receiver, name, args) {
                return found;
            }
        }
        if let Some(found) = self.of_claims(receiver, name, args) {
            return found;
        }
        if let Some(found) = self.of_body(receiver, name, argument, args) {
            return found;
        }
        let of = self.of(receiver).map_err(|why| match path(receiver) {
            Some(path) if path.first() != Some(&"context") && !self.is_local(path[0]) => {
                Unreadable(format!("{}.{name} is not translated", path.join(".")))
            }
            _ => why,
        })?;
        let special = self.of_id(&of, name, args);
        if let Some(found) = special.or_else(|| self.of_bytes(&of, name, args)) {
            return found;
        }
        let of = self.without_id(of)?;
        if let Kind::Json | Kind::Made = of.kind {
            let found = self.of_json(&of, name, argument, args)?;
            return match (&of.part, is_conditional) {
                (Some(_), true) if name == "ToString" => of.value(Kind::MaybeText),
                (_, true) => no("?. is not translated here"),
                _ => Ok(found),
            };
        }
        match (of.kind, argument, is_conditional) {
            (_, Some(_), _) => no(format!("{name} is not translated here")),
            (Kind::MaybeText, _, true) => self.of_maybe(&of, name, args),
            _ => self.method(&of, name, args),
        }
    }

    /// A method of a value that is no JSON.
    fn method(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        match of.kind {
            Kind::Text | Kind::MaybeText => self.of_text(of, name, args),
            Kind::Any if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, format!("({} + \"\")", of.text)))
            }
            Kind::Int if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, format!("string({})", of.text)))
            }
            Kind::Bool if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, of.as_text()).sure_if(of.is_sure))
            }
            Kind::Headers | Kind::Query => self.of_map(of, name, args),
            Kind::List | Kind::MaybeList | Kind::JsonList => self.of_list(of, name, args),
            Kind::Time => self.of_time(of, name, args),
            Kind::UrlQuery if name == "Get" && args.len() == 1 => self.url_parameter(of, &args[0]),
            _ => no(format!("{name} is not translated here")),
        }
    }

    /// `text?.Method(…)`
    fn of_maybe(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let found = self.of_text(of, name, args)?;
        let kind = match found.kind {
            Kind::Text => Kind::MaybeText,
            Kind::Bool => Kind::MaybeBool,
            Kind::Int => Kind::MaybeInt,
            _ => Kind::Any,
        };
        let Some((condition, value)) = &of.or_null else {
            let text = format!("({0} == null ? null : {1})", of.text, found.text);
            return Ok(cel(kind, text).sure_if(found.is_sure));
        };
        let value = self.of_text(&cel(Kind::Text, value), name, args)?;
        let or_null = or_null(kind, condition.clone(), value.text);
        Ok(or_null.sure_if(found.is_sure))
    }

    /// `id.Equals(…)`, `id.ToString()`; `None` for other methods.
    fn of_id(&self, of: &Cel, name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        let Kind::Id(_) = of.kind else {
            return None;
        };
        match (name, args) {
            ("ToString", []) => Some(Ok(of.clone())),
            ("Equals", [other]) => {
                let other = self.of(other);
                match other {
                    Ok(other) => self.is_id(of, &other),
                    Err(why) => Some(Err(why)),
                }
            }
            ("Equals", [other, how]) => {
                let other = self.of(other).ok()?;
                let how = path(how)?;
                match how.last()?.contains("IgnoreCase") {
                    true => self.is_id_in_any_case(of, &other),
                    false => self.is_id(of, &other),
                }
            }
            _ => None,
        }
    }

    fn of_map(&self, map: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let Some(Expr::Text(key)) = args.first() else {
            return no("the name must be a string");
        };
        if key.contains("{{") {
            return no("a name that contains a named value is not translated");
        }
        let key = match map.kind {
            Kind::Query => quote(key)?,
            _ => quote(&key.to_ascii_lowercase())?,
        };
        let (is_sure, map) = (map.is_sure, &map.text);
        let is_in = format!("{key} in {map}");
        if let ("ContainsKey", [_]) = (name, args) {
            return Ok(cel(Kind::Bool, format!("({is_in})")).sure_if(is_sure));
        }
        let default = match (name, args) {
            ("GetValueOrDefault", [_]) => cel(Kind::Null, "null").sure(),
            ("GetValueOrDefault", [_, default]) => self.without_id(self.of(default)?)?,
            _ => return no(format!("{name} is not translated here")),
        };
        let kind = match default.kind {
            Kind::Text => Kind::Text,
            Kind::MaybeText | Kind::Null => Kind::MaybeText,
            _ => return no("the default must be a string"),
        };
        // All values, joined by commas as in C#: a check of the first value only could be bypassed.
        let all = format!("{map}[{key}].join(\",\")");
        if default.kind == Kind::Null {
            return Ok(or_null(Kind::MaybeText, is_in, all).sure_if(is_sure));
        }
        let text = format!("({is_in} ? {all} : {})", default.text);
        Ok(cel(kind, text).sure_if(is_sure && default.is_sure))
    }

    fn of_variables(&self, name: &str, argument: Option<&str>, args: &[Expr]) -> Result<Cel> {
        let Some(Expr::Text(variable)) = args.first() else {
            return no("the name of a variable must be a string");
        };
        let variable = self.service.variable(variable)?;
        let kind = argument.map(kind_of).transpose()?.flatten();
        let default = match (name, args) {
            ("ContainsKey", [_]) => {
                return Ok(cel(Kind::Bool, format!("has(vars.{variable})")).sure());
            }
            ("GetValueOrDefault", [_]) => match kind {
                Some(Kind::Bool) => Cel::of_truth(false),
                Some(Kind::Int) => cel(Kind::Int, "0"),
                _ => cel(Kind::Null, "null"),
            },
            ("GetValueOrDefault", [_, default]) => self.without_id(self.of(default)?)?,
            _ => return no(format!("{name} is not translated here")),
        };
        // Without a type argument, the type is that of the default.
        let kind = kind.unwrap_or(match default.kind {
            Kind::Text | Kind::MaybeText => Kind::MaybeText,
            Kind::Bool | Kind::Int => default.kind,
            _ => Kind::Any,
        });
        let default = default.text;
        let text = format!("(has(vars.{variable}) ? vars.{variable} : {default})");
        let found = cel(kind, text);
        // With the type of a value, what is compared is that value.
        Ok(match kind {
            Kind::Any => found.object(),
            _ => found,
        })
    }

    /// `answer.Body.As<T>()`: a body is text or JSON.
    fn of_body(
        &self,
        receiver: &Expr,
        name: &str,
        argument: Option<&str>,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        let Expr::Member(answer, member, _) = receiver else {
            return None;
        };
        if member != "Body" || name != "As" {
            return None;
        }
        let answer = match self.of(answer) {
            Ok(answer) if answer.kind == Kind::Response => answer,
            Ok(_) => return Some(no("a handshake has no body")),
            Err(why) => return Some(Err(why)),
        };
        Some(match (argument, args) {
            (Some("JObject" | "JArray" | "JToken"), [] | [Expr::Bool(_)]) => {
                Ok(cel(Kind::Json, format!("{}.json", answer.text)))
            }
            (Some("string"), [] | [Expr::Bool(_)]) => {
                Ok(cel(Kind::Text, format!("{}.text", answer.text)))
            }
            _ => no("this form of a body is not translated"),
        })
    }
}

fn member_of(of: &Cel, name: &str) -> Result<Cel> {
    let text = &of.text;
    let or_null = |field: &str| format!("{text}.?{field}.orValue(null)");
    Ok(match (of.kind, name) {
        (Kind::Text | Kind::MaybeText, "Length")
        | (Kind::List | Kind::MaybeList | Kind::JsonList, "Length" | "Count")
        | (Kind::Json, "Count") => cel(Kind::Int, format!("size({text})")),
        (Kind::Response, "StatusCode") => cel(Kind::Int, format!("{text}.status")),
        (Kind::Response, "Headers") => cel(Kind::Headers, format!("{text}.headers")),
        (Kind::Basic, "UserId") => cel(Kind::MaybeText, or_null("username")),
        (Kind::Basic, "Password") => cel(Kind::MaybeText, or_null("password")),
        (Kind::Certificate, "Thumbprint") => cel(Kind::MaybeText, or_null("thumbprint")),
        (Kind::Time, name) => part_of_time(of, name)?,
        (Kind::Url, name) => of_url(of, name)?,
        (Kind::Token, "Subject") => cel(Kind::Any, format!("{text}.claims.sub")),
        (Kind::Token, "Issuer") => cel(Kind::Any, format!("{text}.claims.iss")),
        (Kind::Token, "Id") => cel(Kind::Any, format!("{text}.claims.jti")),
        _ => return no(format!("{name} is not translated")),
    })
}

/// The kind of a variable with this type argument; `None`: it can be anything.
fn kind_of(argument: &str) -> Result<Option<Kind>> {
    Ok(Some(match argument {
        "string" | "String" => Kind::MaybeText,
        "bool" | "Boolean" => Kind::Bool,
        "int" | "long" | "Int32" | "Int64" => Kind::Int,
        "IResponse" => Kind::Response,
        "JObject" | "JToken" | "JArray" => Kind::Json,
        "Jwt" => Kind::Token,
        "object" => return Ok(None),
        other => return no(format!("the type {other} is not translated")),
    }))
}
