//! Static methods.

use super::super::csharp::Expr;
use super::url::parsed_query;
use super::{Cel, Kind, Result, Scope, cel, no, path, quote};

impl Scope {
    /// `None` if it is no static method.
    pub(super) fn of_library(
        &self,
        receiver: &[&str],
        name: &str,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        Some(match (without_namespace(receiver), name, args) {
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
            (["int"], "Parse", [of]) | (["Convert"], "ToInt32", [of]) => {
                self.text(of).map(|of| cel(Kind::Int, format!("int({of})")))
            }
            (["bool"], "Parse", [of]) | (["Convert"], "ToBoolean", [of]) => self
                .text(of)
                .map(|of| cel(Kind::Bool, format!("bool({of})"))),
            (["Regex"], "IsMatch", [of, pattern]) => self.matches(of, pattern, ""),
            (["Regex"], "IsMatch", [of, pattern, option]) => match path(option).as_deref() {
                Some(["RegexOptions", "IgnoreCase"]) => self.matches(of, pattern, "(?i)"),
                _ => no("of the options only IgnoreCase is translated"),
            },
            (["Convert"], "ToBase64String", [of]) => self.base64(of),
            (["Encoding", "UTF8"], "GetString", [of]) => self.of_base64(of),
            _ => return None,
        })
    }

    fn of_strings(&self, name: &str, args: &[Expr]) -> Result<Cel> {
        match (name, args) {
            ("IsNullOrEmpty", [of]) => self.text_or_json(of).map(|of| {
                let text = format!("({of} == null ? true : {of} == \"\")");
                cel(Kind::Bool, text)
            }),
            ("IsNullOrWhiteSpace", [of]) => self.text_or_json(of).map(|of| {
                let text = format!("({of} == null ? true : {of}.trim() == \"\")");
                cel(Kind::Bool, text)
            }),
            ("Equals", [a, b]) => {
                let text = format!("({} == {})", self.text(a)?, self.text(b)?);
                Ok(cel(Kind::Bool, text))
            }
            ("Equals", [a, b, how]) => self.compared(&self.text(a)?, name, &self.text(b)?, how),
            ("Concat", parts) => {
                let parts = parts.iter().map(|part| self.of(part));
                self.joined(&parts.collect::<Result<Vec<_>>>()?)
            }
            ("Join", [by, list]) => match self.of(list)? {
                Cel {
                    text,
                    kind: Kind::List,
                    ..
                } => Ok(cel(Kind::Text, format!("{text}.join({})", self.text(by)?))),
                _ => no("only a list of texts is joined"),
            },
            ("Format", [Expr::Text(pattern), values @ ..]) => self.formatted(pattern, values),
            _ => no(format!("string.{name} is not translated here")),
        }
    }

    fn text_or_json(&self, of: &Expr) -> Result<String> {
        match self.of(of)? {
            found if found.kind == Kind::Json => Ok(found.value(Kind::MaybeText)?.text),
            _ => self.text(of),
        }
    }

    fn function(&self, name: &str, of: &Expr) -> Result<Cel> {
        let of = self.text(of)?;
        Ok(cel(Kind::Text, format!("{name}({of})")))
    }

    fn matches(&self, of: &Expr, pattern: &Expr, flags: &str) -> Result<Cel> {
        match pattern {
            Expr::Text(pattern) if !pattern.contains("{{") => {
                let pattern = quote(&format!("{flags}{pattern}"))?;
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
            let unreadable = || no("this pattern of string.Format is not translated");
            let Some((number, after)) = after.split_once('}') else {
                return unreadable();
            };
            let Some(value) = number.parse().ok().and_then(|n: usize| values.get(n)) else {
                return unreadable();
            };
            if !before.is_empty() {
                parts.push(super::literal(before)?);
            }
            parts.push(self.of(value)?);
            rest = after;
        }
        if rest.contains('}') {
            return no("this pattern of string.Format is not translated");
        }
        if !rest.is_empty() {
            parts.push(super::literal(rest)?);
        }
        self.joined(&parts)
    }

    fn base64(&self, of: &Expr) -> Result<Cel> {
        let bytes = inner(of, &["Encoding", "UTF8"], "GetBytes")
            .or_else(|| inner(of, &["Encoding", "ASCII"], "GetBytes"));
        match bytes {
            Some(of) => self.function("base64.encode", of),
            None => no("only the bytes of a UTF-8 text are translated"),
        }
    }

    fn of_base64(&self, of: &Expr) -> Result<Cel> {
        match inner(of, &["Convert"], "FromBase64String") {
            Some(of) => {
                let of = self.text(of)?;
                Ok(cel(Kind::Text, format!("string(base64.decode({of}))")))
            }
            None => no("only the text of base64 is translated"),
        }
    }
}

/// The only argument of `receiver.name(…)`.
fn inner<'a>(expression: &'a Expr, receiver: &[&str], name: &str) -> Option<&'a Expr> {
    let Expr::Call(of, None, args) = expression else {
        return None;
    };
    let mut wanted = receiver.to_vec();
    wanted.push(name);
    match args.as_slice() {
        [only] if without_namespace(&path(of)?) == wanted => Some(only),
        _ => None,
    }
}

/// `System.Text.Encoding` is `Encoding`.
fn without_namespace<'a, 'b>(path: &'a [&'b str]) -> &'a [&'b str] {
    let namespaces: [&[&str]; 7] = [
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
