//! Translates C# expressions to CEL.
//!
//! A translation has the same value or fails; everything else is an error. Where C# throws an exception, CEL
//! must fail too. Therefore `&&` and `||` become conditional expressions: CEL's own operators ignore the
//! failure of the first operand if the second one decides.

mod bytes;
mod calls;
mod claims;
mod context;
mod id;
mod json;
mod library;
mod list;
mod operator;
mod pattern;
mod text;
mod time;
mod url;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(crate) use self::context::REGION;
use self::context::path;
use super::csharp::{Expr, Stmt, Unreadable, expression_of, in_line, parse};
use super::finding::Level;
use super::service::{IdOf, NamedValue, Service};

/// The type of a translated expression, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A string.
    Text,
    /// A string or null.
    MaybeText,
    /// An integer.
    Int,
    /// An integer or null.
    MaybeInt,
    /// True or false.
    Bool,
    /// True, false or null.
    MaybeBool,
    /// Null.
    Null,
    /// The unknown value of a variable.
    Any,
    /// A decoded token.
    Token,
    /// User and password.
    Basic,
    /// A response that `sendRequest` stored.
    Response,
    /// Headers: lists by name in lower case.
    Headers,
    /// A query: lists by name.
    Query,
    /// A list of strings.
    List,
    /// A list of strings, some of which may be null.
    MaybeList,
    /// JSON, or a part of it.
    Json,
    /// JSON that the expression builds.
    Made,
    /// A list of JSON.
    JsonList,
    /// A point in time.
    Time,
    /// A URL whose parts are used.
    Url,
    /// A URL whose query is used.
    UrlQuery,
    /// A client certificate.
    Certificate,
    /// The id of an object. Here it is its name, which may be another one.
    Id(IdOf),
    /// The bytes of a text.
    Utf8,
    /// Other bytes.
    Bytes,
    /// Bytes as hexadecimal text, in C# with a dash between any two.
    Dashed,
    /// A list of hexadecimal texts, one for each byte.
    HexList,
    /// SHA-256.
    Sha256,
    /// HMAC with SHA-256; the text is its key.
    Hmac,
}

/// What becomes of a value, for ids whose objects have another name here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdUse {
    /// It is sent or printed: another id changes it.
    Forwarded,
    /// It tells handshakes apart: another id does so as well.
    Key,
    /// It decides or is kept: another id could decide otherwise.
    Exact,
    /// The token of a managed identity is sent.
    Credentials,
}

/// An expression in CEL, in parentheses where it needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cel {
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Container and key of a part of JSON. In C# a missing part is null.
    part: Option<(String, String)>,
    /// Condition and value, if it is that value or null.
    or_null: Option<(String, String)>,
    /// The text itself, if it is constant.
    constant: Option<String>,
    /// Whether its evaluation never fails.
    is_sure: bool,
    /// Whether it is a variable that was not cast to a type.
    is_object: bool,
    pub(crate) scheme: Scheme,
}

/// What is known of how a text starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scheme {
    #[default]
    Unknown,
    /// Always with ws:// or wss://.
    WebSocket,
    /// Its first literal starts with http:// or https://.
    Http,
}

impl Scheme {
    fn of(text: &str) -> Self {
        let starts = |all: [&str; 2]| all.iter().any(|scheme| text.starts_with(scheme));
        match (starts(["ws://", "wss://"]), starts(["http://", "https://"])) {
            (true, _) => Self::WebSocket,
            (_, true) => Self::Http,
            _ => Self::Unknown,
        }
    }
}

impl Cel {
    /// `true` or `false`.
    pub(crate) fn of_truth(truth: bool) -> Self {
        cel(Kind::Bool, truth.to_string()).sure()
    }

    /// A text.
    pub(crate) fn of_text(text: String) -> Self {
        cel(Kind::Text, text)
    }

    /// A truth value as C# prints it.
    pub(crate) fn as_text(&self) -> String {
        format!("({} ? \"True\" : \"False\")", self.text)
    }

    /// The same, known to be true or false: C# fails otherwise.
    pub(crate) fn is_truth(&self) -> bool {
        self.kind == Kind::Bool
    }

    fn object(self) -> Self {
        Self {
            is_object: true,
            ..self
        }
    }

    fn sure(self) -> Self {
        Self {
            is_sure: true,
            ..self
        }
    }

    fn sure_if(self, is_sure: bool) -> Self {
        Self { is_sure, ..self }
    }
}

type Result<T> = std::result::Result<T, Unreadable>;

fn cel(kind: Kind, text: impl Into<String>) -> Cel {
    Cel {
        text: text.into(),
        kind,
        part: None,
        or_null: None,
        constant: None,
        is_sure: false,
        is_object: false,
        scheme: Scheme::Unknown,
    }
}

