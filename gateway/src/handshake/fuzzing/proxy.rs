//! The PROXY header: what is in front of everything else, and not one byte more.

use std::net::SocketAddr;

use futures::FutureExt;

use crate::head::proxy_header::{self, ReadHeaderError};
use tidegate_tunnel::fuzzing::{Arriving, Input};

/// No header that is read is longer (version 2, as `proxy_header` bounds it).
const LONGEST: usize = 4096;

/// What follows a header in these checks: it would be a header itself.
const BEHIND: &[u8] = b"PROXY TCP4 203.0.113.9 203.0.113.8 7 8\r\n";

/// Reads a PROXY header.
pub fn proxy_header(data: &[u8]) {
    let Some(input) = Input::read(data) else {
        return;
    };
    let whole = outcome(input.at_once());
    assert_eq!(
        whole,
        outcome(input.in_pieces()),
        "the split changes what is read"
    );
    let Outcome::Read { source, size } = whole else {
        return;
    };
    assert!((1..=LONGEST).contains(&size), "{size} bytes");
    let header = &input.stream[..size];
    let followed = [header, BEHIND].concat();
    let again = outcome(Arriving::new(&followed, &input.pieces));
    assert_eq!(again, Outcome::Read { source, size }, "what follows counts");
    let Some(source) = source else { return };
    for written in [text(source), binary(source)] {
        let size = written.len();
        let read = outcome(Arriving::new(&written, &input.pieces));
        let source = Some(source);
        assert_eq!(read, Outcome::Read { source, size }, "{written:?}");
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Read {
        source: Option<SocketAddr>,
        size: usize,
    },
    Gone {
        received: usize,
    },
    Invalid,
}

fn outcome(mut peer: Arriving<'_>) -> Outcome {
    let sent = peer.left().len();
    let read = proxy_header::read(&mut peer).now_or_never();
    match read.expect("a peer that never makes one wait") {
        Ok(source) => Outcome::Read {
            source,
            size: sent - peer.left().len(),
        },
        Err(ReadHeaderError::Gone { received, .. }) => Outcome::Gone { received },
        Err(ReadHeaderError::Invalid(_)) => Outcome::Invalid,
    }
}

/// A header of version 1 for a connection from `source`.
fn text(source: SocketAddr) -> Vec<u8> {
    let (family, to) = match source {
        SocketAddr::V4(_) => ("TCP4", "192.0.2.1"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::1"),
    };
    let (ip, port) = (source.ip(), source.port());
    format!("PROXY {family} {ip} {to} {port} 443\r\n").into_bytes()
}

/// One of version 2, with a field behind the addresses.
fn binary(source: SocketAddr) -> Vec<u8> {
    let mut addresses = Vec::new();
    let family = match source {
        SocketAddr::V4(source) => {
            addresses.extend(source.ip().octets());
            addresses.extend([192, 0, 2, 1]);
            0x11
        }
        SocketAddr::V6(source) => {
            addresses.extend(source.ip().octets());
            addresses.extend([0; 16]);
            0x21
        }
    };
    addresses.extend(source.port().to_be_bytes());
    addresses.extend([1, 187, 4, 0, 1, 0]);
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x21, family, 0, addresses.len() as u8]);
    header.extend(addresses);
    header
}
