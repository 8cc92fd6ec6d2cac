//! `Uri` and queries.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, constant, no};

/// A property of a URL. In C#, a query starts with `?` unless it is empty.
pub(super) fn of_url(of: &Cel, name: &str) -> Result<Cel> {
    let url = format!("url.parse({})", of.text);
    let query = format!("({url}.rawQuery == \"\" ? \"\" : \"?\" + {url}.rawQuery)");
    Ok(match name {
        "Host" => cel(Kind::Text, format!("{url}.host")),
        "Authority" => {
            let usual = format!("({url}.scheme in [\"https\", \"wss\"] ? 443 : 80)");
            let port = format!("({url}.port == {usual} ? \"\" : \":\" + string({url}.port))");
            cel(Kind::Text, format!("({url}.host + {port})"))
        }
        "Scheme" => cel(Kind::Text, format!("{url}.scheme")),
        "Port" => cel(Kind::Int, format!("{url}.port")),
        "AbsolutePath" => cel(Kind::Text, format!("{url}.path")),
        "PathAndQuery" => cel(Kind::Text, format!("({url}.path + {query})")),
        "OriginalString" => cel(Kind::Text, of.text.clone()),
        "Query" => {
            let mut found = cel(Kind::Text, query);
            found.part = Some((of.text.clone(), String::new()));
            found
        }
        _ => return no(format!("{name} is not translated")),
    })
}

/// `HttpUtility.ParseQueryString(uri.Query)`
pub(super) fn parsed_query(query: &Cel) -> Result<Cel> {
    match &query.part {
        Some((url, key)) if key.is_empty() => Ok(cel(Kind::UrlQuery, url.clone())),
        _ => no("only the query of a Uri can be parsed"),
    }
}

impl Scope<'_> {
    /// A parameter, or null.
    pub(super) fn url_parameter(&self, of: &Cel, name: &Expr) -> Result<Cel> {
        let (query, key) = (format!("url.parse({}).query", of.text), constant(name)?);
        let text = format!("({key} in {query} ? {query}[{key}] : null)");
        Ok(cel(Kind::MaybeText, text))
    }
}
