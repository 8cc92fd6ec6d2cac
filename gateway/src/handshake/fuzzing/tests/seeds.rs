//! Where fuzzing begins: the kinds of input that the tests of the parsers know.

use tidegate_tunnel::fuzzing::input;

const UPGRADE: &str = "Host: a.example:8080\r\nConnection: keep-alive, Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn heads() -> Vec<(&'static str, Vec<u8>)> {
    let request = |name, text: String| (name, input(0, &[0, 5, 60], text.as_bytes()));
    let answer = |name, text: &str| (name, input(2, &[3], text.as_bytes()));
    vec![
        request(
            "handshake",
            format!("GET /a?x=%20 HTTP/1.1\r\n{UPGRADE}\r\n\x01frames"),
        ),
        request(
            "handshake of a browser",
            format!(
                "GET /chat HTTP/1.1\r\n{UPGRADE}Origin: https://x.example.com\r\nCookie: a=b\r\n\
                 Sec-WebSocket-Protocol: chat, other\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            ),
        ),
        request("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        request("HTTP 1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned()),
        request(
            "absolute form",
            format!("GET ws://A.example:8080?q HTTP/1.1\r\n{UPGRADE}\r\n"),
        ),
        request(
            "another host",
            format!("GET http://b/ HTTP/1.1\r\n{UPGRADE}\r\n"),
        ),
        request(
            "address as host",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n".to_owned(),
        ),
        request(
            "body",
            format!("GET / HTTP/1.1\r\n{UPGRADE}Content-Length: 5\r\n\r\nhello"),
        ),
        request(
            "folded line",
            format!("GET / HTTP/1.1\r\n{UPGRADE}X: 1\r\n 2\r\n\r\n"),
        ),
        request(
            "two hosts",
            format!("GET / HTTP/1.1\r\n{UPGRADE}Host: b\r\n\r\n"),
        ),
        request(
            "space before colon",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        ),
        request("fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        request(
            "not ASCII",
            format!("GET / HTTP/1.1\r\n{UPGRADE}X-User: \u{e4}\r\n\r\n"),
        ),
        request(
            "key named away",
            format!("GET / HTTP/1.1\r\n{UPGRADE}Connection: x-user\r\nX_User: 1\r\n\r\n"),
        ),
        request("HTTP 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        (
            "long URL",
            input(
                4,
                &[9],
                format!("GET /{} HTTP/1.1\r\n", "a".repeat(60)).as_bytes(),
            ),
        ),
        (
            "long fields",
            input(
                4,
                &[9],
                format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(250)).as_bytes(),
            ),
        ),
        answer(
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\
             Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n\u{1}\u{0}",
        ),
        answer(
            "101 without proof",
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ),
        answer(
            "404",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        ),
        (
            "answer to CONNECT",
            input(3, &[], b"HTTP/1.0 200 Connection established\r\n\r\n"),
        ),
    ]
}

/// A PROXY header of version 2.
fn binary(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    header.extend(payload);
    input(0, &[0, 6, 11], &header)
}

pub(super) fn proxy_header() -> Vec<(&'static str, Vec<u8>)> {
    let text = |header: &str| input(0, &[2, 0], header.as_bytes());
    let four = [192, 0, 2, 7, 10, 0, 0, 1, 0xc0, 0x01, 0x1f, 0x90];
    let more = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(200));
    vec![
        (
            "TCP4",
            text("PROXY TCP4 192.0.2.7 10.0.0.1 49153 8080\r\nGET /"),
        ),
        ("TCP6", text("PROXY TCP6 2001:db8::7 ::1 49153 8080\r\n")),
        ("UNKNOWN", text("PROXY UNKNOWN a b c\r\n\x16\x03")),
        ("too long", text(&long)),
        (
            "bare line feed",
            text("PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n"),
        ),
        ("wrong family", text("PROXY TCP4 ::1 ::1 1 2\r\n")),
        ("none", text("GET / HTTP/1.1\r\n\r\n")),
        ("binary IPv4", binary(0x21, 0x11, &four)),
        ("binary IPv4 with more", binary(0x21, 0x11, &more)),
        ("binary IPv6", binary(0x21, 0x21, &[1; 36])),
        ("binary LOCAL", binary(0x20, 0, &[])),
        ("binary datagram", binary(0x21, 0x12, &four)),
        ("binary UNIX socket", binary(0x21, 0x31, &[b'/'; 216])),
        ("binary without room", binary(0x21, 0x11, &[1; 11])),
        ("binary version 3", binary(0x31, 0x11, &four)),
        ("binary cut off", binary(0x21, 0x11, &four)[..20].to_vec()),
    ]
}
