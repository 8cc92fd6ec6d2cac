//! Spans of handshakes and tunnels for OpenTelemetry, and the trace context that backends get (W3C
//! Trace Context). Without an endpoint in the Gateway's settings nothing is done or allocated.

mod context;
mod export;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tidegate_config::TraceExport;
use tokio::sync::mpsc;

use context::Context;
pub(crate) use export::Exports;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Numbers of exported and lost spans.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    pub(crate) exported: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// There was no room: the receiver is too slow.
    pub(crate) dropped: AtomicU64,
}

/// Decides which handshakes have spans, and takes them.
#[derive(Debug)]
pub(crate) struct Tracer {
    config: TraceExport,
    queue: mpsc::Sender<SpanData>,
    counts: Arc<SpanCounts>,
}

/// The spans of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Spans {
    context: Context,
    tracer: Arc<Tracer>,
}

/// A span that has ended.
pub(crate) struct FinishedSpan {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) attributes: Vec<KeyValue>,
    /// Why it failed, when it did.
    pub(crate) failure: Option<&'static str>,
}

impl Tracer {
    /// Is this where these spans go?
    pub(crate) fn is_of(&self, config: &TraceExport) -> bool {
        self.config == *config
    }

    /// Joins the client's trace or begins one, and tells the backend. `None`: not sampled.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: &HeaderMap,
        upstream: &mut HeaderMap,
    ) -> Option<Spans> {
        let context = match Context::parent(request) {
            // The caller that began the trace has decided on sampling.
            Some(parent) if !parent.is_sampled => return None,
            Some(parent) => parent.child(),
            None => {
                upstream.remove(TRACESTATE);
                Context::begin(self.config.sample_percent)
            }
        };
        upstream.insert(TRACEPARENT, context.header());
        let tracer = Arc::clone(self);
        context.is_sampled.then_some(Spans { context, tracer })
    }

    fn send(&self, span: SpanData) {
        if self.queue.try_send(span).is_err() {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Spans {
    /// The handshake is over.
    pub(crate) fn handshake(&self, span: FinishedSpan) {
        let Context {
            span_id, parent, ..
        } = self.context;
        self.send(span_id, parent, SpanKind::Server, span);
    }

    /// The tunnel is.
    pub(crate) fn tunnel(&self, span: FinishedSpan) {
        let parent = Some(self.context.span_id);
        self.send(context::new_span(), parent, SpanKind::Internal, span);
    }

    fn send(&self, id: SpanId, parent: Option<SpanId>, kind: SpanKind, span: FinishedSpan) {
        let end = SystemTime::now();
        let span_context = SpanContext::new(
            self.context.trace_id,
            id,
            self.context.flags(),
            false,
            TraceState::NONE,
        );
        self.tracer.send(SpanData {
            span_context,
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: parent.is_some() && kind == SpanKind::Server,
            span_kind: kind,
            name: span.name.into(),
            start_time: end.checked_sub(span.took).unwrap_or(end),
            end_time: end,
            attributes: span.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: InstrumentationScope::builder("tidegate").build(),
        });
    }
}
