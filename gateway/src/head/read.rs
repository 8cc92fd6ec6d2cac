//! Reads one head off a stream, within limits, and keeps what came after it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::parse::fault_in;
use super::{InvalidHead, RequestHead, ResponseHead, parse_request, parse_response};

/// A usual request head with a token fits; larger ones cost a second allocation.
const FIRST_READ: usize = 2 * 1024;

/// What stands in a request line besides the URL: method, two spaces, version, line end.
const REQUEST_LINE_REST: usize = 32;

/// Interim answers (RFC 9110 §15.2) before the real one; a peer that sends more is broken.
const MAX_INTERIM: usize = 8;

/// Bounds of a request head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// All field lines together.
    pub(crate) header_bytes: usize,
    /// The request target.
    pub(crate) url_bytes: usize,
}

/// A head and what came with it.
#[derive(Debug)]
pub(crate) struct ReadHead<H> {
    pub(crate) head: H,
    /// Bytes behind the head that were read with it.
    pub(crate) rest: Bytes,
}

/// Why there is no head.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadHeadError {
    #[error("the peer is gone after {received} bytes")]
    Gone {
        received: usize,
        #[source]
        source: Option<io::Error>,
    },
    #[error("the head is not acceptable")]
    Invalid(#[source] InvalidHead),
    #[error("the head of the answer is not acceptable{place}")]
    InvalidAnswer {
        /// Where in it, for the log.
        place: String,
        #[source]
        fault: InvalidHead,
    },
}

/// Reads a request head of which `ahead` has been read already. `limits` are asked each time that bytes
/// come: what holds when the head is whole is what it must keep. `received` counts bytes as they come, for
/// whoever gives up waiting.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: Bytes,
    limits: impl Fn() -> HeadLimits,
    received: &mut usize,
) -> Result<ReadHead<RequestHead>, ReadHeadError> {
    let check = |bytes: &[u8]| check_request(bytes, limits()).map_err(ReadHeadError::Invalid);
    let (head, rest) = read_bytes(stream, ahead, check, received).await?;
    let head = parse_request(&head).map_err(ReadHeadError::Invalid)?;
    Ok(ReadHead { head, rest })
}

/// Reads a response head of at most `limit` bytes, of which `ahead` have been read already.
pub(crate) async fn read_response(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: Bytes,
    limit: usize,
    received: &mut usize,
) -> Result<ReadHead<ResponseHead>, ReadHeadError> {
    let check = |bytes: &[u8]| check_response(bytes, limit).map_err(|fault| invalid(fault, bytes));
    let (bytes, rest) = read_bytes(stream, ahead, check, received).await?;
    let head = parse_response(&bytes).map_err(|fault| invalid(fault, &bytes))?;
    Ok(ReadHead { head, rest })
}

/// Reads response heads up to the first one that is not interim: a status from 200, or 101.
/// `received` is above 0 as soon as anything was.
pub(crate) async fn read_final_response(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
    received: &mut usize,
) -> Result<ReadHead<ResponseHead>, ReadHeadError> {
    let mut ahead = Bytes::new();
    for _ in 0..=MAX_INTERIM {
        let read = read_response(stream, ahead, limit, received).await?;
        if read.head.status >= 200 || read.head.status == 101 {
            return Ok(read);
        }
        ahead = read.rest;
    }
    let fault = InvalidHead::Malformed("there are more than 8 interim answers before it");
    Err(invalid(fault, b""))
}

fn invalid(fault: InvalidHead, answer: &[u8]) -> ReadHeadError {
    let place = match fault {
        InvalidHead::Malformed(_) => fault_in(answer),
        _ => String::new(),
    };
    ReadHeadError::InvalidAnswer { place, fault }
}

/// Reads until an empty line, and splits there. Every byte is looked at once for the end, so that
/// a peer that sends byte by byte costs no more than its reads.
async fn read_bytes(
    stream: &mut (impl AsyncRead + Unpin),
    ahead: Bytes,
    check: impl Fn(&[u8]) -> Result<(), ReadHeadError>,
    received: &mut usize,
) -> Result<(Bytes, Bytes), ReadHeadError> {
    let mut buffer = BytesMut::from(ahead);
    *received = (*received).max(buffer.len());
    let mut seen = 0;
    loop {
        let end = find_end(&buffer, seen);
        if !buffer.is_empty() {
            check(&buffer[..end.unwrap_or(buffer.len())])?;
        }
        if let Some(end) = end {
            let head = buffer.split_to(end).freeze();
            let rest = if buffer.is_empty() {
                Bytes::new()
            } else {
                buffer.freeze()
            };
            return Ok((head, rest));
        }
        // The end may straddle what was read and what comes: at most "\n\r" of it is here.
        seen = buffer.len().saturating_sub(2);
        buffer.reserve(FIRST_READ);
        let count = stream
            .read_buf(&mut buffer)
            .await
            .map_err(|source| gone(&buffer, Some(source)))?;
        if count == 0 {
            return Err(gone(&buffer, None));
        }
        *received = (*received).max(buffer.len());
    }
}

fn gone(buffer: &BytesMut, source: Option<io::Error>) -> ReadHeadError {
    let received = buffer.len();
    ReadHeadError::Gone { received, source }
}

/// Where a head ends: behind the first empty line at or after `from`.
fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        at += found + 1;
        match bytes[at..] {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// Is it HTTP, and within its limit, as far as it is here? A server of something else may greet and
/// then wait for us: its first bytes tell.
fn check_response(bytes: &[u8], limit: usize) -> Result<(), InvalidHead> {
    const BEGINNING: &[u8] = b"HTTP/1.";
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_line_end(byte));
    let first = &bytes[start.unwrap_or(bytes.len())..];
    let first = &first[..first.len().min(BEGINNING.len())];
    if !BEGINNING.starts_with(first) {
        return Err(InvalidHead::Malformed("it is not HTTP/1.1"));
    }
    if bytes.len() > limit {
        return Err(InvalidHead::AnswerTooLarge(limit));
    }
    Ok(())
}

/// Is the head within its limits, as far as it is here?
fn check_request(bytes: &[u8], limits: HeadLimits) -> Result<(), InvalidHead> {
    let line = bytes.iter().position(|byte| *byte == b'\n');
    let line_length = line.map_or(bytes.len(), |end| end + 1);
    if line_length > limits.url_bytes + REQUEST_LINE_REST {
        return Err(InvalidHead::UrlTooLong);
    }
    let target = bytes[..line_length].split(|byte| *byte == b' ').nth(1);
    if target.is_some_and(|target| target.len() > limits.url_bytes) {
        return Err(InvalidHead::UrlTooLong);
    }
    if bytes.len() - line_length > limits.header_bytes {
        return Err(InvalidHead::TooLarge);
    }
    Ok(())
}
