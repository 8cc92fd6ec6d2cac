use http::HeaderValue;

use super::*;

const SENT: &[(&str, &str)] = &[
    ("sec-websocket-protocol", "chat.v1, chat.v2"),
    (
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits, x",
    ),
];

fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

/// The verdict on a 101 with `more` fields besides the valid ones that it does not replace.
fn verdict(status: u16, more: &[(&'static str, &str)]) -> Verdict {
    let key = Key::random();
    let accept = key.accept();
    let valid = [
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", accept.as_str()),
    ];
    let kept = valid
        .iter()
        .filter(|(name, _)| more.iter().all(|(other, _)| other != name));
    let fields: Vec<_> = kept
        .chain(more)
        .filter(|(_, value)| *value != "-")
        .copied()
        .collect();
    let headers = map(&fields);
    let version = Version::Http11;
    let answer = ResponseHead {
        version,
        status,
        headers,
    };
    judge(&answer, &key, &map(SENT))
}

#[test]
fn a_valid_answer_is_accepted() {
    for (name, more) in [
        ("plain", &[][..]),
        (
            "another case",
            &[
                ("upgrade", "WebSocket"),
                ("connection", "keep-alive, UPGRADE"),
            ],
        ),
        ("a subprotocol", &[("sec-websocket-protocol", "chat.v2")]),
        (
            "an extension",
            &[("sec-websocket-extensions", "Permessage-Deflate; a=b")],
        ),
    ] {
        assert_eq!(verdict(101, more), Verdict::Accepted, "{name}");
    }
}

#[test]
fn a_101_that_proves_nothing_is_invalid() {
    for (name, more) in [
        ("no upgrade", &[("upgrade", "-")][..]),
        ("h2c", &[("upgrade", "h2c")]),
        ("no connection", &[("connection", "-")]),
        ("close", &[("connection", "close")]),
        ("no accept", &[("sec-websocket-accept", "-")]),
        (
            "an accept of another key",
            &[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
        ),
        (
            "two accepts",
            &[("sec-websocket-accept", "a"), ("sec-websocket-accept", "b")],
        ),
        (
            "a subprotocol nobody offered",
            &[("sec-websocket-protocol", "x")],
        ),
        (
            "two subprotocols",
            &[("sec-websocket-protocol", "chat.v1, chat.v2")],
        ),
        (
            "an extension nobody offered",
            &[("sec-websocket-extensions", "y")],
        ),
    ] {
        assert!(matches!(verdict(101, more), Verdict::Invalid(_)), "{name}");
    }
}

#[test]
fn an_extension_that_is_not_text_was_not_offered() {
    let key = Key::random();
    let accept = key.accept();
    let mut headers = map(&[
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", &accept),
    ]);
    let line = HeaderValue::from_bytes(b"permessage-deflate; \xff").unwrap();
    headers.append(SEC_WEBSOCKET_EXTENSIONS, line);
    let answer = ResponseHead {
        version: Version::Http11,
        status: 101,
        headers,
    };
    assert!(matches!(
        judge(&answer, &key, &map(SENT)),
        Verdict::Invalid(_)
    ));
}

#[test]
fn only_101_upgrades() {
    for status in [200, 204, 102, 299] {
        assert!(
            matches!(verdict(status, &[]), Verdict::Invalid(_)),
            "{status}"
        );
    }
    for status in [301, 400, 403, 426, 503] {
        assert_eq!(verdict(status, &[]), Verdict::Refused, "{status}");
    }
}
