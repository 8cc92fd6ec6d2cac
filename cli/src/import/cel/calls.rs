//! Calls: methods of the context, of texts, and of the library.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, identifier, no, path, quote};

impl Scope {
    pub(super) fn call(&self, of: &Expr, argument: Option<&str>, args: &[Expr]) -> Result<Cel> {
        let Expr::Member(receiver, name, _) = of else {
            return no("this call is not translated");
        };
        if let Some(receiver) = path(receiver) {
            if let Some(found) = self.of_context(&receiver, name, argument, args) {
                return found;
            }
            if let Some(found) = self.of_library(&receiver, name, args) {
                return found;
            }
        }
        if let Some(found) = self.of_claims(receiver, name, args) {
            return found;
        }
        let receiver = self.of(receiver)?;
        match receiver.kind {
            Kind::Text | Kind::MaybeText => self.of_text(&receiver, name, args),
            Kind::Int if name == "ToString" && args.is_empty() => {
                Ok(cel(Kind::Text, format!("string({})", receiver.text)))
            }
            _ => no(format!("{name} is not translated here")),
        }
    }

    /// Headers, query and variables; `None` when the receiver is none of them.
    fn of_context(
        &self,
        receiver: &[&str],
        name: &str,
        argument: Option<&str>,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        let map = match receiver {
            ["context", "Request", "Headers"] => "request.headers",
            ["context", "Response", "Headers"] => "response.headers",
            ["context", "Request", "Url" | "OriginalUrl", "Query"] => "request.query",
            ["context", "Variables"] => return Some(self.of_variables(name, argument, args)),
            _ => return None,
        };
        Some(self.of_map(map, name, args))
    }

