//! Decodes the framing of a body piece by piece.

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{BodyCut, Framing};

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

enum Decoded {
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
    ) -> Result<Option<Bytes>, BodyCut> {
        loop {
            match self.take()? {
                Decoded::Piece(piece) => return Ok(Some(piece)),
                Decoded::End => return Ok(None),
                Decoded::Nothing => {}
            }
            self.raw.reserve(PIECE);
            // A TLS connection that ends without saying so is an error here (RFC 9112 §9.8).
            let read = stream.read_buf(&mut self.raw).await;
            if read.map_err(BodyCut::Broken)? > 0 {
                continue;
            }
            return match self.state {
                FramingState::UntilClose => Ok(None),
                _ => Err(BodyCut::Ended),
            };
        }
    }

    /// Decodes what is here. Trailers are ignored: the connection ends with the body.
    fn take(&mut self) -> Result<Decoded, BodyCut> {
        loop {
            match self.state {
                FramingState::Done | FramingState::Length(0) => return Ok(Decoded::End),
                _ if self.raw.is_empty() => return Ok(Decoded::Nothing),
                FramingState::UntilClose => return Ok(Decoded::Piece(self.raw.split().freeze())),
                FramingState::Length(left) => {
                    let piece = self.take_up_to(left);
                    self.state = FramingState::Length(left - piece.len() as u64);
                    return Ok(Decoded::Piece(piece));
                }
                FramingState::Chunk(left) => {
                    let piece = self.take_up_to(left);
                    self.state = match left - piece.len() as u64 {
                        0 => FramingState::ChunkEnd,
                        left => FramingState::Chunk(left),
                    };
                    return Ok(Decoded::Piece(piece));
                }
                FramingState::ChunkEnd if self.raw.len() < 2 => return Ok(Decoded::Nothing),
                FramingState::ChunkEnd if self.raw.starts_with(b"\r\n") => {
                    self.raw.advance(2);
                    self.state = FramingState::ChunkLine;
                }
                FramingState::ChunkEnd => return Err(BodyCut::Chunk),
                FramingState::ChunkLine => match httparse::parse_chunk_size(&self.raw) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        self.raw.advance(line);
                        self.state = match size {
                            0 => FramingState::Done,
                            size => FramingState::Chunk(size),
                        };
                    }
                    Ok(httparse::Status::Partial) if self.raw.len() <= MAX_CHUNK_LINE => {
                        return Ok(Decoded::Nothing);
                    }
                    _ => return Err(BodyCut::Chunk),
                },
            }
        }
    }

    fn take_up_to(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        self.raw.split_to(most.min(self.raw.len())).freeze()
    }
}
