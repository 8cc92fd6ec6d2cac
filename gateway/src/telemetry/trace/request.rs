//! Traces of live handshakes, on request: the client needs the key of a subscription that allows it. The header
//! is Azure API Management's, so that existing clients work unchanged.

use http::{HeaderName, HeaderValue};

use crate::exchange::Exchange;

/// Asks for a trace, when `true`.
const ASKS: HeaderName = HeaderName::from_static("ocp-apim-trace");

/// Under which id the trace is kept.
const TRACE_ID: HeaderName = HeaderName::from_static("tidegate-trace-id");

/// Why there is none.
const TRACE: HeaderName = HeaderName::from_static("tidegate-trace");

const NOT_ALLOWED: HeaderValue = HeaderValue::from_static("not-allowed");

/// Was a trace requested, and is it allowed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TraceRequested {
    /// Not requested.
    No,
    /// The subscription does not allow it.
    Denied,
    /// Steps are recorded.
    Granted,
}

impl TraceRequested {
    /// The header of the answer.
    pub(crate) fn header(self, id: &str) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::No => None,
            Self::Denied => Some((TRACE, NOT_ALLOWED)),
            Self::Granted => Some((TRACE_ID, HeaderValue::from_str(id).ok()?)),
        }
    }
}

/// Begins to record if the client requests it and is allowed to. Call it once access is decided. The header is
/// removed from the backend's handshake.
pub(crate) fn begin(exchange: &mut Exchange) -> TraceRequested {
    match exchange.upstream.headers.remove(ASKS) {
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"true") => {}
        _ => return TraceRequested::No,
    }
    let subscription = exchange.subscription.as_ref();
    if !subscription.is_some_and(|subscription| subscription.allow_tracing) {
        return TraceRequested::Denied;
    }
    exchange.evaluation.trace = Some(Vec::new());
    TraceRequested::Granted
}
