//! Keeps the trace of a live handshake whose client asked for it.

use super::Server;
use super::admit::Visit;
use super::open::Opened;
use crate::exchange::steps::{fields, outcome_of};
use crate::refusal::Refusal;
use crate::telemetry::trace::{Access, Asked, Frame, Outcome, Route};

/// Keeps the trace of an accepted handshake, and tells the client which one it is.
pub(super) fn accepted(server: &Server, visit: &mut Visit, opened: &mut Opened, asked: Asked) {
    if asked == Asked::Granted {
        let headers = fields(&opened.answer);
        keep_trace(server, visit, Outcome::Accepted { headers });
    }
    if let Some((name, value)) = asked.header(&visit.exchange.id) {
        opened.answer.insert(name, value);
    }
}

/// The same for a refused one.
pub(super) fn refused(server: &Server, visit: &mut Visit, refusal: &mut Refusal, asked: Asked) {
    if asked == Asked::Granted {
        let outcome = Outcome::Refused(outcome_of(refusal));
        keep_trace(server, visit, outcome);
    }
    refusal.headers.extend(asked.header(&visit.exchange.id));
}

fn keep_trace(server: &Server, visit: &mut Visit, outcome: Outcome) {
    let exchange = &mut visit.exchange;
    let frame = Frame {
        route: Route::of(&visit.listener, exchange),
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
