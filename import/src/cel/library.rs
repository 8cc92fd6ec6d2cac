//! Static methods.

use super::super::csharp::Expr;
use super::pattern::same_in_both;
use super::url::parsed_query;
use super::{Cel, Kind, Result, Scope, cel, no, path, quote};

impl Scope<'_> {
    /// `None` if it is no static method.
    pub(super) fn of_library(
        &self,
        receiver: &[&str],
        name: &str,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        let receiver = without_namespace(receiver);
        if let Some(found) = self.of_bytes_library(receiver, name, args) {
            return Some(found);
        }
        Some(match (receiver, name, args) {
            (["string" | "String"], _, _) => self.of_strings(name, args),
            // A space becomes %20 instead of +, which means the same in a query.
            (["Uri"], "EscapeDataString", [of])
            | (["WebUtility" | "HttpUtility"], "UrlEncode", [of]) => {
                self.function("url.encode", of)
            }
            (["Uri"], "UnescapeDataString", [of]) => self.function("url.decode", of),
            (["HttpUtility"], "ParseQueryString", [of]) => {
                self.of(of).and_then(|query| parsed_query(&query))
            }
            (["Guid"], "NewGuid", []) => Ok(cel(Kind::Text, "uuid()")),
            (["JObject" | "JArray" | "JToken"], "Parse", [of]) => self.parsed(of),
            (["JObject"], "FromObject", [of]) => self.of(of),
            (["JsonConvert"], "SerializeObject", [of]) => self.encoded(of),
            (["int" | "Int32" | "long" | "Int64"], "Parse", [of])
            | (["Convert"], "ToInt32" | "ToInt64", [of]) => {
                self.text(of).map(|of| cel(Kind::Int, format!("int({of})")))
            }
            // In C#, True and TRUE are true as well, and anything else fails.
            (["bool" | "Boolean"], "Parse", [of]) | (["Convert"], "ToBoolean", [of]) => {
                self.text(of).map(|of| {
                    let text =
                        format!("{{\"true\": true, \"false\": false}}[{of}.trim().lowerAscii()]");
                    cel(Kind::Bool, text)
                })
            }
            (["Regex"], "IsMatch", [of, pattern]) => self.matches(of, pattern, ""),
            (["Regex"], "IsMatch", [of, pattern, option]) => match path(option).as_deref() {
                Some(["RegexOptions", "IgnoreCase"]) => self.matches(of, pattern, "(?i)"),
                _ => no("of the options only IgnoreCase is translated"),
            },
            _ => return None,
        })
    }

    fn of_strings(&self, name: &str, args: &[Expr]) -> Result<Cel> {
        match (name, args) {
            ("IsNullOrEmpty", [of]) => Ok(is_nothing(&self.text_or_json(of)?, "")),
            ("IsNullOrWhiteSpace", [of]) => Ok(is_nothing(&self.text_or_json(of)?, ".trim()")),
            ("Equals", [a, b]) => self.equals(&self.of(a)?, b, None),
            ("Equals", [a, b, how]) => self.equals(&self.of(a)?, b, Some(how)),
            ("Concat", [one]) if self.of(one)?.kind == Kind::HexList => {
                Ok(cel(Kind::Text, self.of(one)?.text))
            }
            ("Concat", parts) => {
                let parts = parts.iter().map(|part| self.of(part));
                self.joined(&parts.collect::<Result<Vec<_>>>()?)
            }
            ("Join", [by, list]) => self.join(by, list),
            ("Format", [Expr::Text(pattern), values @ ..]) => self.formatted(pattern, values),
            _ => no(format!("string.{name} is not translated here")),
        }
    }

    /// `string.Join(by, list)`
    fn join(&self, by: &Expr, list: &Expr) -> Result<Cel> {
        let (by, list) = (self.text(by)?, self.of(list)?);
        match list.kind {
            Kind::List | Kind::MaybeList => {
                Ok(cel(Kind::Text, format!("{}.join({by})", list.text)))
            }
            Kind::HexList if by == "\"\"" => Ok(cel(Kind::Text, list.text)),
            _ => no("only a list of texts is joined"),
        }
    }

    /// A text that may be null. A name is never empty, so that an id needs no comparison.
    fn text_or_json(&self, of: &Expr) -> Result<Cel> {
        let found = self.of(of)?;
        match found.kind {
            Kind::Json => found.value(Kind::MaybeText),
            Kind::Text | Kind::MaybeText | Kind::Any | Kind::Null | Kind::Id(_) => {
                let is_sure = found.is_sure && found.kind != Kind::Any;
                Ok(found.sure_if(is_sure))
            }
            _ => no("a string is expected here"),
        }
    }

    fn function(&self, name: &str, of: &Expr) -> Result<Cel> {
        let of = self.text(of)?;
        Ok(cel(Kind::Text, format!("{name}({of})")))
    }

    fn matches(&self, of: &Expr, pattern: &Expr, flags: &str) -> Result<Cel> {
        match pattern {
            Expr::Text(pattern) if !pattern.contains("{{") => {
                same_in_both(pattern)?;
                let pattern = quote(&format!("{flags}{}", with_end(pattern)))?;
                Ok(cel(
                    Kind::Bool,
                    format!("{}.matches({pattern})", self.text(of)?),
                ))
            }
            _ => no("the pattern must be a literal string"),
        }
    }

    /// `{0}` and so on.
    fn formatted(&self, pattern: &str, values: &[Expr]) -> Result<Cel> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let hole = after.split_once('}');
            let hole =
                hole.and_then(|(n, after)| Some((values.get(n.parse::<usize>().ok()?)?, after)));
            let Some((value, after)) = hole else {
                return no("this pattern of string.Format is not translated");
            };
            if !before.is_empty() {
                parts.push(super::literal(before, self.service)?);
            }
            parts.push(self.of(value)?);
            rest = after;
        }
        if rest.contains('}') {
            return no("this pattern of string.Format is not translated");
        }
        if !rest.is_empty() {
            parts.push(super::literal(rest, self.service)?);
        }
        self.joined(&parts)
    }
}

/// In C#, `$` at the end also stands in front of a line end that is the last character.
fn with_end(pattern: &str) -> String {
    let Some(rest) = pattern.strip_suffix('$') else {
        return pattern.to_owned();
    };
    let escapes = rest.chars().rev().take_while(|c| *c == '\\').count();
    match escapes % 2 {
        0 => format!("{rest}\\n?$"),
        _ => pattern.to_owned(),
    }
}

/// Whether a text is null, or empty after a method.
fn is_nothing(of: &Cel, method: &str) -> Cel {
    let (text, empty) = (&of.text, format!("{}{method} == \"\"", of.text));
    let text = match &of.or_null {
        Some((condition, value)) => format!("!({condition} && {value}{method} != \"\")"),
        None if of.is_sure => format!("({text} == null || {empty})"),
        None => format!("({text} == null ? true : {empty})"),
    };
    cel(Kind::Bool, text).sure_if(of.is_sure)
}

/// `System.Text.Encoding` is `Encoding`.
fn without_namespace<'a, 'b>(path: &'a [&'b str]) -> &'a [&'b str] {
    let namespaces: [&[&str]; 8] = [
        &["System", "Security", "Cryptography"],
        &["System", "Text", "RegularExpressions"],
        &["Newtonsoft", "Json", "Linq"],
        &["Newtonsoft", "Json"],
        &["System", "Text"],
        &["System", "Net"],
        &["System", "Web"],
        &["System"],
    ];
    let mut known = namespaces.iter();
    let found = known.find_map(|namespace| path.strip_prefix(*namespace));
    found.unwrap_or(path)
}
