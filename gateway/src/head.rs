//! Heads of HTTP messages: reading, parsing, writing, and which fields are not forwarded.

mod http2;
mod parse;
pub(crate) mod proxy_header;
mod read;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use http::{HeaderMap, HeaderName, Method};
pub(crate) use write::put_field;

pub(crate) use http2::from_http2;
pub(crate) use parse::{host_of, parse_request, parse_response};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use read::read_response;
pub(crate) use read::{HeadLimits, ReadHead, ReadHeadError, read_final_response, read_request};

/// The request head of a handshake, as the client sent it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Raw path, never decoded, always with a leading `/`.
    pub(crate) path: String,
    /// Raw query without the `?`; `None` when there was no `?`.
    pub(crate) raw_query: Option<String>,
    pub(crate) version: Version,
    /// The host asked for: lower case, without port.
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
}

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
    Http2 {
        /// Is it an extended CONNECT for a WebSocket (RFC 8441 §4)?
        websocket: bool,
    },
}

impl Version {
    /// As logs have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 { .. } => "2",
        }
    }
}

/// The head of a backend's answer.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    /// HTTP/1.0 is an answer like any other (RFC 9110 §2.5), except to a request for an upgrade that
    /// it grants.
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

/// Why bytes are not a head that we accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHead {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the fields take more than limits.maxHeaderBytes")]
    TooLarge,
    #[error("there are more than 100 fields")]
    TooManyFields,
    #[error("the URL is longer than limits.maxUrlBytes")]
    UrlTooLong,
    #[error("it takes more than limits.maxResponseHeaderBytes ({0} bytes)")]
    AnswerTooLarge(usize),
}

/// Does this field concern one connection only, or belong to the handshake itself? Then it is
/// never passed on. The list is ours alone: what a peer names in `Connection` is not removed,
/// for a client could name a field away that a policy or a proxy before us has set
/// (RFC 9110 §7.6.1 leaves room for that: we are the recipient of the client's handshake).
pub(crate) fn ends_here(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "content-length"
            | "expect"
            | "host"
            | "http2-settings"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "sec-websocket-accept"
            | "sec-websocket-key"
            | "sec-websocket-version"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Is this client's field passed on to the backend? What ends here is not; nor is a name with an
/// underscore, as with nginx: a backend that turns `-` into `_` (CGI, WSGI) could not tell it from
/// the field that we set, checked or removed.
pub(crate) fn is_forwarded(name: &HeaderName) -> bool {
    !ends_here(name) && !name.as_str().contains('_')
}

/// All members of a comma-separated field, over all its lines (RFC 9110 §5.6.1). A line that is
/// not text has none.
pub(crate) fn list_members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
}

/// Is `token` among the members of the field, in whatever case?
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list_members(headers, name).any(|member| member.eq_ignore_ascii_case(token))
}

/// The only line of a field; `None` when there is none or more than one.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a http::HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}
