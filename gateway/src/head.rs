//! Heads of HTTP/1.1 messages: what they are, and nothing about where they come from.

use http::{HeaderMap, Method};

/// The request head of a handshake, as the client sent it.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    /// Raw path, never decoded, always with a leading `/`.
    pub(crate) path: String,
    /// Raw query without the `?`; `None` when there was no `?`.
    pub(crate) raw_query: Option<String>,
    /// Minor version: 0 or 1.
    pub(crate) minor_version: u8,
    pub(crate) headers: HeaderMap,
}

/// The head of a backend's answer.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}
