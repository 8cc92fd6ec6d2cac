//! The PROXY header (versions 1 and 2), in which a proxy names the client of a connection.
//!
//! The `ppp` crate parses complete headers. This module finds where a header ends: the bytes behind it belong to
//! TLS or the request, so none of them may be read, and an incomplete header must not be parsed.

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest header of version 1, with its line end (PROXY protocol, 2.1).
const MAX_TEXT: usize = 107;

/// The longest header of version 2 that is read: 4 KiB, as nginx. What load balancers add behind
/// the addresses takes a few hundred bytes; the length field would allow 64 KiB.
const MAX_BINARY: usize = 4096;

/// What version 1 begins with.
const TEXT: &[u8] = b"PROXY ";

/// Version 2's fixed part: signature, version and command, family, length.
const FIXED: usize = 16;

/// No header is shorter than "PROXY UNKNOWN\r\n", so this much can be read before the version is
/// known.
const SHORTEST: usize = 15;

/// Version and command of a connection of the proxy itself: a health check.
const LOCAL: u8 = 0x20;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadHeaderError {
    #[error("the peer is gone after {received} bytes of a PROXY header")]
    Gone {
        received: usize,
        #[source]
        source: Option<io::Error>,
    },
    #[error("the PROXY header is not acceptable")]
    Invalid(#[source] InvalidHeader),
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidHeader {
    #[error("the connection does not begin with one")]
    Missing,
    #[error("it is too long")]
    TooLong,
    #[error("its line ends without a carriage return")]
    LineEnd,
    #[error("its text cannot be read")]
    Text(#[source] v1::BinaryParseError),
    #[error("its bytes cannot be read")]
    Binary(#[source] v2::ParseError),
}

/// Reads a header and nothing behind it. `None`: the connection is the peer's own.
///
/// # Errors
/// [`ReadHeaderError`]: the peer left, or the header is not valid.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, ReadHeaderError> {
    let mut header = BytesMut::with_capacity(MAX_TEXT);
    loop {
        let missing = missing(&header).map_err(ReadHeaderError::Invalid)?;
        if missing == 0 {
            return source(&header).map_err(ReadHeaderError::Invalid);
        }
        let received = header.len();
        let gone = |source| ReadHeaderError::Gone { received, source };
        let mut part = (&mut *stream).take(missing as u64);
        let read = part.read_buf(&mut header).await;
        if read.map_err(|error| gone(Some(error)))? == 0 {
            return Err(gone(None));
        }
    }
}

/// How many more bytes the header needs at least; 0: it is complete.
fn missing(header: &[u8]) -> Result<usize, InvalidHeader> {
    let begins = |with: &[u8]| with.starts_with(&header[..header.len().min(with.len())]);
    if begins(v2::PROTOCOL_PREFIX) {
        missing_binary(header)
    } else if begins(TEXT) {
        missing_text(header)
    } else {
        Err(InvalidHeader::Missing)
    }
}

fn missing_binary(header: &[u8]) -> Result<usize, InvalidHeader> {
    let Some((fixed, rest)) = header.split_first_chunk::<FIXED>() else {
        let known = header.len() >= v2::PROTOCOL_PREFIX.len();
        return Ok(if known { FIXED } else { SHORTEST } - header.len());
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if FIXED + length > MAX_BINARY {
        return Err(InvalidHeader::TooLong);
    }
    Ok(length.saturating_sub(rest.len()))
}

/// The end of the line is not known before it is there; two bytes at a time find it.
fn missing_text(header: &[u8]) -> Result<usize, InvalidHeader> {
    match header.iter().position(|byte| *byte == b'\n') {
        Some(at) if at + 1 == header.len() && header.ends_with(b"\r\n") => return Ok(0),
        // It came alone. Whether something behind it was read depends on how it arrived, and what
        // that says is no header's; and `ppp` takes some of these lines for whole ones.
        Some(_) => return Err(InvalidHeader::LineEnd),
        None if header.len() >= MAX_TEXT => return Err(InvalidHeader::TooLong),
        None => {}
    }
    let ends = if header.ends_with(b"\r") { 1 } else { 2 };
    Ok(SHORTEST
        .saturating_sub(header.len())
        .max(ends)
        .min(MAX_TEXT - header.len()))
}

/// What a whole header says. Of a connection of unknown origin, and of the proxy's own, the rest is
/// not looked at (PROXY protocol, 2.1 and 2.2).
fn source(header: &[u8]) -> Result<Option<SocketAddr>, InvalidHeader> {
    if header.starts_with(TEXT) {
        if header.starts_with(b"PROXY UNKNOWN") {
            return Ok(None);
        }
        let read = v1::Header::try_from(header).map_err(InvalidHeader::Text)?;
        return Ok(match read.addresses {
            v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            v1::Addresses::Unknown => None,
        });
    }
    if header.get(v2::PROTOCOL_PREFIX.len()) == Some(&LOCAL) {
        return Ok(None);
    }
    let read = v2::Header::try_from(header).map_err(InvalidHeader::Binary)?;
    if read.protocol != v2::Protocol::Stream {
        return Ok(None);
    }
    Ok(match read.addresses {
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}
