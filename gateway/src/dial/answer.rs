//! Did the backend really agree? (RFC 6455 §4.1, the client's duties.) Pure.
//!
//! A status of 101 alone proves nothing: a server that can be made to echo headers would open a
//! tunnel to whatever it speaks. Only the accept value shows that it understood the handshake.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderName};

use crate::head::{ResponseHead, has_token, list_members, only};
use crate::upgrade::Key;

/// What the backend answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A valid 101.
    Accepted,
    /// A status of its own: 300 or above.
    Refused,
    /// Neither; what is wrong with it.
    Invalid(&'static str),
}

/// Judges an answer to the handshake with `key` and the fields `sent`.
pub(crate) fn judge(answer: &ResponseHead, key: &Key, sent: &HeaderMap) -> Verdict {
    match answer.status {
        101 => match fault(&answer.headers, key, sent) {
            None => Verdict::Accepted,
            Some(fault) => Verdict::Invalid(fault),
        },
        300.. => Verdict::Refused,
        _ => Verdict::Invalid("the status is neither 101 nor a refusal"),
    }
}

fn fault(headers: &HeaderMap, key: &Key, sent: &HeaderMap) -> Option<&'static str> {
    if !has_token(headers, &UPGRADE, "websocket") {
        return Some("Upgrade does not hold the token websocket");
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Some("Connection does not hold the token upgrade");
    }
    let accept = only(headers, &SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|value| value.as_bytes() != key.accept().as_bytes()) {
        return Some("Sec-WebSocket-Accept does not answer the key");
    }
    if headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        let chosen = only(headers, &SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
        let offered = |name: &str| list_members(sent, &SEC_WEBSOCKET_PROTOCOL).any(|o| o == name);
        if !chosen.is_some_and(|chosen| offered(chosen.trim())) {
            return Some("Sec-WebSocket-Protocol was not offered");
        }
    }
    let names = |map| list_members(map, &SEC_WEBSOCKET_EXTENSIONS).map(extension_name);
    let was_offered = |name: &str| names(sent).any(|offer| offer.eq_ignore_ascii_case(name));
    let mut lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
    // A line that is not text has no members that could be compared.
    if lines.any(|line| line.to_str().is_err()) || names(headers).any(|name| !was_offered(name)) {
        return Some("Sec-WebSocket-Extensions were not offered");
    }
    None
}

fn extension_name(member: &str) -> &str {
    member.split(';').next().unwrap_or(member).trim()
}

/// Is this field of the backend's answer passed on? Not those that concern one connection, and not
/// how its body was framed: ours is framed anew.
pub(crate) fn is_passed_on(name: &HeaderName) -> bool {
    !crate::head::ends_here(name) || name == http::header::SEC_WEBSOCKET_VERSION
}

#[cfg(test)]
mod tests {
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
        judge(&ResponseHead { status, headers }, &key, &map(SENT))
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
}
