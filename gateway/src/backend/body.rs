//! The body of a backend's refusal: its start, which is read before the client is answered, and the remainder,
//! which is streamed, so that a large body takes no memory.
//!
//! An incomplete body must not look complete (RFC 9112 §8): the reader says why it was cut, and the framing
//! towards the client is left unfinished.

mod reader;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use tokio::io::AsyncRead;
use tokio::time::{Instant, timeout_at};

use crate::head::{ResponseHead, list_members};
use reader::Reader;

/// A body of up to this many bytes is read before the client is answered, so that its length is known. Most
/// refusals are far smaller.
const START: usize = 64 * 1024;

/// Time limit for the start of a body; then the client gets what there is.
const BODY_START_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest pause of the backend in the middle of a body.
const BODY_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit for a whole body. No timeout of the API applies to it.
const BODY_TOTAL_TIMEOUT: Duration = Duration::from_secs(60);

/// How a body says where it ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// Why a body is not passed on to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyCut {
    #[error("the backend closed the connection in the middle of it")]
    Ended,
    #[error("the connection to the backend broke")]
    Broken(#[source] io::Error),
    #[error("a chunk is not valid")]
    Chunk,
    #[error("the backend did not send the rest in time")]
    Late,
    #[error("it has more than limits.maxResponseBodyBytes ({0} bytes)")]
    Limit(u64),
}

/// The start of a body.
#[derive(Debug)]
pub(crate) struct BodyStart<S> {
    pub(crate) bytes: Bytes,
    /// `None`: the body is complete.
    pub(crate) remainder: Option<Box<BodyRest<S>>>,
}

/// The part of a body that has not been read, with its connection.
#[derive(Debug)]
pub(crate) struct BodyRest<S> {
    stream: S,
    reader: Reader,
    /// Length of the whole body in bytes, if the backend declared it.
    pub(crate) length: Option<u64>,
    limit: u64,
    /// Bytes that may still be passed on.
    left: u64,
    deadline: Instant,
    /// Why the body ends here, if that is known already.
    cut: Option<BodyCut>,
}

/// How the body of an answer is framed.
///
/// # Errors
/// Why that is not clear.
pub(crate) fn framing(answer: &ResponseHead) -> Result<Framing, &'static str> {
    let headers = &answer.headers;
    if answer.status == 304 {
        return Ok(Framing::None);
    }
    let lines = |name| headers.get_all(name).into_iter();
    if [TRANSFER_ENCODING, CONTENT_LENGTH].iter().any(|name| {
        let mut lines = lines(name);
        lines.any(|line| line.to_str().is_err())
    }) {
        return Err("Transfer-Encoding or Content-Length is not text");
    }
    // "identity" once meant that there is no coding.
    let mut codings = list_members(headers, &TRANSFER_ENCODING)
        .filter(|coding| !coding.eq_ignore_ascii_case("identity"));
    match (codings.next(), codings.next()) {
        (Some(only), None) if only.eq_ignore_ascii_case("chunked") => return Ok(Framing::Chunked),
        (None, _) => {}
        _ => return Err("Transfer-Encoding is not chunked alone"),
    }
    let mut lengths = list_members(headers, &CONTENT_LENGTH);
    let Some(first) = lengths.next() else {
        return Ok(Framing::UntilClose);
    };
    let is_number = first.bytes().all(|byte| byte.is_ascii_digit());
    match first.parse() {
        Ok(length) if is_number && lengths.all(|other| other == first) => {
            Ok(Framing::Length(length))
        }
        _ => Err("Content-Length is not one number"),
    }
}

/// Reads the start of a body, of which `read_ahead` is here already. At most `limit` bytes of the body are
/// passed on.
pub(crate) async fn begin<S: AsyncRead + Unpin>(
    mut stream: S,
    framing: Framing,
    read_ahead: Bytes,
    limit: u64,
) -> BodyStart<S> {
    let mut reader = Reader::new(framing, read_ahead);
    let deadline = Instant::now() + BODY_START_TIMEOUT;
    let mut bytes = BytesMut::new();
    let mut cut = None;
    while bytes.len() < START {
        match timeout_at(deadline, reader.next(&mut stream)).await {
            Ok(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
            Ok(Ok(None)) if bytes.len() as u64 <= limit => {
                let (bytes, remainder) = (bytes.freeze(), None);
                return BodyStart { bytes, remainder };
            }
            Ok(Ok(None)) => break,
            Ok(Err(why)) => {
                cut = Some(why);
                break;
            }
            Err(_) => break,
        }
    }
    let fits = usize::try_from(limit).unwrap_or(usize::MAX);
    if bytes.len() > fits {
        bytes.truncate(fits);
        cut = Some(BodyCut::Limit(limit));
    }
    let length = match framing {
        Framing::Length(length) => Some(length),
        _ => None,
    };
    let remainder = BodyRest {
        stream,
        reader,
        length,
        limit,
        left: limit - bytes.len() as u64,
        deadline: Instant::now() + BODY_TOTAL_TIMEOUT,
        cut,
    };
    BodyStart {
        bytes: bytes.freeze(),
        remainder: Some(Box::new(remainder)),
    }
}

impl<S: AsyncRead + Unpin> BodyRest<S> {
    /// The cut, if the declared length exceeds the limit.
    pub(crate) fn exceeds(&self) -> Option<BodyCut> {
        let is_known = self.length.is_some_and(|length| length > self.limit);
        is_known.then_some(BodyCut::Limit(self.limit))
    }

    /// The next piece, never empty; `None` at the end.
    ///
    /// # Errors
    /// [`BodyCut`]: the body is not passed on to its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, BodyCut> {
        if let Some(cut) = self.cut.take() {
            return Err(cut);
        }
        let due = self.deadline.min(Instant::now() + BODY_STALL_TIMEOUT);
        let reading = timeout_at(due, self.reader.next(&mut self.stream));
        let Some(mut piece) = reading.await.unwrap_or(Err(BodyCut::Late))? else {
            return Ok(None);
        };
        if piece.len() as u64 > self.left {
            let Some(fits) = usize::try_from(self.left).ok().filter(|left| *left > 0) else {
                return Err(BodyCut::Limit(self.limit));
            };
            piece.truncate(fits);
            self.cut = Some(BodyCut::Limit(self.limit));
        }
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }
}
