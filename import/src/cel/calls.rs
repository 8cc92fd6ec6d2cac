//! Translates members and calls, by the part of the context or the type that they belong to.

use super::super::csharp::{Expr, Unreadable};
use super::time::part_of_time;
use super::url::of_url;
use super::{Cel, Kind, Result, Scope, cel, identifier, no, path, quote};

impl Scope {
    pub(super) fn member(&self, of: &Expr, name: &str, is_conditional: bool) -> Result<Cel> {
        let of = self.of(of).map_err(|why| match path(of) {
            Some(path) if path.first() == Some(&"context") => {
                Unreadable(format!("{}.{name} is not translated", path.join(".")))
            }
            _ => why,
        })?;
        let text = &of.text;
        let found = match (of.kind, name) {
            (Kind::Text | Kind::MaybeText, "Length") => cel(Kind::Int, format!("size({text})")),
            (Kind::List | Kind::JsonList, "Length" | "Count") => {
                cel(Kind::Int, format!("size({text})"))
            }
            (Kind::Json, "Count") => cel(Kind::Int, format!("size({text})")),
            (Kind::Response, "StatusCode") => cel(Kind::Int, format!("{text}.status")),
            (Kind::Response, "Headers") => cel(Kind::Headers, format!("{text}.headers")),
            (Kind::Basic, "UserId") => {
                cel(Kind::MaybeText, format!("{text}.?username.orValue(null)"))
            }
            (Kind::Basic, "Password") => {
                cel(Kind::MaybeText, format!("{text}.?password.orValue(null)"))
            }
            (Kind::Certificate, "Thumbprint") => {
                cel(Kind::MaybeText, format!("{text}.?thumbprint.orValue(null)"))
            }
            (Kind::Time, name) => part_of_time(&of, name)?,
            (Kind::Url, name) => of_url(&of, name)?,
            (Kind::Token, "Subject") => cel(Kind::Any, format!("{text}.claims.sub")),
            (Kind::Token, "Issuer") => cel(Kind::Any, format!("{text}.claims.iss")),
            (Kind::Token, "Id") => cel(Kind::Any, format!("{text}.claims.jti")),
            _ => return no(format!("{name} is not translated")),
        };
        // `a?.b` is null if a is null. The other types are never null, or return null themselves.
        Ok(match (is_conditional, of.kind, found.kind) {
            (true, Kind::Response | Kind::MaybeText, Kind::Int) => cel(
                Kind::MaybeInt,
                format!("({text} == null ? null : {})", found.text),
            ),
            (true, Kind::Response, _) => return no("?. is not translated here"),
            _ => found,
        })
    }

    pub(super) fn call(&self, of: &Expr, argument: Option<&str>, args: &[Expr]) -> Result<Cel> {
        let Expr::Member(receiver, name, is_conditional) = of else {
            return no("this call is not translated");
        };
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
        let of = self.of(receiver)?;
        match of.kind {
            Kind::Json | Kind::Made => {
                let found = self.of_json(&of, name, argument, args)?;
                match (&of.part, *is_conditional) {
                    (Some(_), true) if name == "ToString" => of.value(Kind::MaybeText),
                    (_, true) => no("?. is not translated here"),
                    _ => Ok(found),
                }
            }
            _ if argument.is_some() => no(format!("{name} is not translated here")),
            Kind::MaybeText if *is_conditional => {
                let found = self.of_text(&of, name, args)?;
                let kind = if found.kind == Kind::Text {
                    Kind::MaybeText
                } else {
                    Kind::Any
                };
                let text = format!("({0} == null ? null : {1})", of.text, found.text);
                Ok(cel(kind, text))
            }
            Kind::Text | Kind::MaybeText => self.of_text(&of, name, args),
            Kind::Any if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, format!("({} + \"\")", of.text)))
            }
            Kind::Int if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, format!("string({})", of.text)))
            }
            Kind::Headers | Kind::Query => self.of_map(&of, name, args),
            Kind::List | Kind::JsonList => self.of_list(&of, name, args),
            Kind::Time => self.of_time(&of, name, args),
            Kind::UrlQuery if name == "Get" && args.len() == 1 => self.url_parameter(&of, &args[0]),
            _ => no(format!("{name} is not translated here")),
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
        let map = &map.text;
        match (name, args) {
            ("ContainsKey", [_]) => Ok(cel(Kind::Bool, format!("({key} in {map})"))),
            // All values, joined by commas as in C#: a check of the first value only could be bypassed.
            ("GetValueOrDefault", [_]) => Ok(cel(
                Kind::MaybeText,
                format!("({key} in {map} ? {map}[{key}].join(\",\") : null)"),
            )),
            ("GetValueOrDefault", [_, default]) => {
                let default = self.of(default)?;
                let kind = match default.kind {
                    Kind::Text => Kind::Text,
                    Kind::MaybeText | Kind::Null => Kind::MaybeText,
                    _ => return no("the default must be a string"),
                };
                let default = default.text;
                let text = format!("({key} in {map} ? {map}[{key}].join(\",\") : {default})");
                Ok(cel(kind, text))
            }
            _ => no(format!("{name} is not translated here")),
        }
    }

    fn of_variables(&self, name: &str, argument: Option<&str>, args: &[Expr]) -> Result<Cel> {
        let Some(Expr::Text(variable)) = args.first() else {
            return no("the name of a variable must be a string");
        };
        let variable = identifier(variable)?;
        let kind = match argument {
            Some("string") => Some(Kind::MaybeText),
            Some("bool") => Some(Kind::Bool),
            Some("int" | "long") => Some(Kind::Int),
            Some("IResponse") => Some(Kind::Response),
            Some("JObject" | "JToken" | "JArray") => Some(Kind::Json),
            Some("Jwt") => Some(Kind::Token),
            Some("object") | None => None,
            Some(other) => return no(format!("the type {other} is not translated")),
        };
        let default = match (name, args) {
            ("ContainsKey", [_]) => return Ok(cel(Kind::Bool, format!("has(vars.{variable})"))),
            ("GetValueOrDefault", [_]) => match kind {
                Some(Kind::Bool) => cel(Kind::Bool, "false"),
                Some(Kind::Int) => cel(Kind::Int, "0"),
                _ => cel(Kind::Null, "null"),
            },
            ("GetValueOrDefault", [_, default]) => self.of(default)?,
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
        Ok(cel(kind, text))
    }

    /// `token.Claims.…`: claims are JSON in Tidegate, so that a list is an error instead of being joined.
    fn of_claims(&self, receiver: &Expr, name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        let Expr::Member(token, member, _) = receiver else {
            return None;
        };
        if member != "Claims" {
            return None;
        }
        let token = self.of(token).ok()?;
        if token.kind != Kind::Token {
            return None;
        }
        let [Expr::Text(claim), rest @ ..] = args else {
            return Some(no("the name of a claim must be a string"));
        };
        Some(quote(claim).and_then(|claim| {
            let claims = format!("{}.claims", token.text);
            match (name, rest) {
                ("ContainsKey", []) => Ok(cel(Kind::Bool, format!("({claim} in {claims})"))),
                ("GetValueOrDefault", []) => Ok(cel(
                    Kind::MaybeText,
                    format!("({claim} in {claims} ? string({claims}[{claim}]) : null)"),
                )),
                ("GetValueOrDefault", [default]) => {
                    let default = self.text(default)?;
                    let text =
                        format!("({claim} in {claims} ? string({claims}[{claim}]) : {default})");
                    Ok(cel(Kind::Text, text))
                }
                _ => no(format!("{name} is not translated here")),
            }
        }))
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
