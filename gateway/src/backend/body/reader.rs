//! Takes a body out of its framing, piece by piece.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Cut, Framing};

/// Read at once.
const PIECE: usize = 16 * 1024;

/// The line in front of a chunk, with its extensions. Nobody needs more for a number.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// Reads a body of some framing. A cancelled read loses nothing.
#[derive(Debug)]
pub(super) struct Reader {
    raw: BytesMut,
    state: State,
}

#[derive(Debug)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    UntilClose,
    ChunkLine,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    ChunkEnd,
    Done,
}

enum Taken {
    Piece(Bytes),
    Nothing,
    End,
}

impl Reader {
    pub(super) fn new(framing: Framing, ahead: Bytes) -> Self {
        Self {
            raw: BytesMut::from(ahead),
            state: match framing {
                Framing::None => State::Done,
                Framing::Length(length) => State::Length(length),
                Framing::Chunked => State::ChunkLine,
                Framing::UntilClose => State::UntilClose,
            },
        }
    }

    /// The next piece, never empty; `None` at the end.
    pub(super) async fn next(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<Bytes>, Cut> {
        loop {
            match self.take()? {
                Taken::Piece(piece) => return Ok(Some(piece)),
                Taken::End => return Ok(None),
                Taken::Nothing => {}
            }
            self.raw.reserve(PIECE);
            // A TLS connection that ends without saying so is an error here (RFC 9112 §9.8).
            let read = stream.read_buf(&mut self.raw).await;
            if read.map_err(Cut::Broken)? > 0 {
                continue;
            }
            return match self.state {
                State::UntilClose => Ok(None),
                _ => Err(Cut::Ended),
            };
        }
    }

    /// Of what is here. Trailers are not looked at: the connection ends with the body.
    fn take(&mut self) -> Result<Taken, Cut> {
        loop {
            match self.state {
                State::Done | State::Length(0) => return Ok(Taken::End),
                _ if self.raw.is_empty() => return Ok(Taken::Nothing),
                State::UntilClose => return Ok(Taken::Piece(self.raw.split().freeze())),
                State::Length(left) => {
                    let piece = self.take_up_to(left);
                    self.state = State::Length(left - piece.len() as u64);
                    return Ok(Taken::Piece(piece));
                }
                State::Chunk(left) => {
                    let piece = self.take_up_to(left);
                    self.state = match left - piece.len() as u64 {
                        0 => State::ChunkEnd,
                        left => State::Chunk(left),
                    };
                    return Ok(Taken::Piece(piece));
                }
                State::ChunkEnd if self.raw.len() < 2 => return Ok(Taken::Nothing),
                State::ChunkEnd if self.raw.starts_with(b"\r\n") => {
                    self.raw.advance(2);
                    self.state = State::ChunkLine;
                }
                State::ChunkEnd => return Err(Cut::Chunk),
                State::ChunkLine => match httparse::parse_chunk_size(&self.raw) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.raw.advance(line);
                        self.state = match size {
                            0 => State::Done,
                            size => State::Chunk(size),
                        };
                    }
                    Ok(httparse::Status::Partial) if self.raw.len() <= MAX_CHUNK_LINE => {
                        return Ok(Taken::Nothing);
                    }
                    _ => return Err(Cut::Chunk),
                },
            }
        }
    }

    fn take_up_to(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.raw.split_to(most.min(self.raw.len())).freeze()
    }
}
