//! setBackend: another backend for this handshake.

use tidegate_config::policy;

use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed};
use crate::chain::text_of;
use crate::dial::BackendUrl;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
pub(super) enum SetBackend {
    Fixed(BackendUrl),
    Rendered(Text),
}

impl SetBackend {
    pub(super) fn compile(
        policy: &policy::SetBackend,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let text = compiler.text("setBackend.url", &policy.url)?;
        let Some(url) = text.literal() else {
            return Ok(Self::Rendered(text));
        };
        let url = BackendUrl::parse(url);
        let url = url.map_err(|error| compiler.invalid("setBackend.url", text_of(&error)))?;
        Ok(Self::Fixed(url))
    }

    pub(super) fn run(&self, exchange: &mut Exchange) -> Result<(), Refusal> {
        let url = match self {
            Self::Fixed(url) => url.clone(),
            Self::Rendered(text) => {
                let url = text.render(exchange)?;
                BackendUrl::parse(&url).map_err(|error| {
                    let error = text_of(&error);
                    expression_failed(format!("setBackend.url gave \"{url}\": {error}"))
                })?
            }
        };
        exchange.upstream.redirect(url);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn a_fixed_url_is_checked_when_compiled() {
        let error = compile_error(json!({"setBackend": {"url": "https://a/"}}));
        assert!(error.contains("the scheme must be ws or wss"), "{error}");
    }
}
