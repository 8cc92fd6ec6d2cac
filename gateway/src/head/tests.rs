use std::io;

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use tokio::io::AsyncWriteExt;

use super::read::ReadHead;
use super::*;

const LIMITS: HeadLimits = HeadLimits {
    header_bytes: 1024,
    url_bytes: 256,
};

fn parse(text: &str) -> Result<RequestHead, InvalidHead> {
    parse_request(&Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn a_target_falls_into_path_and_query() {
    for (target, path, query) in [
        ("/", "/", None),
        ("/a%2Fb?x=%20&y", "/a%2Fb", Some("x=%20&y")),
        ("/a?", "/a", Some("")),
        ("/a??b", "/a", Some("?b")),
        ("//a", "//a", None),
        ("http://h", "/", None),
        ("ws://h?x", "/", Some("x")),
        ("HTTP://h/a?x", "/a", Some("x")),
    ] {
        let head = parse(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).unwrap();
        assert_eq!(
            (head.path.as_str(), head.raw_query.as_deref()),
            (path, query),
            "{target}"
        );
    }
}

#[test]
fn a_host_is_lower_case_and_without_port() {
    for (field, host) in [
        ("A.example.COM", "a.example.com"),
        ("a:8080", "a"),
        ("a.example.com.:443", "a.example.com"),
        ("[::1]:80", "[::1]"),
        ("my_service", "my_service"),
    ] {
        let head = parse(&format!("GET / HTTP/1.1\r\nHost: {field}\r\n\r\n")).unwrap();
        assert_eq!(head.host, host);
    }
}

#[test]
fn ambiguous_heads_are_malformed() {
    for (name, text) in [
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("a host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        (
            "a host with a bad port",
            "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n",
        ),
        ("an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        (
            "another host in the target",
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("a fragment", "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "bytes outside ASCII",
            "GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("no path", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "authority form",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        ),
        (
            "a space before the colon",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        ),
        (
            "a folded line",
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
        ),
        ("HTTP/2", "PRI * HTTP/2.0\r\n\r\n"),
        (
            "two keys",
            "GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: a\r\nSec-WebSocket-Key: b\r\n\r\n",
        ),
        (
            "two origins",
            "GET / HTTP/1.1\r\nHost: a\r\nOrigin: a\r\nOrigin: b\r\n\r\n",
        ),
        ("a TLS hello", "\u{16}\u{3}\u{1}\r\n\r\n"),
    ] {
        assert!(
            matches!(parse(text), Err(InvalidHead::Malformed(_))),
            "{name}"
        );
    }
}

#[test]
fn more_fields_than_anybody_needs_are_too_many() {
    let fields: String = (0..101).map(|i| format!("X-{i}: 1\r\n")).collect();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let error = parse(&text).unwrap_err();
    assert_eq!(error, InvalidHead::TooManyFields);
    let told = super::parse::MAX_FIELDS.to_string();
    assert!(error.to_string().contains(&told), "{error}");
}

#[test]
fn names_with_underscores_cannot_imitate_others_at_the_backend() {
    for (name, forwarded) in [
        ("x-user", true),
        ("x_user", false),
        ("x_forwarded-for", false),
    ] {
        assert_eq!(
            is_forwarded(&HeaderName::from_static(name)),
            forwarded,
            "{name}"
        );
    }
}

#[test]
fn connection_fields_end_here_and_nothing_that_a_peer_names_besides() {
    for name in [
        "connection",
        "upgrade",
        "te",
        "transfer-encoding",
        "sec-websocket-key",
    ] {
        assert!(ends_here(&HeaderName::from_static(name)), "{name}");
    }
    for name in [
        "authorization",
        "sec-websocket-extensions",
        "x-user",
        "cookie",
    ] {
        assert!(!ends_here(&HeaderName::from_static(name)), "{name}");
    }
}

#[test]
fn members_of_a_field_are_those_of_all_its_lines() {
    let head = parse(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive,\t Upgrade\r\nconnection: x\r\n\r\n",
    )
    .unwrap();
    let members: Vec<_> = list_members(&head.headers, &CONNECTION).collect();
    assert_eq!(members, ["keep-alive", "Upgrade", "x"]);
    assert!(has_token(&head.headers, &CONNECTION, "UPGRADE"));
    assert!(!has_token(&head.headers, &UPGRADE, "websocket"));
}

/// Sends `text` in pieces of `size` bytes and reads a head from the other end.
async fn read(text: &str, size: usize) -> Result<ReadHead<RequestHead>, ReadHeadError> {
    let (mut near, mut far) = tokio::io::duplex(64 * 1024);
    for piece in text.as_bytes().chunks(size) {
        far.write_all(piece).await.unwrap();
    }
    drop(far);
    read_request(&mut near, Bytes::new(), || LIMITS, &mut 0).await
}

#[tokio::test]
async fn bytes_behind_a_head_are_kept_however_they_come() {
    let text = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n\u{1}frames\r\n\r\n";
    for size in [1, 2, 3, 1000] {
        let found = read(text, size).await.unwrap();
        assert_eq!(found.head.path, "/a");
        assert!(
            b"\x01frames\r\n\r\n".starts_with(&found.read_ahead),
            "pieces of {size}"
        );
    }
    assert_eq!(
        &read(text, 1000).await.unwrap().read_ahead[..],
        b"\x01frames\r\n\r\n"
    );
}

#[tokio::test]
async fn heads_above_a_limit_are_refused_before_they_end() {
    let long_url = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(300));
    let endless_url = format!("GET /{}", "a".repeat(2000));
    let long_field = format!(
        "GET / HTTP/1.1\r\nX: {}\r\nHost: a\r\n\r\n",
        "a".repeat(2000)
    );
    let endless_field = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(2000));
    for (name, text, expected) in [
        ("URL", &long_url, InvalidHead::UrlTooLong),
        ("URL without end", &endless_url, InvalidHead::UrlTooLong),
        ("field", &long_field, InvalidHead::TooLarge),
        ("field without end", &endless_field, InvalidHead::TooLarge),
    ] {
        for size in [1, 1000] {
            let error = read(text, size).await.expect_err(name);
            assert!(
                matches!(error, ReadHeadError::Invalid(found) if found == expected),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_peer_that_leaves_early_is_told_from_one_that_said_nothing() {
    for (text, expected) in [("", 0), ("GET / HT", 8)] {
        let error = read(text, 1000).await.expect_err("no head");
        assert!(matches!(error, ReadHeadError::Gone { received, .. } if received == expected));
    }
}

#[tokio::test]
async fn an_answer_may_have_been_read_in_part() -> io::Result<()> {
    let (mut near, mut far) = tokio::io::duplex(1024);
    far.write_all(b"itching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00")
        .await?;
    let read_ahead = Bytes::from_static(b"HTTP/1.1 101 Sw");
    let mut received = 0;
    let found = read_response(&mut near, read_ahead, 1024, &mut received).await;
    let found = found.unwrap();
    assert!(received > 15, "{received}");
    assert_eq!(
        (found.head.status, &found.read_ahead[..]),
        (101, &b"\x81\x00"[..])
    );
    Ok(())
}

#[tokio::test]
async fn an_answer_without_end_is_too_large() {
    let (mut near, mut far) = tokio::io::duplex(64 * 1024);
    far.write_all(format!("HTTP/1.1 101 OK\r\nX: {}", "a".repeat(5000)).as_bytes())
        .await
        .unwrap();
    let error = read_response(&mut near, Bytes::new(), 1024, &mut 0)
        .await
        .expect_err("too large");
    assert!(matches!(
        error,
        ReadHeadError::InvalidAnswer {
            fault: InvalidHead::AnswerTooLarge(1024),
            ..
        }
    ));
}
