//! From the admitted request to the backend's valid answer: inbound policies, the backend's own
//! handshake, outbound policies.

use http::HeaderMap;
use tidegate_config::{ApiConfig, ApiTimeouts};
use tokio::time::Instant;

use super::Server;
use super::admit::RoutedRequest;
use super::dial::{self, BackendAnswer, BackendLeg};
use super::timeouts::or_no_limit;
use crate::backend::{self, Verdict};
use crate::exchange::Destination;
use crate::exchange::upgrade;
use crate::head::ResponseHead;
use crate::refusal::{Body, Extent, Origin, Reason, Refusal};
use crate::telemetry::metrics::Phase;
use crate::telemetry::record::Record;

/// A backend that accepted the handshake.
pub(super) struct BackendAccepted {
    pub(super) leg: BackendLeg,
    /// Fields of the client's 101 besides our own.
    pub(super) answer: HeaderMap,
}

/// Runs the policies and asks the backend.
///
/// # Errors
/// The refusal, of a policy or of the backend.
pub(super) async fn open(
    server: &Server,
    routed: &mut RoutedRequest,
    record: &mut Record,
) -> Result<BackendAccepted, Refusal> {
    prepare(server, routed).await?;
    record.phase(Phase::Inbound);
    let BackendAnswer {
        leg,
        head: answer,
        verdict,
    } = dial::dial(server, routed, record).await?;
    if answer.status == 401 {
        let issued = &mut routed.exchange.evaluation.issued;
        issued.drain(..).for_each(|token| token.refused());
    }
    if let Verdict::Invalid(fault) = &verdict {
        routed.exchange.add_credentials();
        let detail = fault.text(|text| routed.exchange.masked(text));
        return Err(invalid_handshake(detail));
    }
    if verdict != Verdict::Refused {
        record.backend_accepted();
    }
    let RoutedRequest {
        api,
        product,
        exchange,
        ..
    } = routed;
    let pipeline = api.pipeline_in(product.as_deref());
    let services = &server.shared.services;
    pipeline.outbound(exchange, &answer, services).await?;
    if verdict == Verdict::Refused {
        return Err(Box::pin(refused(routed, leg, answer)).await);
    }
    let mut answer = passed_on(answer);
    exchange.answer.apply(&mut answer);
    Ok(BackendAccepted { leg, answer })
}

/// Runs everything that comes before the backend is asked; then its handshake is complete.
///
/// # Errors
/// The refusal of a policy, or if no offered subprotocol is allowed.
pub(super) async fn prepare(server: &Server, routed: &mut RoutedRequest) -> Result<(), Refusal> {
    let RoutedRequest {
        api,
        product,
        exchange,
        ..
    } = routed;
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

/// Deadline of a handshake that begins now.
fn deadline(api: &ApiConfig) -> Instant {
    let timeouts = api.timeouts.or(ApiTimeouts::DEFAULT);
    let timeout = timeouts.handshake_total.and_then(|total| total.enabled());
    Instant::now() + or_no_limit(timeout)
}

fn passed_on(answer: ResponseHead) -> HeaderMap {
    let ResponseHead {
        status, headers, ..
    } = answer;
    let mut passed = HeaderMap::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // The iterator gives a name only with its first value.
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

/// The backend's refusal as the client's answer. The unread part of its body is stored in `routed`.
async fn refused(routed: &mut RoutedRequest, leg: BackendLeg, answer: ResponseHead) -> Refusal {
    // An answer with wrong framing was rejected before.
    let framing = backend::body_framing(&answer).unwrap_or(backend::Framing::None);
    let begun = backend::begin_body(
        leg.transport,
        framing,
        leg.read_ahead,
        routed.api.max_answer_body,
    )
    .await;
    let extent = match &begun.remainder {
        None => Extent::Whole,
        Some(remainder) => Extent::Begins(remainder.length),
    };
    let message = "Backend refused the handshake";
    let reason = Reason::BackendRefused;
    let mut refusal = Refusal::new(answer.status, reason, Origin::Backend, message);
    refusal.detail = begun.remainder.as_ref().and_then(|remainder| {
        let cut = remainder.exceeds()?;
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
    routed.body = begun.remainder;
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
