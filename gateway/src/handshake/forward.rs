//! The headers and the query that the backend gets. Pure.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate_config::{KeyNames, UrlScheme};

use crate::exchange::decoded_pairs;
use crate::head::{RequestHead, is_forwarded};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields in which a proxy names the client and the proxies before it. They are removed unless the peer is a
/// trusted proxy.
const PROXY_FIELDS: [HeaderName; 6] = [
    FORWARDED,
    X_FORWARDED_FOR,
    X_FORWARDED_HOST,
    X_FORWARDED_PORT,
    X_FORWARDED_PROTO,
    X_REAL_IP,
];

/// The peer of a request, as the gateway itself knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) peer: IpAddr,
    /// Is the peer a trusted proxy?
    pub(super) trusted: bool,
    pub(super) scheme: UrlScheme,
}

/// The fields that are passed on, with X-Forwarded-* as we see it; without the subscription key.
pub(super) fn headers(request: &RequestHead, sender: Sender, names: &KeyNames) -> HeaderMap {
    // Three of ours, and the caller's Via.
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 4);
    for (name, value) in &request.headers {
        let is_key = name.as_str().eq_ignore_ascii_case(&names.header);
        let passes = if is_key {
            names.keep
        } else {
            is_forwarded(name) && (sender.trusted || !PROXY_FIELDS.contains(name))
        };
        if passes {
            headers.append(name, value.clone());
        }
    }
    forwarded_for(&mut headers, sender.peer);
    let proto = match sender.scheme {
        UrlScheme::Ws => "http",
        UrlScheme::Wss => "https",
    };
    let proto = HeaderValue::from_static(proto);
    headers.entry(X_FORWARDED_PROTO).or_insert(proto);
    if let Some(host) = request.headers.get(HOST) {
        headers
            .entry(X_FORWARDED_HOST)
            .or_insert_with(|| host.clone());
    }
    headers
}

/// Adds the peer to the end of the chain.
fn forwarded_for(headers: &mut HeaderMap, peer: IpAddr) {
    let lines = headers.get_all(X_FORWARDED_FOR).into_iter();
    let mut chain: Vec<u8> = Vec::new();
    for line in lines {
        chain.extend_from_slice(line.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_maybe_shared(chain) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

/// The client's raw query without the subscription key; all other parts stay byte for byte.
pub(super) fn query(raw: Option<&str>, names: &KeyNames) -> Option<String> {
    let raw = raw?;
    let is_key = |part: &str| {
        decoded_pairs(part)
            .next()
            .is_some_and(|(name, _)| name == names.query)
    };
    if names.keep || !raw.split('&').any(is_key) {
        return Some(raw.to_owned());
    }
    let kept: Vec<&str> = raw.split('&').filter(|part| !is_key(part)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::head::parse_request;

    fn names(keep: bool) -> KeyNames {
        KeyNames {
            header: "Api_Key".to_owned(),
            query: "key".to_owned(),
            subprotocol: None,
            keep,
        }
    }

    fn forwarded(fields: &str, trusted: bool, keep: bool) -> Vec<String> {
        let text = format!("GET / HTTP/1.1\r\nHost: Edge.test:81\r\n{fields}\r\n");
        let request = parse_request(&Bytes::from(text)).unwrap();
        let sender = Sender {
            peer: "192.0.2.7".parse().unwrap(),
            trusted,
            scheme: UrlScheme::Wss,
        };
        let headers = headers(&request, sender, &names(keep));
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", value.to_str().unwrap())
        };
        headers.iter().map(line).collect()
    }

    const OURS: [&str; 3] = [
        "x-forwarded-for: 192.0.2.7",
        "x-forwarded-proto: https",
        "x-forwarded-host: Edge.test:81",
    ];

    #[test]
    fn fields_of_the_connection_and_the_key_stay_here() {
        let fields = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket, h2c\r\n\
            Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nTE: trailers\r\n\
            Proxy-Authorization: x\r\nHTTP2-Settings: x\r\nExpect: 100-continue\r\n\
            Content-Length: 0\r\nKeep-Alive: 5\r\napi_key: secret\r\nX_User: forged\r\n";
        assert_eq!(forwarded(fields, false, false), OURS);
    }

    #[test]
    fn a_client_cannot_name_a_field_away() {
        let fields =
            "Connection: Upgrade, Authorization, X-User\r\nAuthorization: t\r\nX-User: u\r\n";
        let lines = forwarded(fields, false, false);
        assert!(lines.contains(&"authorization: t".to_owned()), "{lines:?}");
        assert!(lines.contains(&"x-user: u".to_owned()), "{lines:?}");
    }

    #[test]
    fn end_to_end_fields_pass_unchanged() {
        let fields = "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n\
            Sec-WebSocket-Extensions: permessage-deflate; x\r\nCookie: a=b\r\ntraceparent: 00-1-2-01\r\n";
        let lines = forwarded(fields, false, false);
        for expected in [
            "sec-websocket-protocol: a, b",
            "sec-websocket-protocol: c",
            "sec-websocket-extensions: permessage-deflate; x",
            "cookie: a=b",
            "traceparent: 00-1-2-01",
        ] {
            assert!(lines.contains(&expected.to_owned()), "{lines:?}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_may_speak_for_others() {
        let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 5.5.5.5\r\nX-Forwarded-Proto: http\r\n\
            X-Forwarded-Host: public.test\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
        assert_eq!(forwarded(fields, false, false), OURS);
        let mut lines = forwarded(fields, true, false);
        lines.sort();
        assert_eq!(
            lines,
            [
                "forwarded: for=6.6.6.6",
                "x-forwarded-for: 6.6.6.6, 5.5.5.5, 192.0.2.7",
                "x-forwarded-host: public.test",
                "x-forwarded-proto: http",
                "x-real-ip: 6.6.6.6",
            ]
        );
    }

    #[test]
    fn a_kept_key_passes_under_its_own_name() {
        let lines = forwarded("API_KEY: k\r\n", false, true);
        assert!(lines.contains(&"api_key: k".to_owned()), "{lines:?}");
    }

    #[test]
    fn the_key_leaves_the_query_and_the_rest_stays_as_it_is() {
        for (raw, keep, expected) in [
            (None, false, None),
            (Some(""), false, Some("")),
            (Some("a=%2f&&b"), false, Some("a=%2f&&b")),
            (Some("a=1&key=x&b=2&k%65y=y&key"), false, Some("a=1&b=2")),
            (Some("key=x"), false, None),
            (Some("key=x"), true, Some("key=x")),
        ] {
            assert_eq!(query(raw, &names(keep)).as_deref(), expected, "{raw:?}");
        }
    }
}
