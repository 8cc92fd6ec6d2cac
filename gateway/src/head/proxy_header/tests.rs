use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = v2::PROTOCOL_PREFIX.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    header.extend(payload);
    header
}

fn four() -> Vec<u8> {
    vec![192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x1f, 0x90]
}

fn six() -> Vec<u8> {
    let mut payload = vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
    payload.extend([0; 16]);
    payload.extend([0xc0, 0x01, 0x1f, 0x90]);
    payload
}

fn text(header: &str) -> Vec<u8> {
    header.as_bytes().to_vec()
}

/// Every header here with what it says.
fn valid() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    let with_more = [four(), vec![3, 0, 4, 1, 2, 3, 4]].concat();
    let v4 = Some("192.0.2.7:49153");
    vec![
        (
            "version 1, IPv4",
            text("PROXY TCP4 192.0.2.7 10.0.0.1 49153 8080\r\n"),
            v4,
        ),
        (
            "version 1, IPv6",
            text("PROXY TCP6 2001:db8::7 ::1 49153 8080\r\n"),
            Some("[2001:db8::7]:49153"),
        ),
        ("version 1, unknown", text("PROXY UNKNOWN\r\n"), None),
        (
            "version 1, unknown, with more than anybody asked for",
            text("PROXY UNKNOWN a b c d e f g h\r\n"),
            None,
        ),
        ("version 2, IPv4", binary(0x21, 0x11, &four()), v4),
        (
            "version 2, IPv6",
            binary(0x21, 0x21, &six()),
            Some("[2001:db8::7]:49153"),
        ),
        ("version 2 with more", binary(0x21, 0x11, &with_more), v4),
        ("version 2, LOCAL", binary(0x20, 0, &[]), None),
        (
            "version 2, LOCAL, with addresses",
            binary(0x20, 0x11, &four()),
            None,
        ),
        (
            "version 2, LOCAL, of a family nobody knows",
            binary(0x20, 0x7f, &[1]),
            None,
        ),
        ("version 2, unspecified", binary(0x21, 0, &[]), None),
        ("version 2, a datagram", binary(0x21, 0x12, &four()), None),
        (
            "version 2, a UNIX socket",
            binary(0x21, 0x31, &[b'/'; 216]),
            None,
        ),
        (
            "version 2, as long as may be",
            binary(
                0x21,
                0x11,
                &[four(), vec![0; MAX_BINARY - FIXED - 12]].concat(),
            ),
            v4,
        ),
    ]
}

async fn read_from(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, ReadHeaderError>, Vec<u8>) {
    let read = read(&mut bytes).await;
    (read, bytes.to_vec())
}

#[tokio::test]
async fn a_header_is_read_and_nothing_behind_it() {
    for (name, mut bytes, expected) in valid() {
        let expected = expected.map(|text| text.parse().unwrap());
        bytes.extend_from_slice(b"\x16\x03\x01 behind\r\n");
        let (read, rest) = read_from(&bytes).await;
        assert_eq!(read.unwrap(), expected, "{name}");
        assert_eq!(rest, b"\x16\x03\x01 behind\r\n", "{name}");
    }
}

#[tokio::test]
async fn it_may_come_byte_by_byte() {
    for (name, bytes, expected) in valid() {
        let expected = expected.map(|text| text.parse().unwrap());
        let (mut near, mut far) = tokio::io::duplex(1);
        let sent = async {
            far.write_all(&bytes).await.unwrap();
            far.write_all(b"!").await.unwrap();
        };
        let (read, ()) = futures::future::join(
            async {
                let read = read(&mut near).await;
                assert_eq!(near.read_u8().await.unwrap(), b'!', "{name}");
                read
            },
            sent,
        )
        .await;
        assert_eq!(read.unwrap(), expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_no_header_is_invalid_at_once() {
    let long = format!("PROXY UNKNOWN {}", "x".repeat(MAX_TEXT));
    let many = vec![0; MAX_BINARY - FIXED + 1];
    for (name, bytes) in [
        ("a request", text("GET / HTTP/1.1\r\n\r\n")),
        ("a TLS hello", vec![0x16, 3, 1]),
        ("one wrong byte", text("Q")),
        ("another word", text("PROXIED 1 2 3 4 5 6\r\n")),
        ("version 1, too long", text(&long)),
        ("version 1, a bare line feed", text("PROXY UNKNOWN x\n")),
        (
            "version 1, a line feed with something behind it",
            text("PROXY UNKNOWN a\nGET / HTTP/1.1\r\n"),
        ),
        ("version 1, a line feed in the first word", text("PROXY \n")),
        (
            "version 1, an address of the other family",
            text("PROXY TCP4 ::1 ::1 1 2\r\n"),
        ),
        (
            "version 1, a name",
            text("PROXY TCP4 example.com 10.0.0.1 1 2\r\n"),
        ),
        (
            "version 1, a port too large",
            text("PROXY TCP4 192.0.2.7 10.0.0.1 65536 1\r\n"),
        ),
        (
            "version 1, a port missing",
            text("PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n"),
        ),
        (
            "version 1, UDP",
            text("PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n"),
        ),
        (
            "version 1, a carriage return inside",
            text("PROXY TCP4 192.0.2.7\r10.0.0.1 1 2\r\n"),
        ),
        ("version 2, too long", binary(0x21, 0x11, &many)),
        ("version 3", binary(0x31, 0x11, &four())),
        ("version 2, an unknown command", binary(0x22, 0x11, &four())),
        ("version 2, an unknown family", binary(0x21, 0x41, &four())),
        (
            "version 2, no room for the addresses",
            binary(0x21, 0x11, &[1; 11]),
        ),
    ] {
        let (read, _) = read_from(&bytes).await;
        assert!(
            matches!(read, Err(ReadHeaderError::Invalid(_))),
            "{name}: {read:?}"
        );
    }
}

#[tokio::test]
async fn a_header_that_breaks_off_is_nobody() {
    for (name, bytes, _) in valid() {
        for cut in 0..bytes.len().min(64) {
            let (read, _) = read_from(&bytes[..cut]).await;
            assert!(
                matches!(read, Err(ReadHeaderError::Gone { received, .. }) if received == cut),
                "{name}, {cut} bytes: {read:?}"
            );
        }
    }
}

proptest! {
    /// Nothing panics, and never is more taken than the longest header.
    #[test]
    fn any_bytes_are_bounded(
        kind in 0..3_usize,
        tail in proptest::collection::vec(any::<u8>(), 0..6000),
    ) {
        let head: &[u8] = [&b""[..], TEXT, v2::PROTOCOL_PREFIX][kind];
        let bytes = [head, &tail].concat();
        let (_, rest) = futures::executor::block_on(read_from(&bytes));
        prop_assert!(bytes.len() - rest.len() <= MAX_BINARY);
    }
}
