//! Frames and heads as bytes, built once and sent many times.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Binary, final.
const BINARY: u8 = 0x82;

/// First byte of a Close.
pub(crate) const CLOSE: u8 = 0x88;

/// Close 1000, as a client sends it: masked with zeros.
pub(crate) const CLIENT_CLOSE: [u8; 8] = [CLOSE, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

/// Close 1000, as a server sends it.
pub(crate) const SERVER_CLOSE: [u8; 4] = [CLOSE, 0x02, 0x03, 0xe8];

/// Longer heads than these programs send are a mistake.
const MAX_HEAD: usize = 16 * 1024;

/// A message of the client: masked (with zeros, which costs nobody anything else).
pub(crate) fn client_frame(size: usize) -> Vec<u8> {
    frame(size, &[0; 4])
}

/// A message of the server.
pub(crate) fn server_frame(size: usize) -> Vec<u8> {
    frame(size, &[])
}

fn frame(size: usize, mask: &[u8]) -> Vec<u8> {
    let masked = if mask.is_empty() { 0 } else { 0x80 };
    let mut frame = vec![BINARY];
    // RFC 6455 §5.2: 7 bits, or 16 behind 126, or 64 behind 127.
    match (u8::try_from(size), u16::try_from(size)) {
        (Ok(short @ 0..=125), _) => frame.push(masked | short),
        (_, Ok(medium)) => {
            frame.push(masked | 126);
            frame.extend(medium.to_be_bytes());
        }
        _ => {
            frame.push(masked | 127);
            frame.extend((size as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.resize(frame.len() + size, b'x');
    frame
}

/// Reads up to the empty line; nobody here sends ahead.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<String> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        anyhow::ensure!(head.len() < MAX_HEAD, "the head is too long");
        let read = stream.read_buf(&mut head).await?;
        anyhow::ensure!(read > 0, "the connection ended within the head");
    }
    Ok(String::from_utf8(head)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_length_of_their_class() {
        let cases = [
            (64, 70, 66),
            (125, 131, 127),
            (126, 134, 130),
            (16_384, 16_392, 16_388),
            (65_536, 65_550, 65_546),
        ];
        for (size, client, server) in cases {
            assert_eq!(client_frame(size).len(), client, "{size}");
            assert_eq!(server_frame(size).len(), server, "{size}");
        }
    }
}
