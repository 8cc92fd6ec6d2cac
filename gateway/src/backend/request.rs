//! The head of the backend's handshake as bytes. Pure.

use crate::exchange::Upstream;
use crate::exchange::upgrade::{Key, VERSION};
use crate::head::put_field;

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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::exchange::BackendUrl;

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
