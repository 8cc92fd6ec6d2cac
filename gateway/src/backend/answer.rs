//! Checks the backend's answer to the handshake (RFC 6455 §4.1, the client's duties). Pure.
//!
//! A status of 101 alone proves nothing: a server that echoes headers would open a tunnel to another
//! protocol. Only the accept value shows that it understood the handshake.

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderName};
use tidegate_expr::mask;

use super::body;
use crate::exchange::upgrade::Key;
use crate::head::{ResponseHead, Version, has_token, list_members, only};

/// What the backend answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A valid 101.
    Accepted,
    /// A status of its own: 300 or above.
    Refused,
    /// Neither; what is wrong.
    Invalid(Fault),
}

/// What is wrong with an answer that was read. Each has its own text in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Neither 101 nor a refusal.
    Status(u16),
    /// A 101 in HTTP/1.0, which has no upgrades (RFC 9110 §7.8).
    Version,
    /// `Upgrade` does not hold `websocket`; it holds this.
    Upgrade(Option<String>),
    /// `Connection` does not hold `upgrade`; it holds this.
    Connection(Option<String>),
    /// `Sec-WebSocket-Accept` does not answer the key; it is this.
    Accept(Option<String>),
    /// This subprotocol was not offered, or is more than one.
    Subprotocol(String),
    /// These extensions were not all offered.
    Extensions(String),
    /// It is not clear where the body of a refusal ends.
    Framing(&'static str),
}

/// Longest text of a backend in a log line, in characters.
const MAX_SHOWN: usize = 32;

/// A longer subprotocol may be a token: browsers have no other place to send one.
const LONGEST_NAME: usize = 20;

impl Fault {
    /// Does it concern subprotocol or extensions? Then the client's offer may be the cause, and the backend may
    /// serve other clients well.
    pub(crate) const fn is_negotiation(&self) -> bool {
        matches!(self, Self::Subprotocol(_) | Self::Extensions(_))
    }

    /// The text for the log. `mask` hides secrets before the text is cut.
    pub(crate) fn text(&self, mask: impl Fn(&str) -> String) -> String {
        let quoted = |value: &str| format!("\"{}\"", shown(&mask(value)));
        let has = |name: &str, value: &Option<String>| match value {
            Some(value) => format!("{name} is {}", quoted(value)),
            None => format!("{name} is missing"),
        };
        match self {
            Self::Status(status) => format!("status {status} is neither 101 nor a refusal"),
            Self::Version => "status 101 in HTTP/1.0, which has no upgrades".to_owned(),
            Self::Upgrade(value) => {
                format!("status 101: {}, not websocket", has("Upgrade", value))
            }
            Self::Connection(value) => {
                format!("status 101: {}, not Upgrade", has("Connection", value))
            }
            Self::Accept(value) => format!(
                "status 101: {}, which does not answer Sec-WebSocket-Key",
                has("Sec-WebSocket-Accept", value)
            ),
            Self::Subprotocol(value) => format!(
                "status 101: Sec-WebSocket-Protocol {} is not one subprotocol that was offered",
                quoted(value)
            ),
            Self::Extensions(value) => format!(
                "status 101: Sec-WebSocket-Extensions {} were not offered",
                quoted(value)
            ),
            Self::Framing(fault) => {
                format!("the end of the refusal's body is not defined: {fault}")
            }
        }
    }
}

/// A value as a log line may show it.
fn shown(value: &str) -> String {
    let mut characters = value.chars().flat_map(char::escape_debug);
    let cut: String = characters.by_ref().take(MAX_SHOWN).collect();
    let more = if characters.next().is_some() {
        "…"
    } else {
        ""
    };
    format!("{cut}{more}")
}

/// Checks an answer to the handshake with `key` and the fields `sent`.
pub(crate) fn judge(answer: &ResponseHead, key: &Key, sent: &HeaderMap) -> Verdict {
    let fault = match answer.status {
        101 if answer.version == Version::Http10 => Some(Fault::Version),
        101 => fault(&answer.headers, key, sent),
        300.. => match body::framing(answer) {
            Ok(_) => return Verdict::Refused,
            Err(fault) => Some(Fault::Framing(fault)),
        },
        status => Some(Fault::Status(status)),
    };
    fault.map_or(Verdict::Accepted, Verdict::Invalid)
}

/// What is wrong with a 101. It has no body, whatever its fields say (RFC 9112 §6.3).
fn fault(headers: &HeaderMap, key: &Key, sent: &HeaderMap) -> Option<Fault> {
    if !has_token(headers, &UPGRADE, "websocket") {
        return Some(Fault::Upgrade(value_of(headers, &UPGRADE)));
    }
    if !has_token(headers, &CONNECTION, "upgrade") {
        return Some(Fault::Connection(value_of(headers, &CONNECTION)));
    }
    let accept = only(headers, &SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|value| value.as_bytes() != key.accept().as_bytes()) {
        return Some(Fault::Accept(value_of(headers, &SEC_WEBSOCKET_ACCEPT)));
    }
    if let Some(value) = value_of(headers, &SEC_WEBSOCKET_PROTOCOL) {
        let chosen = only(headers, &SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
        let offers = || list_members(sent, &SEC_WEBSOCKET_PROTOCOL);
        if !chosen.is_some_and(|chosen| offers().any(|offer| offer == chosen.trim())) {
            // A backend that echoes the whole offer echoes a token in it.
            let tokens: Vec<_> = offers().filter(|o| o.len() > LONGEST_NAME).collect();
            return Some(Fault::Subprotocol(mask(&value, &tokens)));
        }
    }
    let names = |map| list_members(map, &SEC_WEBSOCKET_EXTENSIONS).map(extension_name);
    let was_offered = |name: &str| names(sent).any(|offer| offer.eq_ignore_ascii_case(name));
    let mut lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).into_iter();
    // The members of a line that is not text cannot be compared.
    if lines.any(|line| line.to_str().is_err()) || names(headers).any(|name| !was_offered(name)) {
        let value = value_of(headers, &SEC_WEBSOCKET_EXTENSIONS);
        return Some(Fault::Extensions(value.unwrap_or_default()));
    }
    None
}

/// All lines of a field as one text; `None` without any.
fn value_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines = headers.get_all(name).into_iter();
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(line.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn extension_name(member: &str) -> &str {
    member.split(';').next().unwrap_or(member).trim()
}

/// Is this field of the backend's answer passed on? Not fields of the connection, and not the body's framing,
/// which is our own. A 426 must say in `Upgrade` what is required (RFC 9110 §15.5.22).
pub(crate) fn is_passed_on(name: &HeaderName, status: u16) -> bool {
    !crate::head::ends_here(name)
        || name == http::header::SEC_WEBSOCKET_VERSION
        || (name == UPGRADE && status == 426)
}

#[cfg(test)]
mod tests;
