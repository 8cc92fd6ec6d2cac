//! Keeps the trace of a live handshake whose client asked for it.

use super::Server;
use super::admit::RoutedRequest;
use super::open::BackendAccepted;
use crate::exchange::steps::{fields, outcome_of};
use crate::refusal::Refusal;
use crate::telemetry::trace::{Access, Outcome, Route, TraceFrame, TraceRequested};

/// Stores the trace of an accepted handshake and adds its id to the answer.
pub(super) fn accepted(
    server: &Server,
    routed: &mut RoutedRequest,
    opened: &mut BackendAccepted,
    asked: TraceRequested,
) {
    if asked == TraceRequested::Granted {
        let headers = fields(&opened.answer);
        keep_trace(server, routed, Outcome::Accepted { headers });
    }
    if let Some((name, value)) = asked.header(&routed.exchange.id) {
        opened.answer.insert(name, value);
    }
}

/// Stores the trace of a refused handshake and adds its id to the answer.
pub(super) fn refused(
    server: &Server,
    routed: &mut RoutedRequest,
    refusal: &mut Refusal,
    asked: TraceRequested,
) {
    if asked == TraceRequested::Granted {
        let outcome = Outcome::Refused(outcome_of(refusal));
        keep_trace(server, routed, outcome);
    }
    refusal.headers.extend(asked.header(&routed.exchange.id));
}

fn keep_trace(server: &Server, routed: &mut RoutedRequest, outcome: Outcome) {
    let exchange = &mut routed.exchange;
    let frame = TraceFrame {
        route: Route::of(&routed.listener, exchange),
        access: Some(Access::of(exchange)),
        outcome,
    };
    let trace = frame.complete(exchange);
    tracing::info!(
        target: "tidegate::trace",
        event = "trace",
        id = trace.id,
        api = %exchange.api.key,
        subscription = exchange.subscription.as_ref().map(|s| tracing::field::display(&s.key)),
        steps = trace.steps.len(),
    );
    server.shared.traces.keep(&trace);
}
