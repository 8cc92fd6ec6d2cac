//! The head of the backend's handshake as bytes. Pure.

use http::{HeaderName, HeaderValue};

use crate::exchange::Upstream;
use crate::upgrade::{Key, VERSION};

/// Enough for most heads, so that one allocation does.
const USUAL_SIZE: usize = 1024;

/// The whole head, to be written at once.
pub(crate) fn encode(upstream: &Upstream, key: &Key) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_SIZE);
    let authority;
    let host = match &upstream.host_header {
        Some(host) => host,
        None => {
            authority = upstream.target.authority();
            &authority
        }
    };
    for part in [
        b"GET ",
        upstream.path_and_query().as_bytes(),
        b" HTTP/1.1\r\nHost: ",
        host.as_bytes(),
        b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: ",
        VERSION.as_bytes(),
        b"\r\nSec-WebSocket-Key: ",
        key.as_bytes(),
        b"\r\n",
    ] {
        out.extend_from_slice(part);
    }
    for (name, value) in &upstream.headers {
        put_field(&mut out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// One field line. Names are written with capitals: the case means nothing (RFC 9110 §5.1), but
/// old peers compare it.
pub(crate) fn put_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let start = out.len();
    out.extend_from_slice(name.as_str().as_bytes());
    let mut capital = true;
    for byte in &mut out[start..] {
        if capital {
            byte.make_ascii_uppercase();
        }
        capital = *byte == b'-';
    }
    if out[start..].starts_with(b"Sec-Websocket-") {
        out[start + 7] = b'S';
    }
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::dial::BackendUrl;

    #[test]
    fn a_head_has_our_own_handshake_and_the_fields_it_is_given() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("sec-websocket-protocol", "a, b"),
            ("x-user-id", "7"),
            ("x-user-id", "8"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let url = BackendUrl::parse("ws://b.test:81/p?own=1").unwrap();
        let mut upstream = Upstream::new(&url, Some("c=%20"), "", headers);
        let key = Key::random();
        let text = String::from_utf8(encode(&upstream, &key)).unwrap();
        let key_text = std::str::from_utf8(key.as_bytes()).unwrap();
        let expected = format!(
            "GET /p?own=1&c=%20 HTTP/1.1\r\nHost: b.test:81\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key_text}\r\n\
             Sec-WebSocket-Protocol: a, b\r\nX-User-Id: 7\r\nX-User-Id: 8\r\n\r\n"
        );
        assert_eq!(text, expected);
        upstream.host_header = Some("virtual".to_owned());
        let text = String::from_utf8(encode(&upstream, &key)).unwrap();
        assert!(text.contains("\r\nHost: virtual\r\n"), "{text}");
    }
}
