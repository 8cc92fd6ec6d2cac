//! A question for [`explain`](crate::explain): a handshake without a client.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A handshake to be evaluated without a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Question {
    /// `ws://` or `wss://`.
    pub url: String,
    /// Headers that the client sends besides those of every handshake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Subscription key, sent in the header that the API reads it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The client's address. Default: 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// Also ask the backend, and close the connection at once.
    #[serde(default)]
    pub dial: bool,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidQuestion {
    /// No `ws://` or `wss://` URL.
    #[error("\"{0}\" is not a ws:// or wss:// URL")]
    Url(String),
    /// A header that no client can send.
    #[error("\"{0}\" is not a header that can be sent")]
    Header(String),
    /// The question does not describe a valid request.
    #[error("this is not a valid request: {0}")]
    Request(String),
    /// No listener at all.
    #[error("the gateway has no listener")]
    NoListener,
}
