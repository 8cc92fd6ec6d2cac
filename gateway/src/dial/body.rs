//! The body of a backend's refusal, bounded: enough to tell why, never enough to hurt.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::{Instant, timeout_at};

use crate::head::{ResponseHead, has_token};

/// A body above this is cut: it is an explanation, not a download.
pub(crate) const LIMIT: usize = 64 * 1024;

/// How a body says where it ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// Reads the body of `answer`, of which `ahead` is here already. What does not come in time, or
/// comes broken, is left out.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    answer: &ResponseHead,
    ahead: Bytes,
    patience: Duration,
) -> Bytes {
    let framing = framing(answer.status, &answer.headers);
    let deadline = Instant::now() + patience;
    let mut raw = BytesMut::from(ahead);
    loop {
        match taken(framing, &raw) {
            Taken::Whole(body) => return body,
            Taken::Part(body) if raw.len() >= 2 * LIMIT => return body,
            Taken::Part(body) => {
                let more = timeout_at(deadline, stream.read_buf(&mut raw)).await;
                if !matches!(more, Ok(Ok(count)) if count > 0) {
                    return body;
                }
            }
        }
    }
}

enum Taken {
    Whole(Bytes),
    Part(Bytes),
}

fn taken(framing: Framing, raw: &[u8]) -> Taken {
    let cut = |length: usize| Bytes::copy_from_slice(&raw[..length.min(raw.len()).min(LIMIT)]);
    match framing {
        Framing::None => Taken::Whole(Bytes::new()),
        Framing::Length(length) if raw.len() >= length.min(LIMIT) => Taken::Whole(cut(length)),
        Framing::Length(length) => Taken::Part(cut(length)),
        Framing::UntilClose if raw.len() >= LIMIT => Taken::Whole(cut(LIMIT)),
        Framing::UntilClose => Taken::Part(cut(LIMIT)),
        Framing::Chunked => unchunked(raw),
    }
}

/// Takes the chunks apart (RFC 9112 §7.1). Trailers are not looked at.
fn unchunked(mut raw: &[u8]) -> Taken {
    let mut body = BytesMut::new();
    while body.len() < LIMIT {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(raw) else {
            return Taken::Part(body.freeze());
        };
        if size == 0 {
            return Taken::Whole(body.freeze());
        }
        let rest = &raw[start..];
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let room = LIMIT - body.len();
        body.extend_from_slice(&rest[..size.min(rest.len()).min(room)]);
        match rest.get(size.saturating_add(2)..) {
            Some(next) => raw = next,
            None => break,
        }
    }
    if body.len() >= LIMIT {
        Taken::Whole(body.freeze())
    } else {
        Taken::Part(body.freeze())
    }
}

fn framing(status: u16, headers: &HeaderMap) -> Framing {
    if status == 304 {
        return Framing::None;
    }
    if has_token(headers, &TRANSFER_ENCODING, "chunked") {
        return Framing::Chunked;
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    match length.map(str::parse) {
        Some(Ok(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    async fn body(
        fields: &[(&'static str, &'static str)],
        ahead: &'static str,
        rest: &str,
    ) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let mut rest = rest.as_bytes();
        let answer = ResponseHead {
            status: 403,
            headers,
        };
        let bytes = read(
            &mut rest,
            &answer,
            Bytes::from(ahead),
            Duration::from_secs(9),
        )
        .await;
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_body_ends_where_its_framing_says() {
        let length = &[("content-length", "5")][..];
        let chunked = &[("transfer-encoding", "chunked")][..];
        for (name, fields, ahead, rest, expected) in [
            ("length", length, "he", "llo, world", "hello"),
            ("length, cut short", length, "he", "l", "hel"),
            ("length of zero", &[("content-length", "0")], "", "x", ""),
            (
                "chunked",
                chunked,
                "3\r\nhel\r",
                "\n2;x=y\r\nlo\r\n0\r\n\r\n",
                "hello",
            ),
            (
                "chunked, cut short",
                chunked,
                "3\r\nhel\r\n",
                "9\r\nlo",
                "hello",
            ),
            ("chunked, broken", chunked, "3\r\nhel\r\nzz", "", "hel"),
            ("until close", &[], "hel", "lo", "hello"),
        ] {
            assert_eq!(body(fields, ahead, rest).await, expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_body_is_cut_at_the_limit() {
        let long = "a".repeat(3 * LIMIT);
        let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
        for (fields, rest) in [
            (&[("content-length", "999999999")][..], &long),
            (&[], &long),
            (&[("transfer-encoding", "chunked")], &chunk),
        ] {
            assert_eq!(body(fields, "", rest).await.len(), LIMIT, "{fields:?}");
        }
    }
}