/// A value if the condition holds, otherwise null.
fn or_null(kind: Kind, condition: String, value: String) -> Cel {
    let mut found = cel(kind, format!("({condition} ? {value} : null)"));
    found.or_null = Some((condition, value));
    found
}

fn no<T>(what: impl Into<String>) -> Result<T> {
    Err(Unreadable(what.into()))
}

/// The longest text that a field of a step may have.
const MAX_LENGTH: usize = 4096;

/// Limit of translated statements: each `if` doubles those after it.
const MAX_STATEMENTS: usize = 2_000;

/// Translates `@(…)` or `@{…}`.
pub(crate) fn translate(text: &str, service: &Service, ids: IdUse) -> Result<Cel> {
    let scope = Scope {
        locals: BTreeMap::new(),
        statements: Rc::default(),
        service,
        ids,
    };
    let found = block(&parse(text)?, &scope)?;
    let found = scope.without_id(found)?;
    if found.text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    match service.token_in(&found.text) {
        Some((name, _)) if ids != IdUse::Credentials => no(format!(
            "{name} is the token of a managed identity, which is translated only as \"Bearer \" + token in the \
             header Authorization"
        )),
        _ => Ok(found),
    }
}

/// Local variables of a block, and what is around it.
#[derive(Clone, Debug)]
struct Scope<'a> {
    locals: BTreeMap<String, Cel>,
    statements: Rc<Cell<usize>>,
    service: &'a Service,
    ids: IdUse,
}

/// Statements as one expression: `if` becomes a conditional expression, and local variables are inlined.
fn block(statements: &[Stmt], scope: &Scope<'_>) -> Result<Cel> {
    let Some((first, rest)) = statements.split_first() else {
        return no("a block must end with return");
    };
    scope.statements.set(scope.statements.get() + 1);
    if scope.statements.get() > MAX_STATEMENTS {
        return no("it has too many branches");
    }
    match first {
        Stmt::Return(value) => scope.of(value),
        Stmt::Set(name, value) => {
            let value = scope.of(value)?;
            if value.text.contains("uuid()") {
                return no("a random value cannot be kept in a local variable");
            }
            block(rest, &scope.with(name, bounded(value)?))
        }
        Stmt::If(condition, then, otherwise) => {
            let condition = scope.condition(condition)?;
            let then = block(&[then, rest].concat(), scope)?;
            let otherwise = block(&[otherwise, rest].concat(), scope)?;
            scope.choice(&condition.text, then, otherwise)
        }
        Stmt::Call(call, line) => {
            scope.left_out(call, *line)?;
            block(rest, scope)
        }
    }
}

fn bounded(value: Cel) -> Result<Cel> {
    if value.text.len() > MAX_LENGTH {
        return no("its translation is too long");
    }
    Ok(value)
}

fn choice(condition: &str, then: &Cel, otherwise: &Cel) -> Result<Cel> {
    let text = match (then.text.as_str(), otherwise.text.as_str()) {
        ("true", "false") => condition.to_owned(),
        (then, otherwise) => format!("({condition} ? {then} : {otherwise})"),
    };
    let mut found = cel(either(then.kind, otherwise.kind), text);
    if (then.scheme, otherwise.scheme) == (Scheme::WebSocket, Scheme::WebSocket) {
        found.scheme = Scheme::WebSocket;
    }
    bounded(found)
}

fn either(a: Kind, b: Kind) -> Kind {
    match (a, b) {
        _ if a == b => a,
        (Kind::Text | Kind::MaybeText | Kind::Null, Kind::Text | Kind::MaybeText | Kind::Null) => {
            Kind::MaybeText
        }
        _ => Kind::Any,
    }
}

/// A string as a CEL literal. `{{name}}` in it is a named value.
pub(crate) fn literal(text: &str, service: &Service) -> Result<Cel> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, after)) = after.split_once("}}") else {
            return no("a named value has no end");
        };
        if !before.is_empty() {
            parts.push(quote(before)?);
        }
        fits_into_text(name, service)?;
        parts.push(format!("values.{}", service.value(name)?));
        rest = after;
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(quote(rest)?);
    }
    let joined = parts.join(" + ");
    let is_sum = parts.len() > 1;
    let mut found = cel(
        Kind::Text,
        if is_sum {
            format!("({joined})")
        } else {
            joined
        },
    );
    found.constant = service.resolved(text).ok();
    found.scheme = Scheme::of(text);
    Ok(found.sure())
}

