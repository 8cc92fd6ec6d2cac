//! checkHeader: a header must occur exactly once, with one of several values where some are given.

use http::HeaderName;
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy, REFUSING};
use super::expression::{Text, render_all};
use crate::exchange::Exchange;
use crate::refusal::{Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
struct CheckHeader {
    header: HeaderName,
    /// As it was written, for messages.
    name: String,
    values: Vec<Text>,
    ignore_case: bool,
    status: u16,
    message: Option<Text>,
}

impl CheckHeader {
    fn compile(
        policy: &policy::CheckHeader,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            header: compiler.header("checkHeader.name", &policy.name)?,
            name: policy.name.clone(),
            values: compiler.texts("checkHeader.values", &policy.values)?,
            ignore_case: policy.ignore_case,
            status: compiler.status("checkHeader.status", policy.status, REFUSING)?,
            message: compiler.optional_text("checkHeader.message", policy.message.as_ref())?,
        })
    }

    fn accepts(&self, found: &str, exchange: &mut Exchange) -> Result<bool, Refusal> {
        let allowed = render_all(&self.values, exchange)?;
        let is_same = |value: &str| {
            if self.ignore_case {
                value.to_lowercase() == found.to_lowercase()
            } else {
                value == found
            }
        };
        Ok(allowed.is_empty() || allowed.iter().any(|value| is_same(value)))
    }
}

impl Compile for policy::CheckHeader {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        CheckHeader::compile(self, compiler).map(Action::now)
    }
}

impl Now for CheckHeader {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let lines = exchange.request.headers.get_all(&self.header).iter();
        let lines: Vec<_> = lines
            .map(|line| String::from_utf8_lossy(line.as_bytes()))
            .collect();
        let (reason, problem) = match &lines[..] {
            [] => (
                Reason::HeaderNotFound,
                "was not found in the request".to_owned(),
            ),
            [_, _, ..] => (
                Reason::HeaderValueNotAllowed,
                "occurs more than once".to_owned(),
            ),
            [only] => {
                let found = only.clone().into_owned();
                if self.accepts(&found, exchange)? {
                    return Ok(());
                }
                (
                    Reason::HeaderValueNotAllowed,
                    format!("value of {found} is not allowed"),
                )
            }
        };
        let message = match &self.message {
            Some(message) => message.render(exchange)?.into_owned(),
            None => format!("Header {} {problem}. Access denied.", self.name),
        };
        Err(Refusal::new(self.status, reason, Origin::Policy, message))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::policy::tests::{inbound, refused};
    use crate::refusal::Reason;

    #[tokio::test]
    async fn a_header_must_be_there_once_with_an_allowed_value() {
        let named = |values: &[&str]| json!({"checkHeader": {"name": "X-Id", "values": values}});
        let blind = json!({"checkHeader": {"name": "X-Id", "values": ["Abc"], "ignoreCase": true}});
        for (name, step, headers, expected) in [
            ("there", named(&[]), &["x"][..], None),
            (
                "missing",
                named(&[]),
                &[],
                Some((
                    403,
                    Reason::HeaderNotFound,
                    "Header X-Id was not found in the request. Access denied.",
                )),
            ),
            ("right", named(&["a", "b"]), &["b"], None),
            (
                "wrong",
                named(&["a", "b"]),
                &["c"],
                Some((
                    403,
                    Reason::HeaderValueNotAllowed,
                    "Header X-Id value of c is not allowed. Access denied.",
                )),
            ),
            (
                "case matters",
                named(&["a"]),
                &["A"],
                Some((
                    403,
                    Reason::HeaderValueNotAllowed,
                    "Header X-Id value of A is not allowed. Access denied.",
                )),
            ),
            ("case does not matter", blind, &["aBC"], None),
            (
                "twice",
                named(&["a"]),
                &["a", "a"],
                Some((
                    403,
                    Reason::HeaderValueNotAllowed,
                    "Header X-Id occurs more than once. Access denied.",
                )),
            ),
            (
                "a template",
                named(&["${request.host}"]),
                &["example.com"],
                None,
            ),
        ] {
            let headers: Vec<_> = headers.iter().map(|value| ("x-id", *value)).collect();
            let got = inbound(&[step], &headers).await.err();
            let got = got
                .as_ref()
                .map(|r| (r.status, r.reason, r.message.as_str()));
            assert_eq!(got, expected, "{name}");
        }
    }

    #[tokio::test]
    async fn status_and_message_can_be_chosen() {
        let step = json!({"checkHeader": {"name": "Origin", "status": 400, "message": "no ${request.method}"}});
        let refusal = refused(inbound(&[step], &[]).await);
        assert_eq!((refusal.status, refusal.message.as_str()), (400, "no GET"));
    }
}
