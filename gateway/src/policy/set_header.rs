//! setHeader: inbound it changes the backend's handshake, outbound and onError the client's answer.

use http::{HeaderName, HeaderValue};
use tidegate_config::policy::{self, IfExists, Section};

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::{Text, expression_failed, render_all};
use super::size::{answer_fits, upstream_fits};
use crate::exchange::{Exchange, change_headers};
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct SetHeader {
    name: HeaderName,
    values: Vec<Text>,
    if_exists: IfExists,
    /// The backend's handshake, not the client's answer?
    upstream: bool,
}

impl SetHeader {
    fn compile(policy: &policy::SetHeader, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            name: compiler.free_header("setHeader.name", &policy.name)?,
            values: compiler.texts("setHeader.values", &policy.values)?,
            if_exists: policy.if_exists,
            upstream: compiler.section == Section::Inbound,
        })
    }
}

impl Compile for policy::SetHeader {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SetHeader::compile(self, compiler).map(Action::now)
    }
}

impl Now for SetHeader {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let values = render_all(&self.values, exchange)?;
        let values = values.iter().map(|value| header_value(&self.name, value));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if self.upstream {
            let headers = &mut exchange.upstream.headers;
            change_headers(headers, &self.name, &values, self.if_exists);
            upstream_fits(exchange)
        } else {
            exchange
                .answer
                .push(self.name.clone(), values, self.if_exists);
            answer_fits(exchange)
        }
    }
}

/// A text as the value of a header. Line ends and other control characters would start a header of
/// their own, so they are refused, never sent (RFC 9110 §5.5).
pub(super) fn header_value(name: &HeaderName, text: &str) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        expression_failed(format!(
            "the value for the header {name} has control characters"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::policy::tests::{compile_error, exchange, refused, run_inbound};
    use crate::refusal::Reason;

    fn step(name: &str, values: &[&str], if_exists: &str) -> Value {
        json!({"setHeader": {"name": name, "values": values, "ifExists": if_exists}})
    }

    #[tokio::test]
    async fn the_backends_handshake_changes_and_the_request_does_not() {
        for (name, step, expected) in [
            (
                "override",
                step("X-A", &["${request.host}"], "Override"),
                &["example.com"][..],
            ),
            ("append", step("x-a", &["2", "3"], "Append"), &["1, 2, 3"]),
            ("skip", step("x-a", &["2"], "Skip"), &["1"]),
            ("delete", step("x-a", &[], "Delete"), &[]),
            (
                "text that is not ascii",
                step("x-a", &["ü\tx"], "Override"),
                &["ü\tx"],
            ),
        ] {
            let mut exchange = exchange(&[("x-a", "1")]);
            run_inbound(&[step], &mut exchange).await.unwrap();
            let values = exchange.upstream.headers.get_all("x-a").iter();
            let values: Vec<_> = values
                .map(|v| String::from_utf8_lossy(v.as_bytes()))
                .collect();
            assert_eq!(values, expected, "{name}");
            assert_eq!(exchange.request.headers["x-a"], "1", "{name}");
        }
    }

    #[tokio::test]
    async fn a_rendered_value_cannot_start_another_header() {
        for raw in ["a%0d%0aX-Admin:%20yes", "a%0ab", "a%00b", "a%7fb"] {
            let mut exchange = exchange(&[]);
            exchange.request.raw_query = Some(format!("v={raw}"));
            let step = step("x-a", &["${request.query('v')}"], "Override");
            let refusal = refused(run_inbound(&[step], &mut exchange).await);
            assert_eq!(
                (refusal.status, refusal.reason),
                (500, Reason::ExpressionFailed),
                "{raw}"
            );
            assert_eq!(refusal.message, "Internal server error");
            assert!(exchange.upstream.headers.get("x-a").is_none());
        }
    }

    #[test]
    fn headers_of_the_handshake_cannot_be_touched() {
        for name in [
            "Host",
            "connection",
            "Upgrade",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Extensions",
            "Content-Length",
            "TE",
        ] {
            let error = compile_error(step(name, &["x"], "Override"));
            assert!(error.contains("belongs to the handshake"), "{error}");
        }
        let error = compile_error(step("a b", &["x"], "Override"));
        assert!(error.contains("not the name of a header"), "{error}");
    }
}