/// API Management puts the value of a name into the code, where it must stay within the text around it.
fn fits_into_text(name: &str, service: &Service) -> Result<()> {
    match service.named(name) {
        NamedValue::Expression(_) => no(format!(
            "{{{{{name}}}}} is an expression, and stands inside a text"
        )),
        NamedValue::Plain(value) if value.contains(['"', '\\']) => no(format!(
            "the value of {{{{{name}}}}} would end the text around it"
        )),
        NamedValue::Plain(_) | NamedValue::Unknown => Ok(()),
    }
}

fn quote(text: &str) -> Result<String> {
    match serde_json::to_string(text) {
        Ok(quoted) => Ok(quoted),
        Err(error) => no(error.to_string()),
    }
}

/// A literal string without named values, as a CEL literal.
fn constant(expression: &Expr) -> Result<String> {
    match expression {
        Expr::Text(text) if !text.contains("{{") => quote(text),
        _ => no("a literal string is expected here"),
    }
}

impl Scope<'_> {
    fn with(&self, name: &str, value: Cel) -> Self {
        let mut inner = self.clone();
        inner.locals.insert(name.to_owned(), value);
        inner
    }

    fn is_local(&self, name: &str) -> bool {
        self.locals.contains_key(name)
    }

    fn choice(&self, condition: &str, then: Cel, otherwise: Cel) -> Result<Cel> {
        if then.kind == otherwise.kind {
            return choice(condition, &then, &otherwise);
        }
        choice(
            condition,
            &self.without_id(then)?,
            &self.without_id(otherwise)?,
        )
    }

    fn condition(&self, expression: &Expr) -> Result<Cel> {
        let found = self.of(expression)?;
        match found.kind {
            Kind::Bool | Kind::Any => Ok(found),
            _ => no("a condition must be true or false"),
        }
    }

    fn text(&self, expression: &Expr) -> Result<String> {
        let found = self.without_id(self.of(expression)?)?;
        match found.kind {
            Kind::Text | Kind::MaybeText | Kind::Any => Ok(found.text),
            _ => no("a string is expected here"),
        }
    }

    /// A call whose value nobody reads. Only traces can be left out.
    fn left_out(&self, call: &Expr, line: usize) -> Result<()> {
        let called = match call {
            Expr::Call(of, ..) => path(of),
            _ => None,
        };
        let name = called.map_or_else(|| "a method".to_owned(), |path| path.join("."));
        if name != "context.Trace" {
            return no(in_line(
                line,
                &format!("the statement call of {name} is not translated"),
            ));
        }
        let text = "context.Trace is left out, without effect on handshakes";
        self.service.remark(Level::Warning, text.to_owned());
        Ok(())
    }

    /// `{{name}}` outside a text.
    fn named(&self, name: &str) -> Result<Cel> {
        match self.service.named(name) {
            NamedValue::Plain(value) if !value.contains("{{") => self.of(&expression_of(value)?),
            _ => no(format!(
                "{{{{{name}}}}} stands outside a text, and its value is not known: put it in"
            )),
        }
    }

    fn of(&self, expression: &Expr) -> Result<Cel> {
        if let Some(found) = self.of_context(expression) {
            return found;
        }
        let found = match expression {
            Expr::Text(text) => literal(text, self.service),
            Expr::Int(value) => Ok(cel(Kind::Int, value.to_string()).sure()),
            Expr::Bool(value) => Ok(Cel::of_truth(*value)),
            Expr::Null => Ok(cel(Kind::Null, "null").sure()),
            Expr::Named(name) => self.named(name),
            Expr::Name(name) => match self.locals.get(name) {
                Some(value) => Ok(value.clone()),
                None => no(format!("{name} is not known")),
            },
            Expr::Not(of) => self.not(of),
            Expr::Cast(to, of) => self.cast(to, of),
            Expr::Choice(condition, then, otherwise) => self.choice(
                &self.condition(condition)?.text,
                self.of(then)?,
                self.of(otherwise)?,
            ),
            Expr::Binary(mark, left, right) => self.binary(mark, left, right),
            Expr::Member(of, name, is_conditional) => self.member(of, name, *is_conditional),
            Expr::Index(of, index) => self.index(of, index),
            Expr::Call(of, argument, arguments) => self.call(of, argument.as_deref(), arguments),
            Expr::New(name, arguments) => self.made(name, arguments),
            Expr::List(items) => self.list(items),
            Expr::Object(fields) => self.object(fields),
            Expr::Lambda(..) => no("a function is not translated here"),
        };
        found.and_then(bounded)
    }

    fn not(&self, of: &Expr) -> Result<Cel> {
        let of = self.condition(of)?;
        let text = match of.text.ends_with(')') && of.text.starts_with('(') {
            true => format!("!{}", of.text),
            false => format!("!({})", of.text),
        };
        Ok(cel(Kind::Bool, text).sure_if(of.is_sure && of.kind == Kind::Bool))
    }
}

#[cfg(test)]
mod tests;
