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
use crate::dial::{self, Seat, Verdict};
use crate::head::ResponseHead;
use crate::metrics::Phase;
use crate::record::Record;
use crate::refusal::{Body, Origin, Reason, Refusal};
use crate::transport::Transport;
use crate::upgrade;

/// How long the body of a refusal may take once its head is there: it explains, and the client
/// waits for it.
const BODY_PATIENCE: Duration = Duration::from_secs(2);

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
        mut backend,
        answer,
        rest,
        verdict,
        seat,
    } = reach::reach(server, visit, record).await?;
    if answer.status == 401 {
        let issued = &mut visit.exchange.evaluation.issued;
        issued.drain(..).for_each(|token| token.refused());
    }
    if let Verdict::Invalid(fault) = verdict {
        return Err(invalid_handshake(format!(
            "status {}: {fault}",
            answer.status
        )));
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
        let reading = dial::read_body(&mut backend, &answer, rest, BODY_PATIENCE);
        let body = Box::pin(reading).await;
        return Err(refused(answer, body));
    }
    let mut answer = passed_on(answer.headers);
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

fn passed_on(headers: HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    let mut last = None;
    for (name, value) in headers {
        // A name comes with its first value only.
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| dial::is_passed_on(name)) {
            passed.append(name, value);
        }
    }
    passed
}

/// The backend's own answer, as the client's.
fn refused(answer: ResponseHead, bytes: Bytes) -> Refusal {
    let message = "Backend refused the handshake";
    let mut refusal = Refusal::new(
        answer.status,
        Reason::BackendRefused,
        Origin::Backend,
        message,
    );
    let mut last = None;
    for (name, value) in passed_on(answer.headers) {
        last = name.or(last);
        if let Some(name) = &last {
            refusal.headers.push((name.clone(), value));
        }
    }
    refusal.body = Some(Box::new(Body {
        content_type: None,
        bytes,
    }));
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
