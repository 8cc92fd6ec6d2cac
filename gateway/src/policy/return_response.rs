//! returnResponse: ends the handshake with an answer of its own.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use tidegate_config::policy;

use super::Services;
use super::action::{Action, Compile, Now};
use super::compile::{Compiler, InvalidPolicy};
use super::expression::Text;
use super::set_header::header_value;
use crate::exchange::Exchange;
use crate::refusal::{Body, Extent, Origin, Reason, Refusal};

/// The policy, compiled.
#[derive(Debug)]
struct ReturnResponse {
    status: u16,
    headers: Vec<(HeaderName, Text)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// In the usual JSON body.
    Message(Text),
    /// As it is.
    Body(Text),
    Empty,
}

impl ReturnResponse {
    fn compile(
        policy: &policy::ReturnResponse,
        compiler: &Compiler<'_>,
    ) -> Result<Self, InvalidPolicy> {
        let message = compiler.optional_text("returnResponse.message", policy.message.as_ref())?;
        let body = compiler.optional_text("returnResponse.body", policy.body.as_ref())?;
        let content = match (message, body) {
            (Some(message), None) => Content::Message(message),
            (None, Some(body)) => Content::Body(body),
            (None, None) => Content::Empty,
            (Some(_), Some(_)) => {
                let problem = "at most one of body, message may be set";
                return Err(compiler.invalid("returnResponse", problem));
            }
        };
        let mut headers = Vec::with_capacity(policy.headers.len());
        for (i, header) in policy.headers.iter().enumerate() {
            let field = format!("returnResponse.headers[{i}]");
            let name = compiler.free_header(&format!("{field}.name"), &header.name)?;
            headers.push((
                name,
                compiler.text(&format!("{field}.value"), &header.value)?,
            ));
        }
        Ok(Self {
            status: compiler.status("returnResponse.status", policy.status, 300..=599)?,
            headers,
            content,
        })
    }

    /// The answer, or the refusal that rendering it ended in.
    fn answer(&self, exchange: &mut Exchange) -> Result<Refusal, Refusal> {
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, text) in &self.headers {
            headers.push((name.clone(), header_value(name, &text.render(exchange)?)?));
        }
        let mut answer = Refusal::new(self.status, Reason::ReturnResponse, Origin::Policy, "");
        match &self.content {
            Content::Message(text) => answer.message = text.render(exchange)?.into_owned(),
            Content::Body(text) => {
                let text = text.render(exchange)?.into_owned();
                let typed = headers.iter().any(|(name, _)| name == CONTENT_TYPE);
                let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
                answer.body = Some(Box::new(Body {
                    content_type: (!typed).then_some(content_type),
                    bytes: Bytes::from(text),
                    extent: Extent::Whole,
                }));
            }
            Content::Empty => {
                answer.body = Some(Box::new(Body {
                    content_type: None,
                    bytes: Bytes::new(),
                    extent: Extent::Whole,
                }));
            }
        }
        answer.headers = headers;
        Ok(answer)
    }
}

impl Compile for policy::ReturnResponse {
    fn compile(&self, compiler: &Compiler<'_>) -> Result<Action, InvalidPolicy> {
        ReturnResponse::compile(self, compiler).map(Action::now)
    }
}

impl Now for ReturnResponse {
    fn run(&self, exchange: &mut Exchange, _: &Services) -> Result<(), Refusal> {
        Err(self.answer(exchange)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::policy::tests::{compile_error, inbound, refused};
    use crate::refusal::Reason;

    #[tokio::test]
    async fn the_answer_is_as_described() {
        let step = json!({"returnResponse": {
            "status": 307,
            "headers": [
                {"name": "Location", "value": "wss://other.example${request.path}"},
                {"name": "Set-Cookie", "value": "a"}, {"name": "Set-Cookie", "value": "b"},
            ],
        }});
        let refusal = refused(inbound(&[step], &[]).await);
        assert_eq!(
            (refusal.status, refusal.reason),
            (307, Reason::ReturnResponse)
        );
        let headers: Vec<_> = refusal
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                ("location", "wss://other.example/chat"),
                ("set-cookie", "a"),
                ("set-cookie", "b")
            ]
        );
        assert!(refusal.body.unwrap().bytes.is_empty());
    }

    #[tokio::test]
    async fn body_and_message_are_rendered() {
        let body = json!({"returnResponse": {"status": 404, "body": "no ${request.path}"}});
        let body = refused(inbound(&[body], &[]).await).body.unwrap();
        assert_eq!(body.bytes, "no /chat");
        assert_eq!(body.content_type.unwrap(), "text/plain; charset=utf-8");
        let typed = json!({"returnResponse": {"status": 404, "body": "{}", "headers": [{"name": "content-type", "value": "application/json"}]}});
        assert!(
            refused(inbound(&[typed], &[]).await)
                .body
                .unwrap()
                .content_type
                .is_none()
        );
        let message = json!({"returnResponse": {"status": 503, "message": "later, ${client.ip}"}});
        let refusal = refused(inbound(&[message], &[]).await);
        assert_eq!(
            (refusal.message.as_str(), refusal.body.is_none()),
            ("later, 192.0.2.7", true)
        );
    }

    #[test]
    fn no_answer_can_look_like_an_open_tunnel() {
        for status in [0, 101, 200, 299, 600] {
            let error = compile_error(json!({"returnResponse": {"status": status}}));
            assert!(error.contains("returnResponse.status: "), "{error}");
        }
    }

    #[test]
    fn headers_of_the_connection_cannot_be_sent() {
        for name in ["Content-Length", "Connection", "Transfer-Encoding"] {
            let step = json!({"returnResponse": {"status": 400, "headers": [{"name": name, "value": "x"}]}});
            assert!(compile_error(step).contains("headers[0].name: "));
        }
    }
}
