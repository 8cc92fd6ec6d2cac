//! rewritePath: another path at the backend.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::expression_failed;
use super::size::upstream_fits;
use super::url_text::UrlText;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// What can stand neither in a path nor in a query (RFC 3986 §3.3, §3.4). What is encoded already
/// stays so.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The policy, compiled.
#[derive(Debug)]
struct RewritePath {
    path: UrlText,
    keep_query: bool,
}

impl RewritePath {
    fn compile(
        policy: &policy::RewritePath,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let path = UrlText::path("rewritePath.path", &policy.path, compiler)?;
        if let Some(problem) = path.literal().and_then(problem_of) {
            return Err(compiler.invalid("rewritePath.path", problem));
        }
        Ok(Self {
            path,
            keep_query: policy.keep_query,
        })
    }
}

impl Compile for policy::RewritePath {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        RewritePath::compile(self, compiler).map(Action::now)
    }
}

impl Now for RewritePath {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let text = self.path.render(exchange)?;
        if let Some(problem) = problem_of(&text) {
            return Err(expression_failed(format!("rewritePath.path: {problem}")));
        }
        let text = utf8_percent_encode(&text, ENCODED).to_string();
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text.as_str(), None),
        };
        exchange.upstream.rewrite(path, query, self.keep_query);
        upstream_fits(exchange)
    }
}

fn problem_of(text: &str) -> Option<&'static str> {
    (!text.starts_with('/')).then_some("the path does not begin with /")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::policy::tests::{compile_error, exchange_to, refused, run_inbound};
    use crate::refusal::Reason;

    #[tokio::test]
    async fn the_backend_is_asked_for_another_path() {
        for (name, step, expected) in [
            ("fixed", json!({"path": "/x%2Fy"}), "/x%2Fy?k=1&a=1&b=%2F"),
            (
                "rendered",
                json!({"path": "/rooms/${request.params.room}"}),
                "/rooms/blue?k=1&a=1&b=%2F",
            ),
            (
                "its own query wins",
                json!({"path": "/x?b=2&c"}),
                "/x?k=1&b=2&c&a=1",
            ),
            (
                "without the client's query",
                json!({"path": "/x?c=3", "keepQuery": false}),
                "/x?k=1&c=3",
            ),
            (
                "also over the backend's",
                json!({"path": "/x?k=2", "keepQuery": false}),
                "/x?k=2",
            ),
            (
                "what needs encoding",
                json!({"path": "/ü ${'a#b\\r\\n'}"}),
                "/%C3%BC%20a%23b%0D%0A?k=1&a=1&b=%2F",
            ),
        ] {
            let mut exchange = exchange_to("ws://backend/b?k=1", Some("a=1&b=%2F"));
            run_inbound(&[json!({ "rewritePath": step })], &mut exchange)
                .await
                .unwrap();
            assert_eq!(exchange.upstream.path_and_query(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_climbs_out_of_the_path() {
        for value in [
            "..",
            "%2e%2E",
            "a/../b",
            ".",
            "a%2f..%2fb",
            "..\\",
            "..;x",
            "%252e%252e;x",
        ] {
            let mut exchange = exchange_to("ws://backend/b", None);
            exchange.params = vec![("room".to_owned(), value.to_owned())];
            let step = json!({"rewritePath": {"path": "/rooms/${request.params.room}"}});
            let refusal = refused(run_inbound(&[step], &mut exchange).await);
            assert_eq!(refusal.reason, Reason::UrlNotSafe, "{value}");
            assert_eq!(exchange.upstream.path_and_query(), "/b");
        }
    }

    #[test]
    fn a_fixed_path_is_checked_when_compiled() {
        for path in ["x", "/a/../b"] {
            let error = compile_error(json!({"rewritePath": {"path": path}}));
            assert!(error.contains("rewritePath.path: the path"), "{error}");
        }
    }
}