    fn of_map(&self, map: &str, name: &str, args: &[Expr]) -> Result<Cel> {
        let Some(Expr::Text(key)) = args.first() else {
            return no("the name must be a text");
        };
        if key.contains("{{") {
            return no("a name that is made of a named value is not translated");
        }
        let key = match map {
            "request.query" => quote(key)?,
            _ => quote(&key.to_ascii_lowercase())?,
        };
        match (name, args) {
            ("ContainsKey", [_]) => Ok(cel(Kind::Bool, format!("({key} in {map})"))),
            // All values with commas, as there: with the first alone a second one would pass unseen.
            ("GetValueOrDefault", [_]) => Ok(cel(
                Kind::MaybeText,
                format!("({key} in {map} ? {map}[{key}].join(\",\") : null)"),
            )),
            ("GetValueOrDefault", [_, default]) => {
                let default = self.of(default)?;
                let kind = match default.kind {
                    Kind::Text => Kind::Text,
                    Kind::MaybeText | Kind::Null => Kind::MaybeText,
                    _ => return no("the default must be a text"),
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
            return no("the name of a variable must be a text");
        };
        let variable = identifier(variable)?;
        let kind = match argument {
            Some("string") => Kind::MaybeText,
            Some("bool") => Kind::Bool,
            Some("int") => Kind::Int,
            Some(other) => return no(format!("the type {other} is not translated")),
            None => Kind::Any,
        };
        let default = match (name, args) {
            ("ContainsKey", [_]) => return Ok(cel(Kind::Bool, format!("has(vars.{variable})"))),
            ("GetValueOrDefault", [_]) => match kind {
                Kind::Bool => "false".to_owned(),
                Kind::Int => "0".to_owned(),
                _ => "null".to_owned(),
            },
            ("GetValueOrDefault", [_, default]) => self.of(default)?.text,
            _ => return no(format!("{name} is not translated here")),
        };
        let text = format!("(has(vars.{variable}) ? vars.{variable} : {default})");
        Ok(cel(kind, text))
    }

    /// `token.Claims.…`: claims here are JSON, so that a list is refused instead of joined.
    fn of_claims(&self, receiver: &Expr, name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        let Expr::Member(token, member, _) = receiver else {
            return None;
        };
        let token = self.of(token).ok()?;
        if member != "Claims" || token.kind != Kind::Token {
            return None;
        }
        let [Expr::Text(claim), rest @ ..] = args else {
            return Some(no("the name of a claim must be a text"));
        };
        Some(quote(claim).and_then(|claim| {
            let claims = format!("{}.claims", token.text);
            match (name, rest) {
                ("ContainsKey", []) => Ok(cel(Kind::Bool, format!("({claim} in {claims})"))),
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

    /// `header.AsBasic().UserId`, `.Password`: null without basic authentication.
    pub(super) fn credentials(&self, of: &Expr, name: &str) -> Option<Result<Cel>> {
        let field = match name {
            "UserId" => "username",
            "Password" => "password",
            _ => return None,
        };
        let Expr::Call(method, None, args) = of else {
            return None;
        };
        let Expr::Member(header, method, _) = &**method else {
            return None;
        };
        if method != "AsBasic" || !args.is_empty() {
            return None;
        }
        Some(self.text(header).map(|header| {
            let text = format!("basic.decode({header}).?{field}.orValue(null)");
            cel(Kind::MaybeText, text)
        }))
    }

    /// Static methods; `None` when it is none of those.
    fn of_library(&self, receiver: &[&str], name: &str, args: &[Expr]) -> Option<Result<Cel>> {
        let found = match (receiver, name, args) {
            (["string" | "String"], "IsNullOrEmpty", [of]) => self.text(of).map(|of| {
                let text = format!("({of} == null ? true : {of} == \"\")");
                cel(Kind::Bool, text)
            }),
            (["string" | "String"], "IsNullOrWhiteSpace", [of]) => self.text(of).map(|of| {
                let text = format!("({of} == null ? true : {of}.trim() == \"\")");
                cel(Kind::Bool, text)
            }),
            (["Uri"], "EscapeDataString", [of]) => self
                .text(of)
                .map(|of| cel(Kind::Text, format!("url.encode({of})"))),
            (["Uri"], "UnescapeDataString", [of]) => self
                .text(of)
                .map(|of| cel(Kind::Text, format!("url.decode({of})"))),
            (["Regex"], "IsMatch", [of, Expr::Text(pattern)]) if !pattern.contains("{{") => {
                self.text(of).and_then(|of| {
                    let text = format!("{of}.matches({})", quote(pattern)?);
                    Ok(cel(Kind::Bool, text))
                })
            }
            (["Convert"], "ToBase64String", [of]) => inner(of, &["Encoding", "UTF8"], "GetBytes")
                .map_or_else(
                    || no("only the bytes of a UTF-8 text are translated"),
                    |of| {
                        let of = self.text(of)?;
                        Ok(cel(Kind::Text, format!("base64.encode({of})")))
                    },
                ),
            (["Encoding", "UTF8"], "GetString", [of]) => {
                inner(of, &["Convert"], "FromBase64String").map_or_else(
                    || no("only the text of base64 is translated"),
                    |of| {
                        let of = self.text(of)?;
                        Ok(cel(Kind::Text, format!("string(base64.decode({of}))")))
                    },
                )
            }
            _ => return None,
        };
        Some(found)
    }

    fn of_text(&self, of: &Cel, name: &str, args: &[Expr]) -> Result<Cel> {
        let of = &of.text;
        let found = match (name, args) {
            ("ToString", []) => cel(Kind::Text, of),
            ("Trim", []) => cel(Kind::Text, format!("{of}.trim()")),
            ("ToLower" | "ToLowerInvariant", []) => cel(Kind::Text, format!("{of}.lowerAscii()")),
            ("ToUpper" | "ToUpperInvariant", []) => cel(Kind::Text, format!("{of}.upperAscii()")),
            ("Replace", [from, to]) => {
                let (from, to) = (self.text(from)?, self.text(to)?);
                cel(Kind::Text, format!("{of}.replace({from}, {to})"))
            }
            ("Substring", [Expr::Int(start)]) => {
                cel(Kind::Text, format!("{of}.substring({start})"))
            }
            ("Substring", [Expr::Int(start), Expr::Int(length)]) => {
                let end = start.saturating_add(*length);
                cel(Kind::Text, format!("{of}.substring({start}, {end})"))
            }
            ("StartsWith" | "EndsWith" | "Contains" | "Equals", [with]) => {
                comparison(of, name, &self.text(with)?)
            }
            ("StartsWith" | "EndsWith" | "Equals", [with, how]) => {
                let with = self.text(with)?;
                match path(how).as_deref() {
                    Some(["StringComparison", "Ordinal"]) => comparison(of, name, &with),
                    Some(["StringComparison", "OrdinalIgnoreCase"]) => {
                        let lower = |text: &str| format!("{text}.lowerAscii()");
                        comparison(&lower(of), name, &lower(&with))
                    }
                    _ => return no("this comparison is not translated"),
                }
            }
            _ => return no(format!("{name} is not translated here")),
        };
        Ok(found)
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

/// The only argument of `receiver.name(…)`.
fn inner<'a>(expression: &'a Expr, receiver: &[&str], name: &str) -> Option<&'a Expr> {
    let Expr::Call(of, None, args) = expression else {
        return None;
    };
    let mut wanted = receiver.to_vec();
    wanted.push(name);
    match args.as_slice() {
        [only] if path(of)? == wanted => Some(only),
        _ => None,
    }
}
