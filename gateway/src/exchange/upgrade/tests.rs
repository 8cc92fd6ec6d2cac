use bytes::Bytes;

use super::*;
use crate::head::parse_request;

const VALID: [&str; 5] = [
    "Host: a",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn head(line: &str, fields: &[&str]) -> RequestHead {
    let text = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n"));
    parse_request(&Bytes::from(text)).unwrap()
}

/// A valid handshake with the field of the same name replaced by `fields`.
fn with(fields: &[&str]) -> RequestHead {
    let name = |field: &str| field.split(':').next().unwrap_or_default().to_owned();
    let replaced: Vec<_> = fields.iter().map(|field| name(field)).collect();
    let kept = VALID
        .iter()
        .copied()
        .filter(|field| !replaced.contains(&name(field)));
    let all: Vec<&str> = kept.chain(fields.iter().copied()).collect();
    head("GET / HTTP/1.1", &all)
}

fn without(name: &str) -> RequestHead {
    let kept: Vec<_> = VALID
        .iter()
        .copied()
        .filter(|field| !field.starts_with(name))
        .collect();
    head("GET / HTTP/1.1", &kept)
}

#[test]
fn the_accept_value_is_that_of_the_rfc() {
    let key = validate(&with(&[])).unwrap().unwrap();
    assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn keys_of_our_own_are_valid_and_differ() {
    let (one, two) = (Key::random(), Key::random());
    assert_ne!(one, two);
    let text = std::str::from_utf8(one.as_bytes()).unwrap().to_owned();
    assert!(validate(&with(&[&format!("Sec-WebSocket-Key: {text}")])).is_ok());
}

#[test]
fn tokens_are_found_in_any_case_and_on_any_line() {
    for (name, fields) in [
        ("in a list", &["Connection: keep-alive, Upgrade"][..]),
        (
            "in another case",
            &["Connection: UPGRADE", "Upgrade: WebSocket"],
        ),
        (
            "on a second line",
            &["Connection: keep-alive", "Connection: upgrade"],
        ),
        ("among other protocols", &["Upgrade: h2c, websocket"]),
        ("beside empty members", &["Connection: ,, upgrade ,"]),
        ("an empty body", &["Content-Length: 0"]),
        (
            "odd last bits in the key",
            &["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR=="],
        ),
    ] {
        assert!(validate(&with(fields)).is_ok(), "{name}");
    }
}

#[test]
fn what_is_no_handshake_is_refused_with_400() {
    for (name, head) in [
        ("no upgrade at all", head("GET / HTTP/1.1", &["Host: a"])),
        ("POST", head("POST / HTTP/1.1", &VALID)),
        ("HTTP/1.0", head("GET / HTTP/1.0", &VALID)),
        ("a body", with(&["Content-Length: 5"])),
        ("a chunked body", with(&["Transfer-Encoding: chunked"])),
        (
            "two lengths",
            with(&["Content-Length: 0", "Content-Length: 9"]),
        ),
        ("no Connection", without("Connection")),
        ("another Connection", with(&["Connection: keep-alive"])),
        ("a longer token", with(&["Connection: upgraded"])),
        ("no Upgrade", without("Upgrade")),
        ("h2c", with(&["Upgrade: h2c"])),
        ("no version", without("Sec-WebSocket-Version")),
        ("no key", without("Sec-WebSocket-Key")),
        (
            "a short key",
            with(&["Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ=="]),
        ),
        (
            "a key that is not base64",
            with(&["Sec-WebSocket-Key: ????????????????????????"]),
        ),
        (
            "a long key",
            with(&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBvZiBtaW5l"]),
        ),
    ] {
        let refusal = validate(&head).expect_err(name);
        assert_eq!(
            (refusal.status, refusal.reason),
            (400, Reason::InvalidUpgrade),
            "{name}"
        );
        assert_eq!(refusal.message, "Invalid websocket upgrade request");
    }
}

#[test]
fn another_version_is_answered_with_426_and_ours() {
    for version in ["8", "14", "13, 8", "013"] {
        let refusal = validate(&with(&[&format!("Sec-WebSocket-Version: {version}")]));
        let refusal = refusal.expect_err(version);
        assert_eq!(
            (refusal.status, refusal.reason),
            (426, Reason::UnsupportedVersion)
        );
        assert!(
            refusal
                .headers
                .contains(&(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")))
        );
    }
}

#[test]
fn only_listed_origins_connect() {
    let allowed = ["https://app.example.com", "https://*.example.org", "null"].map(str::to_owned);
    for (origin, expected) in [
        (Some("https://app.example.com"), true),
        (Some("https://APP.example.com"), true),
        (Some("http://app.example.com"), false),
        (Some("https://app.example.com:8443"), false),
        (Some("https://app.example.com.evil.test"), false),
        (Some("https://a.example.org"), true),
        (Some("https://a.b.example.org"), true),
        (Some("https://example.org"), false),
        (Some("https://.example.org"), false),
        (Some("https://evilexample.org"), false),
        (Some("http://a.example.org"), false),
        (Some("null"), true),
        (Some("x"), false),
        (None, true),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let answer = check_origin(&headers, &allowed);
        assert_eq!(
            answer.as_ref().map_err(|refusal| refusal.status).is_ok(),
            expected,
            "{origin:?}"
        );
    }
}

#[test]
fn subprotocols_that_are_not_allowed_are_not_offered_to_the_backend() {
    let allowed = ["chat.v2", "chat.v1"].map(str::to_owned);
    for (offers, expected) in [
        (&[][..], Ok(None)),
        (&["chat.v1"], Ok(Some("chat.v1"))),
        (&["x, chat.v1,y"], Ok(Some("chat.v1"))),
        (&["x", "chat.v1, chat.v2"], Ok(Some("chat.v1, chat.v2"))),
        (&["Chat.v1"], Err(400)),
        (&["x"], Err(400)),
    ] {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offer));
        }
        let answer = filter_subprotocols(&mut headers, &allowed).map_err(|refusal| refusal.status);
        let left = headers
            .get(SEC_WEBSOCKET_PROTOCOL)
            .map(|value| value.to_str().unwrap());
        assert_eq!(answer.map(|()| left), expected, "{offers:?}");
    }
}

#[test]
fn an_offer_that_is_not_text_cannot_pass_by_an_allowed_one() {
    let allowed = ["chat.v1".to_owned()];
    for lines in [&[&b"x\xff"[..]][..], &[b"chat.v1", b"admin, \xff"]] {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line).unwrap();
            headers.append(SEC_WEBSOCKET_PROTOCOL, line);
        }
        let refusal = filter_subprotocols(&mut headers, &allowed).unwrap_err();
        assert_eq!(refusal.status, 400, "{lines:?}");
    }
}
