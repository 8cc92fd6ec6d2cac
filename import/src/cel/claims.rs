//! Claims of tokens. In C# a claim is a list of texts; here it is JSON, a list or a single value.

use super::super::csharp::Expr;
use super::{Cel, Kind, Result, Scope, cel, no, quote};

impl Scope<'_> {
    /// The claims of `token.Claims`, if the expression is that.
    fn claims(&self, expression: &Expr) -> Option<String> {
        let Expr::Member(token, member, _) = expression else {
            return None;
        };
        if member != "Claims" {
            return None;
        }
        let token = self.of(token).ok()?;
        (token.kind == Kind::Token).then(|| format!("{}.claims", token.text))
    }

    /// `token.Claims.…`
    pub(super) fn of_claims(
        &self,
        receiver: &Expr,
        name: &str,
        args: &[Expr],
    ) -> Option<Result<Cel>> {
        let claims = self.claims(receiver)?;
        let [Expr::Text(claim), rest @ ..] = args else {
            return Some(no("the name of a claim must be a string"));
        };
        Some(self.claim(&claims, claim, name, rest))
    }

    fn claim(&self, claims: &str, claim: &str, name: &str, rest: &[Expr]) -> Result<Cel> {
        let claim = quote(claim)?;
        let value = joined(&format!("{claims}[{claim}]"));
        match (name, rest) {
            ("ContainsKey", []) => Ok(cel(Kind::Bool, format!("({claim} in {claims})"))),
            ("GetValueOrDefault", []) => Ok(cel(
                Kind::MaybeText,
                format!("({claim} in {claims} ? {value} : null)"),
            )),
            ("GetValueOrDefault", [default]) => {
                let default = self.without_id(self.of(default)?)?;
                let kind = match default.kind {
                    Kind::Text => Kind::Text,
                    Kind::MaybeText | Kind::Null | Kind::Any => Kind::MaybeText,
                    _ => return no("the default must be a string"),
                };
                let text = format!("({claim} in {claims} ? {value} : {})", default.text);
                Ok(cel(kind, text))
            }
            _ => no(format!("{name} is not translated here")),
        }
    }

    /// `token.Claims["x"]`: a list of texts.
    pub(super) fn claim_at(&self, of: &Expr, index: &Expr) -> Option<Result<Cel>> {
        let claims = self.claims(of)?;
        let Expr::Text(claim) = index else {
            return Some(no("the name of a claim must be a string"));
        };
        Some(quote(claim).map(|claim| {
            let value = format!("{claims}[{claim}]");
            let text = format!(
                "({} ? {} : [string({value})])",
                is_list(&value),
                texts(&value)
            );
            cel(Kind::List, text)
        }))
    }
}

/// JSON of a list starts with a bracket, and no other JSON does.
fn is_list(value: &str) -> String {
    format!("json.encode({value}).startsWith(\"[\")")
}

fn texts(value: &str) -> String {
    format!("{value}.map(each_claim, string(each_claim))")
}

/// The values, joined by commas as in C#.
fn joined(value: &str) -> String {
    format!(
        "({} ? {}.join(\",\") : string({value}))",
        is_list(value),
        texts(value)
    )
}
