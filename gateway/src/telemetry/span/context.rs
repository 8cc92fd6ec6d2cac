//! The header `traceparent` (W3C Trace Context, level 1). Pure but for random ids.

use http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanId, TraceFlags, TraceId};

use super::TRACEPARENT;
use crate::head::only;

/// Where a handshake stands in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) is_sampled: bool,
}

impl Context {
    /// What the client says of the trace it is part of, if it says so correctly.
    pub(super) fn parent(headers: &HeaderMap) -> Option<Self> {
        parse(only(headers, &TRACEPARENT)?.to_str().ok()?)
    }

    /// The first of a trace.
    pub(super) fn begin(percent: u8) -> Self {
        Self {
            trace_id: new_trace(),
            span_id: new_span(),
            parent: None,
            is_sampled: rand::random_range(0..100) < percent,
        }
    }

    /// Ours in the trace of `self`.
    pub(super) fn child(self) -> Self {
        Self {
            span_id: new_span(),
            parent: Some(self.span_id),
            ..self
        }
    }

    pub(super) fn flags(&self) -> TraceFlags {
        if self.is_sampled {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::NOT_SAMPLED
        }
    }

    /// Its `traceparent`.
    pub(super) fn header(&self) -> HeaderValue {
        let flags = self.flags().to_u8();
        let text = format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id);
        HeaderValue::try_from(text).expect("hexadecimal digits and hyphens are a field value")
    }
}

/// Not zero, which would be no id.
fn new_trace() -> TraceId {
    TraceId::from(rand::random::<u128>().max(1))
}

pub(super) fn new_span() -> SpanId {
    SpanId::from(rand::random::<u64>().max(1))
}

/// §3.2.2; a later version may have more behind the flags.
fn parse(text: &str) -> Option<Context> {
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let more = parts.next();
    let sizes = [(version, 2), (trace, 32), (span, 16), (flags, 2)];
    if !sizes
        .iter()
        .all(|(part, size)| part.len() == *size && is_hex(part))
        || version == "ff"
        || (version == "00" && more.is_some())
    {
        return None;
    }
    let trace_id = TraceId::from_hex(trace).ok()?;
    let span_id = SpanId::from_hex(span).ok()?;
    if trace_id == TraceId::INVALID || span_id == SpanId::INVALID {
        return None;
    }
    Some(Context {
        trace_id,
        span_id,
        parent: None,
        is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn only_a_valid_traceparent_is_a_parent() {
        for (name, text, sampled) in [
            ("sampled", format!("00-{TRACE}-{SPAN}-01"), Some(true)),
            ("not sampled", format!("00-{TRACE}-{SPAN}-00"), Some(false)),
            ("other flags", format!("00-{TRACE}-{SPAN}-fe"), Some(false)),
            (
                "later version",
                format!("cc-{TRACE}-{SPAN}-01-what"),
                Some(true),
            ),
            (
                "more in version 00",
                format!("00-{TRACE}-{SPAN}-01-what"),
                None,
            ),
            ("version ff", format!("ff-{TRACE}-{SPAN}-01"), None),
            (
                "upper case",
                format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
                None,
            ),
            ("no trace", format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            ("no span", format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            ("short", format!("00-{TRACE}-{SPAN}"), None),
            ("nothing", String::new(), None),
        ] {
            let found = parse(&text);
            assert_eq!(found.as_ref().map(|c| c.is_sampled), sampled, "{name}");
            assert!(
                found.is_none_or(|c| c.trace_id.to_string() == TRACE),
                "{name}"
            );
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_and_says_so() {
        let parent = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        let child = parent.child();
        assert_eq!(child.parent.unwrap().to_string(), SPAN);
        let again = parse(child.header().to_str().unwrap()).unwrap();
        assert_eq!(
            (again.trace_id, again.span_id),
            (child.trace_id, child.span_id)
        );
        assert_ne!(again.span_id.to_string(), SPAN);
        assert!(!Context::begin(0).is_sampled && Context::begin(100).is_sampled);
    }
}
