//! What `context` offers without a call.

use super::super::csharp::Expr;
use super::{Cel, Kind, cel};

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

/// What the context offers without a call. `Request.Url` has the backend's host and path there, so
/// that only its query is the same here.
pub(super) fn property(path: &[&str]) -> Option<Cel> {
    let (kind, text) = match path {
        ["context", "Request", "Method"] => (Kind::Text, "request.method"),
        ["context", "Request", "IpAddress"] => (Kind::Text, "client.ip"),
        ["context", "Request", "OriginalUrl", "Host"] => (Kind::Text, "request.host"),
        ["context", "Request", "OriginalUrl", "Path"] => (Kind::Text, "request.path"),
        ["context", "Request", "OriginalUrl", "Scheme"] => (Kind::Text, "request.scheme"),
        ["context", "RequestId"] => (Kind::Text, "request.id"),
        ["context", "Api", "Id"] => (Kind::Text, "api.name"),
        ["context", "Api", "Name"] => (Kind::Text, "api.displayName"),
        ["context", "Product"] => (Kind::Any, "product"),
        ["context", "Product", "Id"] => (Kind::MaybeText, "product.?name.orValue(null)"),
        ["context", "Product", "Name"] => (Kind::MaybeText, "product.?displayName.orValue(null)"),
        ["context", "Subscription"] => (Kind::Any, "subscription"),
        ["context", "Subscription", "Id"] => (Kind::MaybeText, "subscription.?name.orValue(null)"),
        ["context", "Subscription", "Name"] => {
            (Kind::MaybeText, "subscription.?displayName.orValue(null)")
        }
        ["context", "Response", "StatusCode"] => (Kind::Int, "response.status"),
        ["context", "LastError", "Message"] => (Kind::Text, "error.message"),
        ["string" | "String", "Empty"] => (Kind::Text, "\"\""),
        _ => return None,
    };
    Some(cel(kind, text))
}
