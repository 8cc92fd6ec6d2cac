//! setStatus: another status and message for a refusal, whose headers stay.

use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// The policy, compiled.
#[derive(Debug)]
struct SetStatus {
    status: u16,
    message: Option<Text>,
}

impl SetStatus {
    fn compile(policy: &policy::SetStatus, compiler: &Compiler<'_>) -> Result<Self, InvalidPolicy> {
        Ok(Self {
            status: compiler.status("setStatus.status", policy.status, 300..=599)?,
            message: compiler.optional_text("setStatus.message", policy.message.as_ref())?,
        })
    }
}

impl Compile for policy::SetStatus {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        SetStatus::compile(self, compiler).map(Action::now)
    }
}

impl Now for SetStatus {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        let message = self
            .message
            .as_ref()
            .map(|message| message.render(exchange));
        let message = message.transpose()?.map(|message| message.into_owned());
        // A step that sets only the status keeps the message that one before it set.
        let before = exchange
            .evaluation
            .status
            .take()
            .and_then(|(_, message)| message);
        exchange.evaluation.status = Some((self.status, message.or(before)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
    use serde_json::{Value, json};
    use tidegate_config::SecretData;

    use crate::policy::tests::{exchange, pipeline, services};
    use crate::refusal::{Body, Extent, Origin, Reason, Refusal};

    async fn answered(steps: Value, refusal: Refusal) -> Refusal {
        let services = services();
        let pipeline = pipeline(
            json!({ "onError": steps }),
            &SecretData::default(),
            &services,
        );
        pipeline
            .on_error(&mut exchange(&[]), refusal, &services)
            .await
    }

    fn missing() -> Refusal {
        Refusal::new(
            401,
            Reason::TokenMissing,
            Origin::Policy,
            "JWT not present.",
        )
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    #[tokio::test]
    async fn status_and_message_change_and_the_rest_stays() {
        for (name, steps, expected) in [
            (
                "status",
                json!([{"setStatus": {"status": 403}}]),
                (403, "JWT not present."),
            ),
            (
                "both",
                json!([{"setStatus": {"status": 403, "message": "no ${error.reason}"}}]),
                (403, "no token_missing"),
            ),
            (
                "twice",
                json!([{"setStatus": {"status": 403, "message": "no"}}, {"setStatus": {"status": 404}}]),
                (404, "no"),
            ),
            (
                "not when",
                json!([{"when": "error.reason == 'x'", "setStatus": {"status": 403}}]),
                (401, "JWT not present."),
            ),
        ] {
            let refusal = answered(steps, missing()).await;
            assert_eq!(
                (refusal.status, refusal.message.as_str()),
                expected,
                "{name}"
            );
            assert_eq!(refusal.reason, Reason::TokenMissing, "{name}");
            assert_eq!(refusal.headers.len(), 1, "{name}");
        }
    }

    #[tokio::test]
    async fn a_message_replaces_the_backends_body() {
        let backends = || {
            let mut refusal = Refusal::new(500, Reason::BackendRefused, Origin::Backend, "")
                .header(CONTENT_TYPE, HeaderValue::from_static("text/html"));
            refusal.body = Some(Box::new(Body {
                content_type: None,
                bytes: "<h1>stack trace".into(),
                extent: Extent::Whole,
            }));
            refusal
        };
        let kept = answered(json!([{"setStatus": {"status": 502}}]), backends()).await;
        assert_eq!(
            (kept.status, kept.body.is_some(), kept.headers.len()),
            (502, true, 1)
        );
        let replaced = json!([{"setStatus": {"status": 502, "message": "try later"}}]);
        let replaced = answered(replaced, backends()).await;
        assert_eq!(
            (replaced.status, replaced.message.as_str()),
            (502, "try later")
        );
        assert!(replaced.body.is_none() && replaced.headers.is_empty());
    }
}
