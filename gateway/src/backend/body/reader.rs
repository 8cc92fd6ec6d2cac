//! Decodes the framing of a body piece by piece.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Cut, Framing};

/// Read at once.
const PIECE: usize = 16 * 1024;

/// Longest line in front of a chunk, with its extensions, in bytes.
const MAX_CHUNK_LINE: usize = 4 * 1024;

/// Reads a body. A cancelled read loses nothing.
#[derive(Debug)]
pub(super) struct Reader {
    raw: BytesMut,
    state: FramingState,
}

#[derive(Debug)]
enum FramingState {
    /// This many bytes are still to come.
    Length(u64),
    UntilClose,
    ChunkLine,
    /// This many bytes of a chunk are still to come.
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
    pub(super) fn new(framing: Framing, read_ahead: Bytes) -> Self {
        Self {
            raw: BytesMut::from(read_ahead),
            state: match framing {
                Framing::None => FramingState::Done,
                Framing::Length(length) => FramingState::Length(length),
                Framing::Chunked => FramingState::ChunkLine,
                Framing::UntilClose => FramingState::UntilClose,
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
                FramingState::UntilClose => Ok(None),
                _ => Err(Cut::Ended),
            };
        }
    }

    /// Decodes what is here. Trailers are ignored: the connection ends with the body.
    fn take(&mut self) -> Result<Taken, Cut> {
        loop {
            match self.state {
                FramingState::Done | FramingState::Length(0) => return Ok(Taken::End),
                _ if self.raw.is_empty() => return Ok(Taken::Nothing),
                FramingState::UntilClose => return Ok(Taken::Piece(self.raw.split().freeze())),
                FramingState::Length(left) => {
                    let piece = self.take_up_to(left);
                    self.state = FramingState::Length(left - piece.len() as u64);
                    return Ok(Taken::Piece(piece));
                }
                FramingState::Chunk(left) => {
                    let piece = self.take_up_to(left);
                    self.state = match left - piece.len() as u64 {
                        0 => FramingState::ChunkEnd,
                        left => FramingState::Chunk(left),
                    };
                    return Ok(Taken::Piece(piece));
                }
                FramingState::ChunkEnd if self.raw.len() < 2 => return Ok(Taken::Nothing),
                FramingState::ChunkEnd if self.raw.starts_with(b"\r\n") => {
                    self.raw.advance(2);
                    self.state = FramingState::ChunkLine;
                }
                FramingState::ChunkEnd => return Err(Cut::Chunk),
                FramingState::ChunkLine => match httparse::parse_chunk_size(&self.raw) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.raw.advance(line);
                        self.state = match size {
                            0 => FramingState::Done,
                            size => FramingState::Chunk(size),
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
