//! A refusal as the client reads it. Pure.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::{Extent, Refusal};
use crate::head::put_field;

impl Refusal {
    /// The whole answer, head and body.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (content_type, body) = self.content();
        let mut out = Vec::with_capacity(320 + body.len());
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
        match self.length(&body) {
            Some(length) => {
                out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes())
            }
            None => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        // RFC 9110 §7.8: who sends Upgrade names it here.
        let upgrades = self.headers.iter().any(|(name, _)| name == UPGRADE);
        out.extend_from_slice(match upgrades {
            true => b"Connection: close, Upgrade\r\n\r\n",
            false => b"Connection: close\r\n\r\n",
        });
        match self.extent() {
            Extent::Begins(None) => put_chunk(&mut out, &body),
            _ => out.extend_from_slice(&body),
        }
        out
    }

    /// Is its body here as a whole? A 304 has none, whatever is said about it (RFC 9110 §15.4.5).
    pub(crate) fn extent(&self) -> Extent {
        let body = self.body.as_ref().filter(|_| self.status != 304);
        body.map_or(Extent::Whole, |body| body.extent)
    }

    /// Length of the whole body, where it is known.
    fn length(&self, body: &Bytes) -> Option<u64> {
        match self.extent() {
            Extent::Whole => Some(body.len() as u64),
            Extent::Begins(length) => length,
        }
    }

    /// The same for a stream of HTTP/2, which has no fields of a connection (RFC 9113 §8.2.2).
    pub(crate) fn message(&self) -> (Response<()>, Bytes) {
        let (content_type, body) = self.content();
        let mut answer = Response::new(());
        // A status that is none cannot have come from a backend or a policy.
        *answer.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        let headers = answer.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        let passes = |name: &HeaderName| !is_ours(name) && !is_of_a_connection(name);
        for (name, value) in self.headers.iter().filter(|(name, _)| passes(name)) {
            headers.append(name, value.clone());
        }
        if let Some(length) = self.length(&body) {
            headers.insert(CONTENT_LENGTH, length.into());
        }
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
        let body = if self.status == 304 {
            Bytes::new()
        } else {
            body
        };
        (content_type.filter(|_| !own_type), body)
    }
}

/// One chunk of a body (RFC 9112 §7.1). An empty one would be the last, so there is none.
pub(crate) fn put_chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// What tells that all chunks have come.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn is_of_a_connection(name: &HeaderName) -> bool {
    matches!(name.as_str(), "upgrade" | "keep-alive" | "proxy-connection")
}

/// Fields that say how this very answer is framed.
fn is_ours(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}
