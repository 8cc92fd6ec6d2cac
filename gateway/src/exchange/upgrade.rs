//! Is this request a WebSocket handshake? (RFC 6455 §4.2.1.) Pure.
//!
//! The gateway decides this itself and never relies on the backend: a proxy that opens a tunnel for an invalid
//! handshake lets its client send further requests past the policies (request smuggling).

#[cfg(test)]
mod tests;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::{
    CONNECTION, CONTENT_LENGTH, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method};

use crate::head::{RequestHead, Version, has_token, list_members, only};
use crate::refusal::{Origin, Reason, Refusal};

/// The only version there is (RFC 6455 §4.1).
pub(crate) const VERSION: &str = "13";

/// RFC 6455 §1.3.
const ACCEPT_SALT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The nonce is any 16 bytes; some clients leave odd trailing bits, which do not matter.
const KEY_ENCODING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// A valid `Sec-WebSocket-Key`, as its sender wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(HeaderValue);

impl Key {
    /// A fresh one.
    pub(crate) fn random() -> Self {
        let text = STANDARD.encode(rand::random::<[u8; 16]>());
        let value = HeaderValue::from_maybe_shared(text.into_bytes());
        Self(value.unwrap_or_else(|_| HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==")))
    }

    /// As it stands in the request.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The `Sec-WebSocket-Accept` that answers it (RFC 6455 §4.2.2).
    pub(crate) fn accept(&self) -> String {
        let mut salted = [0; 24 + ACCEPT_SALT.len()];
        salted[..24].copy_from_slice(self.as_bytes());
        salted[24..].copy_from_slice(ACCEPT_SALT.as_bytes());
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted))
    }
}

/// Checks a handshake and gives its key. Over HTTP/2 there is no key (RFC 8441 §5): the SETTINGS have
/// negotiated WebSockets.
///
/// # Errors
/// The refusal (400 or 426): the request is not a WebSocket handshake.
pub(crate) fn validate(head: &RequestHead) -> Result<Option<Key>, Refusal> {
    let headers = &head.headers;
    if has_body(headers) {
        return Err(invalid("the request has a body"));
    }
    match head.version {
        Version::Http10 => Err(invalid("the version is not HTTP/1.1")),
        Version::Http11 => validate_upgrade(head).map(Some),
        Version::Http2 { websocket: false } => {
            Err(invalid("not an extended CONNECT for a WebSocket"))
        }
        Version::Http2 { websocket: true } => check_version(headers).map(|()| None),
    }
}

fn validate_upgrade(head: &RequestHead) -> Result<Key, Refusal> {
    let headers = &head.headers;
    if head.method != Method::GET {
        return Err(invalid("the method is not GET"));
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Err(invalid("Connection does not hold the token upgrade"));
    }
    if !has_token(headers, &UPGRADE, "websocket") {
        return Err(invalid("Upgrade does not hold the token websocket"));
    }
    check_version(headers)?;
    let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(invalid("Sec-WebSocket-Key is missing"))?;
    if key.len() != 24
        || !KEY_ENCODING
            .decode(key)
            .is_ok_and(|nonce| nonce.len() == 16)
    {
        return Err(invalid("Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    Ok(Key(key.clone()))
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    match only(headers, &SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) {
        Some(version) if version == VERSION.as_bytes() => Ok(()),
        Some(_) => Err(wrong_version()),
        None => Err(invalid("Sec-WebSocket-Version is missing")),
    }
}

/// A body would stay unread before the first frame (request smuggling). `Content-Length: 0` says
/// that there is none.
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers
            .get_all(CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

/// Azure API Management's text, whatever is wrong; the log says what.
fn invalid(detail: &str) -> Refusal {
    let message = "Invalid websocket upgrade request";
    Refusal::new(400, Reason::InvalidUpgrade, Origin::Client, message).detail(detail)
}

/// RFC 6455 §4.4, and `Upgrade` because RFC 9110 §15.5.22 wants it in every 426.
fn wrong_version() -> Refusal {
    let message = "Unsupported websocket version";
    Refusal::new(426, Reason::UnsupportedVersion, Origin::Client, message)
        .header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION))
        .header(UPGRADE, HeaderValue::from_static("websocket"))
}

/// May a page of this origin connect? Browsers always send `Origin`, and only they can be led to
/// connect against their user's will (cross-site WebSocket hijacking), so a request without it
/// passes.
///
/// # Errors
/// The refusal (403): the origin is not allowed.
pub(crate) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let Some(value) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = value.to_str().unwrap_or_default();
    if allowed
        .iter()
        .any(|pattern| origin_matches(pattern, origin))
    {
        return Ok(());
    }
    let message = "Origin not allowed";
    Err(Refusal::new(403, Reason::OriginNotAllowed, Origin::Client, message).detail(origin))
}

/// Scheme and host of an origin are lower case when a browser sends them (RFC 6454 §6.2).
fn origin_matches(pattern: &str, origin: &str) -> bool {
    let Some((scheme, suffix)) = pattern.split_once("://*.") else {
        return pattern.eq_ignore_ascii_case(origin);
    };
    let host = origin
        .split_once("://")
        .filter(|(its, _)| its.eq_ignore_ascii_case(scheme));
    host.is_some_and(|(_, host)| {
        let cut = host
            .len()
            .checked_sub(suffix.len() + 1)
            .filter(|cut| *cut > 0);
        cut.and_then(|cut| host.get(cut..))
            .is_some_and(|tail| tail.starts_with('.') && tail[1..].eq_ignore_ascii_case(suffix))
    })
}

/// Removes subprotocols that are not allowed from the backend's handshake. If none is left the handshake is
/// refused: the client requested one and would close a connection without it. It is also refused if a line is
/// not text, because the backend might read something else in it.
///
/// # Errors
/// The refusal (400): no offered subprotocol is allowed.
pub(crate) fn filter_subprotocols(
    headers: &mut HeaderMap,
    allowed: &[String],
) -> Result<(), Refusal> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(());
    }
    let mut lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    if lines.any(|line| line.to_str().is_err()) {
        return Err(invalid("Sec-WebSocket-Protocol is not text"));
    }
    let is_allowed = |offer: &&str| allowed.iter().any(|name| name == offer);
    let offers = || list_members(headers, &SEC_WEBSOCKET_PROTOCOL);
    if offers().all(|offer| is_allowed(&offer)) {
        return Ok(());
    }
    let kept: Vec<&str> = offers().filter(is_allowed).collect();
    if kept.is_empty() {
        let message = "None of the offered subprotocols is allowed";
        let reason = Reason::SubprotocolNotAllowed;
        return Err(Refusal::new(400, reason, Origin::Client, message));
    }
    let value = HeaderValue::from_maybe_shared(kept.join(", ").into_bytes())
        .map_err(|_| invalid("Sec-WebSocket-Protocol is not text"))?;
    headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    Ok(())
}
