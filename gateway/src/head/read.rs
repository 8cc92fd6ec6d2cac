//! Reads one head from a stream, within limits, and keeps the bytes behind it.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::parse::fault_in;
use super::scan::Scan;
use super::{InvalidHead, RequestHead, ResponseHead, parse_request, parse_response};

/// A usual request head with a token fits; larger ones cost a second allocation.
const FIRST_READ: usize = 2 * 1024;

/// What stands in a request line besides the URL: method, two spaces, version, line end.
const REQUEST_LINE_REST: usize = 32;

/// Interim answers (RFC 9110 §15.2) before the real one; a peer that sends more is broken.
const MAX_INTERIM: usize = 8;

/// Limits of a request head, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// All field lines together.
    pub(crate) header_bytes: usize,
    /// The request target.
    pub(crate) url_bytes: usize,
}

/// A head, and the bytes that were read with it.
#[derive(Debug)]
pub(crate) struct ReadHead<H> {
    pub(crate) head: H,
    /// Bytes behind the head that were read with it: the start of what follows.
    pub(crate) read_ahead: Bytes,
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

/// What an answer begins with. A server of another protocol may greet and then wait: its first bytes tell.
const ANSWER_BEGINNING: &[u8] = b"HTTP/1.";

/// Reads a request head of which `read_ahead` is here already. `limits` are asked each time that bytes
/// come: what holds when the head is complete is what it must keep. `received` counts bytes as they come,
/// for a caller that stops waiting.
///
/// # Errors
/// [`ReadHeadError`]: the peer left, or the head is not valid or exceeds a limit.
pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
    read_ahead: Bytes,
    limits: impl Fn() -> HeadLimits,
    received: &mut usize,
) -> Result<ReadHead<RequestHead>, ReadHeadError> {
    let check =
        |scan: &Scan, _: &[u8]| check_request(scan, limits()).map_err(ReadHeadError::Invalid);
    let scan = Scan::new(b"");
    let (head, read_ahead) = read_bytes(stream, read_ahead, (scan, check), received).await?;
    let head = parse_request(&head).map_err(ReadHeadError::Invalid)?;
    Ok(ReadHead { head, read_ahead })
}

/// Reads a response head of at most `limit` bytes, of which `read_ahead` is here already.
///
/// # Errors
/// [`ReadHeadError`]: the peer left, or the head is not valid or exceeds the limit.
pub(crate) async fn read_response(
    stream: &mut (impl AsyncRead + Unpin),
    read_ahead: Bytes,
    limit: usize,
    received: &mut usize,
) -> Result<ReadHead<ResponseHead>, ReadHeadError> {
    let check = |scan: &Scan, bytes: &[u8]| {
        check_response(scan, limit).map_err(|fault| invalid(fault, bytes))
    };
    let scan = Scan::new(ANSWER_BEGINNING);
    let (bytes, read_ahead) = read_bytes(stream, read_ahead, (scan, check), received).await?;
    let head = parse_response(&bytes).map_err(|fault| invalid(fault, &bytes))?;
    Ok(ReadHead { head, read_ahead })
}

/// Reads response heads up to the first one that is not interim: a status from 200, or 101.
/// `received` is above 0 as soon as anything was received.
///
/// # Errors
/// [`ReadHeadError`], as for [`read_response`]; also if more than 8 interim answers come.
pub(crate) async fn read_final_response(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
    received: &mut usize,
) -> Result<ReadHead<ResponseHead>, ReadHeadError> {
    let mut read_ahead = Bytes::new();
    for _ in 0..=MAX_INTERIM {
        let read = read_response(stream, read_ahead, limit, received).await?;
        if read.head.status >= 200 || read.head.status == 101 {
            return Ok(read);
        }
        read_ahead = read.read_ahead;
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

/// Reads until an empty line, and splits there. The scan sees each byte once; only the complete head is
/// parsed. `check` is asked after each read.
async fn read_bytes(
    stream: &mut (impl AsyncRead + Unpin),
    read_ahead: Bytes,
    (mut scan, check): (Scan, impl Fn(&Scan, &[u8]) -> Result<(), ReadHeadError>),
    received: &mut usize,
) -> Result<(Bytes, Bytes), ReadHeadError> {
    let mut buffer = BytesMut::from(read_ahead);
    *received = (*received).max(buffer.len());
    loop {
        let end = scan.advance(&buffer[scan.position()..]);
        if !buffer.is_empty() {
            check(&scan, &buffer[..scan.position()])?;
        }
        if let Some(end) = end {
            let head = buffer.split_to(end).freeze();
            let read_ahead = if buffer.is_empty() {
                Bytes::new()
            } else {
                buffer.freeze()
            };
            return Ok((head, read_ahead));
        }
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

/// Is it HTTP, and within its limit, as far as it is here?
fn check_response(scan: &Scan, limit: usize) -> Result<(), InvalidHead> {
    if !scan.has_beginning() {
        return Err(InvalidHead::Malformed("it is not HTTP/1.1"));
    }
    if scan.position() > limit {
        return Err(InvalidHead::AnswerTooLarge(limit));
    }
    Ok(())
}

/// Is the head within its limits, as far as it is here?
fn check_request(scan: &Scan, limits: HeadLimits) -> Result<(), InvalidHead> {
    let line_length = scan.line_length();
    if line_length > limits.url_bytes + REQUEST_LINE_REST {
        return Err(InvalidHead::UrlTooLong);
    }
    if scan.target_length() > limits.url_bytes {
        return Err(InvalidHead::UrlTooLong);
    }
    if scan.position() - line_length > limits.header_bytes {
        return Err(InvalidHead::TooLarge);
    }
    Ok(())
}
