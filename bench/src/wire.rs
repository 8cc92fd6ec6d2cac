//! Frames as bytes, built once and sent many times, and heads.

use tidegate_wire::connection::Stream;
use tidegate_wire::frame::{self, BINARY, FIN, encode};
use tidegate_wire::{Head, connection};

/// First byte of a Close.
pub(crate) const CLOSE: u8 = FIN | frame::CLOSE;

/// Close 1000, as a client sends it: masked with zeros.
pub(crate) const CLIENT_CLOSE: [u8; 8] = [CLOSE, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

/// Close 1000, as a server sends it.
pub(crate) const SERVER_CLOSE: [u8; 4] = [CLOSE, 0x02, 0x03, 0xe8];

/// A message of the client: masked (with zeros, which costs nobody anything else).
pub(crate) fn client_frame(size: usize) -> Vec<u8> {
    encode(FIN | BINARY, &vec![b'x'; size], Some([0; 4]))
}

/// A message of the server.
pub(crate) fn server_frame(size: usize) -> Vec<u8> {
    encode(FIN | BINARY, &vec![b'x'; size], None)
}

/// Reads up to the empty line; nobody here sends ahead.
pub(crate) async fn read_head(stream: &mut (impl Stream + ?Sized)) -> anyhow::Result<Head> {
    let mut ahead = Vec::with_capacity(1024);
    let head = connection::read_head(stream, &mut ahead).await?;
    let (start, more) = (&head.start, String::from_utf8_lossy(&ahead));
    anyhow::ensure!(more.is_empty(), "more than the head {start:?}: {more}");
    Ok(head)
}
