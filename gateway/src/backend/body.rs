//! The body of a backend's refusal: what is here of it when the refusal is decided, and the rest,
//! which is passed on as it comes, so that a large one costs no memory.
//!
//! A body that does not come to its end must not look as if it did (RFC 9112 §8): the reader says
//! why it was cut, and whoever writes to the client leaves its framing unfinished.

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

/// A body that ends within so many bytes is read before the client is answered: its length is known
/// then, whatever its framing was. Most refusals are far smaller.
const START: usize = 64 * 1024;

/// How long the start may take once the head is there; then the client gets what there is.
const BODY_START_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the backend may be silent in the middle of a body.
const BODY_STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A whole body, however steadily it comes: the handshake has been refused, and nothing of the API
/// bounds what is left of it.
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
pub(crate) enum Cut {
    #[error("the backend hung up in the middle of it")]
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

/// What is here of a body.
#[derive(Debug)]
pub(crate) struct BodyStart<S> {
    pub(crate) bytes: Bytes,
    /// `None`: that is all of it.
    pub(crate) remainder: Option<Box<BodyRest<S>>>,
}

/// What is still to come of a body, and from where.
#[derive(Debug)]
pub(crate) struct BodyRest<S> {
    stream: S,
    reader: Reader,
    /// Of the whole body, where the backend said so.
    pub(crate) length: Option<u64>,
    limit: u64,
    /// May still be passed on.
    left: u64,
    deadline: Instant,
    /// It is known already to end here.
    cut: Option<Cut>,
}

/// How the body of an answer is framed, or why nobody can tell.
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
    // "identity" was once a way to say that there is none.
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

/// Reads the start of a body, of which `ahead` is here already. No more than `limit` bytes of it
/// will be passed on.
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
        cut = Some(Cut::Limit(limit));
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
    /// Is it clear already that the body is too large?
    pub(crate) fn exceeds(&self) -> Option<Cut> {
        let is_known = self.length.is_some_and(|length| length > self.limit);
        is_known.then_some(Cut::Limit(self.limit))
    }

    /// The next piece, never empty; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        if let Some(cut) = self.cut.take() {
            return Err(cut);
        }
        let due = self.deadline.min(Instant::now() + BODY_STALL_TIMEOUT);
        let reading = timeout_at(due, self.reader.next(&mut self.stream));
        let Some(mut piece) = reading.await.unwrap_or(Err(Cut::Late))? else {
            return Ok(None);
        };
        if piece.len() as u64 > self.left {
            let Some(fits) = usize::try_from(self.left).ok().filter(|left| *left > 0) else {
                return Err(Cut::Limit(self.limit));
            };
            piece.truncate(fits);
            self.cut = Some(Cut::Limit(self.limit));
        }
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }
}
