//! From the admitted request to the backend's valid answer: inbound policies, the backend's own
//! handshake, outbound policies.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_config::{ApiConfig, ApiTimeouts};
use tokio::time::Instant;

use super::Server;
use super::admit::Visit;
use super::reach::{self, Reached};
use crate::backend::{self, Seat, Verdict};
use crate::exchange::Destination;
use crate::exchange::upgrade;
use crate::head::ResponseHead;
use crate::refusal::{Body, Extent, Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;
use tidegate_tunnel::transport::Transport;

/// Instead of no deadline at all: every wait has an end.
const NO_HURRY: Duration = Duration::from_secs(3600);

/// A backend that has agreed.
pub(super) struct Opened {
    pub(super) backend: Transport,
    /// What came behind its answer.
    pub(super) rest: Bytes,
    /// Fields of the client's 101 besides our own.
    pub(super) answer: HeaderMap,
    /// Its place among the tunnels of a member of the pool.
    pub(super) seat: Option<Seat>,
}

/// Asks the policies and the backend.
pub(super) async fn open(
    server: &Server,
    visit: &mut Visit,
    record: &mut Record,
) -> Result<Opened, Refusal> {
    prepare(server, visit).await?;
    record.phase(Phase::Inbound);
    let Reached {
        backend,
        answer,
        rest,
        verdict,
        seat,
    } = reach::reach(server, visit, record).await?;
    if answer.status == 401 {
        let issued = &mut visit.exchange.evaluation.issued;
        issued.drain(..).for_each(|token| token.refused());
    }
    if let Verdict::Invalid(fault) = &verdict {
        visit.exchange.add_credentials();
        let detail = fault.text(|text| visit.exchange.masked(text));
        return Err(invalid_handshake(detail));
    }
    if verdict != Verdict::Refused {
        record.backend_accepted();
    }
    let Visit {
        api,
        product,
        exchange,
        ..
    } = visit;
    let pipeline = api.pipeline_in(product.as_deref());
    let services = &server.shared.services;
    pipeline.outbound(exchange, &answer, services).await?;
    if verdict == Verdict::Refused {
        return Err(Box::pin(refused(visit, backend, answer, rest)).await);
    }
    let mut answer = passed_on(answer);
    exchange.answer.apply(&mut answer);
    Ok(Opened {
        backend,
        rest,
        answer,
        seat,
    })
}

/// Everything before the backend is asked: afterwards its handshake is ready.
pub(super) async fn prepare(server: &Server, visit: &mut Visit) -> Result<(), Refusal> {
    let Visit {
        api,
        product,
        exchange,
        ..
    } = visit;
    let pipeline = api.pipeline_in(product.as_deref());
    exchange.evaluation.deadline = Some(deadline(&api.config));
    pipeline.inbound(exchange, &server.shared.services).await?;
    let template = api.host_header.as_ref();
    let template = template.filter(|template| template.literal().is_none());
    if exchange.upstream.destination() != Destination::Elsewhere
        && let Some(template) = template
    {
        let host = pipeline.host_header(template, exchange)?;
        exchange.upstream.host_header = Some(host);
    }
    if let Some(allowed) = &api.config.subprotocols {
        upgrade::filter_subprotocols(&mut exchange.upstream.headers, allowed)?;
    }
    Ok(())
}

/// When a handshake must be decided that begins now.
fn deadline(api: &ApiConfig) -> Instant {
    let timeouts = api.timeouts.or(ApiTimeouts::DEFAULT);
    let patience = timeouts.handshake_total.and_then(|total| total.enabled());
    Instant::now() + patience.unwrap_or(NO_HURRY)
}

fn passed_on(answer: ResponseHead) -> HeaderMap {
    let ResponseHead {
        status, headers, ..
    } = answer;
    let mut passed = HeaderMap::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // A name comes with its first value only.
        last = name.or(last);
        if let Some(name) = last
            .as_ref()
            .filter(|name| backend::is_passed_on(name, status))
        {
            passed.append(name, value);
        }
    }
    passed
}

/// The backend's own answer, as the client's. What is still to come of its body waits at the visit.
async fn refused(
    visit: &mut Visit,
    backend: Transport,
    answer: ResponseHead,
    rest: Bytes,
) -> Refusal {
    // Judged before: an answer whose framing is wrong is invalid.
    let framing = backend::body_framing(&answer).unwrap_or(backend::Framing::None);
    let begun = backend::begin_body(backend, framing, rest, visit.api.max_answer_body).await;
    let extent = match &begun.rest {
        None => Extent::Whole,
        Some(rest) => Extent::Begins(rest.length),
    };
    let message = "Backend refused the handshake";
    let reason = Reason::BackendRefused;
    let mut refusal = Refusal::new(answer.status, reason, Origin::Backend, message);
    refusal.detail = begun.rest.as_ref().and_then(|rest| {
        let cut = rest.exceeds()?;
        Some(format!("the body is cut: {cut}"))
    });
    let mut last = None;
    for (name, value) in passed_on(answer) {
        last = name.or(last);
        if let Some(name) = &last {
            refusal.headers.push((name.clone(), value));
        }
    }
    refusal.body = Some(Box::new(Body {
        content_type: None,
        bytes: begun.bytes,
        extent,
    }));
    visit.body = begun.rest;
    refusal
}

pub(super) fn invalid_handshake(detail: String) -> Refusal {
    let message = "Backend handshake is invalid";
    Refusal::new(
        502,
        Reason::BackendInvalidHandshake,
        Origin::Backend,
        message,
    )
    .detail(detail)
}
