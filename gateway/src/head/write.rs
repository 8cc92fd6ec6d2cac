//! Heads as bytes. Pure.

use http::{HeaderName, HeaderValue};

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
