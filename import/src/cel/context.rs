//! Properties of `context`.

use super::super::csharp::Expr;
use super::super::finding::Level;
use super::super::service::IdOf;
use super::{Cel, Kind, Result, Scope, cel};

/// `a.b.c` as names.
pub(super) fn path(expression: &Expr) -> Option<Vec<&str>> {
    match expression {
        Expr::Name(name) => Some(vec![name]),
        Expr::Member(of, name, _) => {
            let mut found = path(of)?;
            found.push(name);
            Some(found)
        }
        _ => None,
    }
}

/// Properties of the context. In API Management `Request.Url` has the backend's host and path, so that only its
/// query is the same in Tidegate.
pub(super) fn property(path: &[&str]) -> Option<Cel> {
    let (kind, text) = match path {
        ["context", "Request", rest @ ..] => of_request(rest)?,
        ["context", "RequestId"] => (Kind::Text, "request.id"),
        ["context", "Timestamp"] => (Kind::Time, "now"),
        ["context", "Api", "Id"] => (Kind::Id(IdOf::Api), "api.name"),
        ["context", "Api", "Name"] => (Kind::Text, "api.displayName"),
        ["context", "Operation", "Id" | "Name"] => (Kind::Text, "\"onHandshake\""),
        ["context", "Product"] => (Kind::Any, "product"),
        ["context", "Subscription"] => (Kind::Any, "subscription"),
        ["context", "User"] => (Kind::Any, "subscription.?owner.orValue(null)"),
        ["context", "Response", "StatusCode"] => (Kind::Int, "response.status"),
        ["context", "Response", "Headers"] => (Kind::Headers, "response.headers"),
        ["context", "LastError", "Message"] => (Kind::Text, "error.message"),
        ["string" | "String", "Empty"] => (Kind::Text, "\"\""),
        ["DateTime" | "DateTimeOffset", "UtcNow"] => (Kind::Time, "now"),
        _ => return None,
    };
    // Response and error are null in some sections.
    let is_sure = !text.starts_with("response.") && !text.starts_with("error.");
    Some(cel(kind, text).sure_if(is_sure))
}

/// Properties of what a handshake may not have: a product, a subscription, a user. As in C#, reading them fails
/// then, unless they are read with `?.`.
fn of_access(path: &[&str], is_conditional: bool) -> Option<Cel> {
    let (sure, or_null) = match path {
        ["context", "Product", "Id"] => ("product.name", "product.?name.orValue(null)"),
        ["context", "Product", "Name"] => {
            ("product.displayName", "product.?displayName.orValue(null)")
        }
        ["context", "Subscription", "Id"] => {
            ("subscription.name", "subscription.?name.orValue(null)")
        }
        ["context", "Subscription", "Name"] => (
            "subscription.displayName",
            "subscription.?displayName.orValue(null)",
        ),
        ["context", "User", "Id"] => (
            "(subscription.owner + \"\")",
            "subscription.?owner.orValue(null)",
        ),
        _ => return None,
    };
    let kind = match path {
        ["context", "Product", "Id"] => Kind::Id(IdOf::Product),
        ["context", "Subscription", "Id"] => Kind::Id(IdOf::Subscription),
        _ if is_conditional => Kind::MaybeText,
        _ => Kind::Text,
    };
    let text = if is_conditional { or_null } else { sure };
    Some(cel(kind, text).sure_if(is_conditional))
}

fn of_request(path: &[&str]) -> Option<(Kind, &'static str)> {
    const QUERY: &str = "(request.rawQuery == \"\" ? \"\" : \"?\" + request.rawQuery)";
    Some(match path {
        ["Method"] => (Kind::Text, "request.method"),
        ["IpAddress"] => (Kind::Text, "client.ip"),
        ["Headers"] => (Kind::Headers, "request.headers"),
        ["Certificate"] => (Kind::Certificate, "client.certificate"),
        ["Url" | "OriginalUrl", "Query"] => (Kind::Query, "request.query"),
        ["Url" | "OriginalUrl", "QueryString"] => (Kind::Text, QUERY),
        ["OriginalUrl"] => (Kind::Url, "request.originalUrl"),
        ["OriginalUrl", "Host"] => (Kind::Text, "request.host"),
        ["OriginalUrl", "Path"] => (Kind::Text, "request.path"),
        ["OriginalUrl", "Scheme"] => (Kind::Text, "request.scheme"),
        _ => return None,
    })
}

/// The named value with the region of a Gateway.
pub(crate) const REGION: &str = "deployment_region";

impl Scope<'_> {
    /// A property of the context; `None` if the expression is none that is translated.
    pub(super) fn of_context(&self, expression: &Expr) -> Option<Result<Cel>> {
        let path = path(expression)?;
        if path == ["context", "Deployment", "Region"] {
            return Some(self.region());
        }
        let is_conditional = matches!(expression, Expr::Member(_, _, true));
        let found = of_access(&path, is_conditional).or_else(|| property(&path));
        found.map(Ok)
    }

    fn region(&self) -> Result<Cel> {
        let name = self.service.value(REGION)?;
        let text = format!(
            "the region is the named value {name}: declare it on each Gateway, as it is called there"
        );
        self.service.remark(Level::Warning, text);
        Ok(cel(Kind::Text, format!("values.{name}")))
    }

    /// `context.Variables["x"]`
    pub(super) fn of_kept(&self, of: &Expr, index: &Expr) -> Option<Result<Cel>> {
        let is_variables = path(of).is_some_and(|path| path == ["context", "Variables"]);
        match index {
            Expr::Text(name) if is_variables => {
                let name = self.service.variable(name);
                Some(name.map(|name| cel(Kind::Any, format!("vars.{name}")).object()))
            }
            _ => None,
        }
    }
}

/// What to read instead of a property that means something else here.
pub(super) fn instead(path: &[&str]) -> &'static str {
    match path {
        [
            "context",
            "Request",
            "Url",
            "Path" | "Host" | "Scheme" | "Port",
        ] => ": it is the backend's there. context.Request.OriginalUrl is the client's",
        ["context", "User", ..] => ": only the Id of a user is known here",
        _ => "",
    }
}
