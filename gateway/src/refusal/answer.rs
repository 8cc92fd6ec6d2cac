//! A refusal as the client reads it. Pure.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::Refusal;
use crate::dial::put_field;

impl Refusal {
    /// The whole answer, head and body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (content_type, body) = self.content();
        let mut out = Vec::with_capacity(256 + body.len());
        let status = http::StatusCode::from_u16(self.status).ok();
        let phrase = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        out.extend_from_slice(format!("HTTP/1.1 {} {phrase}\r\n", self.status).as_bytes());
        if let Some(content_type) = content_type {
            put_field(&mut out, &CONTENT_TYPE, &content_type);
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_ours(name)) {
            put_field(&mut out, name, value);
        }
        let length = format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(length.as_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// The same for a stream of HTTP/2, which has no fields of a connection (RFC 9113 §8.2.2).
    pub(crate) fn message(&self) -> (Response<()>, Bytes) {
        let (content_type, body) = self.content();
        let mut answer = Response::new(());
        // A status that is none can not have come from a backend or a policy.
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = answer.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let passes = |name: &HeaderName| !is_ours(name) && !is_of_a_connection(name);
        for (name, value) in self.headers.iter().filter(|(name, _)| passes(name)) {
            headers.append(name, value.clone());
        }
        headers.insert(CONTENT_LENGTH, body.len().into());
        (answer, body)
    }

    /// The body, and its type unless a field of the refusal's own tells that.
    fn content(&self) -> (Option<HeaderValue>, Bytes) {
        let (content_type, body) = match &self.body {
            Some(body) => (body.content_type.clone(), body.bytes.clone()),
            None => {
                let message = serde_json::Value::from(self.message.as_str());
                let json = format!("{{\"statusCode\":{},\"message\":{message}}}", self.status);
                (Some(JSON), Bytes::from(json))
            }
        };
        let own_type = self.headers.iter().any(|(name, _)| name == CONTENT_TYPE);
        // A 304 has no body, whatever is said about it (RFC 9110 §15.4.5).
        let body = if self.status == 304 {
            Bytes::new()
        } else {
            body
        };
        (content_type.filter(|_| !own_type), body)
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn is_of_a_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "upgrade" | "keep-alive" | "proxy-connection")
}

/// Fields that say how this very answer is framed.
fn is_ours(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}
