//! setBackend: another backend for this handshake.

use tidegate_config::{PoolMember, policy};

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed};
use super::size::upstream_fits;
use super::url_text::UrlText;
use crate::exchange::BackendUrl;
use crate::exchange::Exchange;
use crate::refusal::Refusal;
use tidegate_config::error_chain;

/// The policy, compiled.
#[derive(Debug)]
enum SetBackend {
    Fixed(BackendUrl),
    Rendered(UrlText),
    /// Name of a member of the pool.
    Member(Text),
}

impl SetBackend {
    fn compile(
        policy: &policy::SetBackend,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let text = match (&policy.url, &policy.member) {
            (Some(url), None) => UrlText::url("setBackend.url", url, compiler)?,
            (None, Some(member)) => {
                return Ok(Self::Member(compiler.text("setBackend.ref", member)?));
            }
            _ => {
                let problem = "exactly one of url and ref must be set";
                return Err(compiler.invalid("setBackend", problem));
            }
        };
        let Some(url) = text.literal() else {
            return Ok(Self::Rendered(text));
        };
        let url = BackendUrl::parse(url);
        let url = url.map_err(|error| compiler.invalid("setBackend.url", error_chain(&error)))?;
        Ok(Self::Fixed(url))
    }
}

impl Compile for policy::SetBackend {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SetBackend::compile(self, compiler).map(Action::now)
    }
}

impl Now for SetBackend {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let url = match self {
            Self::Fixed(url) => url.clone(),
            Self::Rendered(text) => {
                let url = text.render(exchange)?;
                BackendUrl::parse(&url).map_err(|error| {
                    let error = error_chain(&error);
                    expression_failed(format!("setBackend.url gave \"{url}\": {error}"))
                })?
            }
            Self::Member(name) => {
                let name = name.render(exchange)?;
                let index = member(exchange, &name)?;
                exchange.upstream.select(index);
                return Ok(());
            }
        };
        exchange.upstream.redirect(url);
        upstream_fits(exchange)
    }
}

/// Scopes wider than the API do not know its pool: what they name may not be there.
fn member(exchange: &Exchange, name: &str) -> Result<usize, Refusal> {
    let pool = &exchange.api.backend_pool;
    let has_name = |member: &PoolMember| member.name.as_deref() == Some(name);
    pool.iter().position(has_name).ok_or_else(|| {
        let key = &exchange.api.key;
        expression_failed(format!(
            "setBackend.ref gave \"{name}\": no member of the pool of {key} has that name"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use crate::exchange::Destination;

    use crate::policy::tests::{compile_error, exchange_to, refused, run_inbound};
    use crate::refusal::Reason;

    #[tokio::test]
    async fn the_backend_changes_and_the_clients_query_stays() {
        for (url, authority, path) in [
            (
                "wss://other.example:8443/x?y=1",
                "other.example:8443",
                "/x?y=1&a=1",
            ),
            ("ws://${request.query('a')}.example/", "1.example", "/?a=1"),
        ] {
            let mut exchange = exchange_to("ws://backend/b?k=1", Some("a=1"));
            run_inbound(&[json!({"setBackend": {"url": url}})], &mut exchange)
                .await
                .unwrap();
            assert_eq!(exchange.upstream.target.authority(), authority);
            assert_eq!(exchange.upstream.path_and_query(), path);
        }
    }

    #[tokio::test]
    async fn what_is_no_backend_is_refused() {
        for rendered in ["http://a/", "a", "", "ws://u:p@a/"] {
            let mut exchange = exchange_to("ws://backend/b", None);
            exchange
                .request
                .headers
                .insert("x-to", rendered.parse().unwrap());
            let step = json!({"setBackend": {"url": "${request.header('x-to')}"}});
            let refusal = refused(run_inbound(&[step], &mut exchange).await);
            assert_eq!(
                (refusal.status, refusal.reason),
                (500, Reason::ExpressionFailed),
                "{rendered}"
            );
            assert_eq!(exchange.upstream.target.authority(), "backend");
        }
    }

    #[tokio::test]
    async fn a_member_is_chosen_by_name_and_an_unknown_name_is_a_fault() {
        for (name, steps, expected) in [
            (
                "literal",
                json!([{"ref": "blue"}]),
                Some(Destination::Member(1)),
            ),
            (
                "rendered",
                json!([{"ref": "${request.query('a')}"}]),
                Some(Destination::Member(0)),
            ),
            (
                "the later step counts: ref",
                json!([{"url": "ws://other/"}, {"ref": "blue"}]),
                Some(Destination::Member(1)),
            ),
            (
                "the later step counts: url",
                json!([{"ref": "blue"}, {"url": "ws://other/"}]),
                Some(Destination::Elsewhere),
            ),
            ("unknown", json!([{"ref": "red"}]), None),
            ("of a member without a name", json!([{"ref": ""}]), None),
        ] {
            let mut exchange = exchange_to("ws://backend/b", Some("a=green"));
            let pool = json!([
                {"url": "ws://a/b", "name": "green"},
                {"url": "ws://b/b", "name": "blue"},
                {"url": "ws://c/b"},
            ]);
            Arc::get_mut(&mut exchange.api).unwrap().backend_pool =
                serde_json::from_value(pool).unwrap();
            let steps = steps.as_array().unwrap().iter();
            let steps: Vec<_> = steps.map(|step| json!({"setBackend": step})).collect();
            let result = run_inbound(&steps, &mut exchange).await;
            match expected {
                Some(destination) => {
                    result.unwrap();
                    assert_eq!(exchange.upstream.destination(), destination, "{name}");
                }
                None => {
                    let refusal = refused(result);
                    let found = (refusal.status, refusal.reason);
                    assert_eq!(found, (500, Reason::ExpressionFailed), "{name}");
                    let detail = refusal.detail.unwrap();
                    assert!(
                        detail.contains("no member of the pool of apps/chat"),
                        "{detail}"
                    );
                }
            }
        }
    }

    #[test]
    fn exactly_one_of_url_and_ref_is_needed() {
        for policy in [json!({}), json!({"url": "ws://a/", "ref": "b"})] {
            let error = compile_error(json!({"setBackend": policy}));
            assert!(error.contains("exactly one of url and ref"), "{error}");
        }
    }

    #[test]
    fn a_fixed_url_is_checked_when_compiled() {
        let error = compile_error(json!({"setBackend": {"url": "https://a/"}}));
        assert!(error.contains("the scheme must be ws or wss"), "{error}");
    }
}
