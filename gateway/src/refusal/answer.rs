//! A refusal as the client reads it. Pure.

use http::HeaderName;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};

use super::Refusal;
use crate::dial::put_field;

impl Refusal {
    /// The whole answer, head and body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let json;
        let (content_type, body): (Option<&[u8]>, &[u8]) = match &self.body {
            Some(body) => (
                body.content_type.as_ref().map(|value| value.as_bytes()),
                &body.bytes,
            ),
            None => {
                let message = serde_json::Value::from(self.message.as_str());
                json = format!("{{\"statusCode\":{},\"message\":{message}}}", self.status);
                (Some(b"application/json"), json.as_bytes())
            }
        };
        // A 304 has no body, whatever is said about it (RFC 9110 §15.4.5).
        let body = if self.status == 304 { &[][..] } else { body };
        let mut out = Vec::with_capacity(256 + body.len());
        let status = http::StatusCode::from_u16(self.status).ok();
        let phrase = status
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default();
        out.extend_from_slice(format!("HTTP/1.1 {} {phrase}\r\n", self.status).as_bytes());
        let own_type = self.headers.iter().any(|(name, _)| name == CONTENT_TYPE);
        if let Some(content_type) = content_type.filter(|_| !own_type) {
            out.extend_from_slice(b"Content-Type: ");
            out.extend_from_slice(content_type);
            out.extend_from_slice(b"\r\n");
        }
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_ours(name)) {
            put_field(&mut out, name, value);
        }
        let length = format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(length.as_bytes());
        out.extend_from_slice(body);
        out
    }
}

/// Fields that say how this very answer is framed.
fn is_ours(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}
