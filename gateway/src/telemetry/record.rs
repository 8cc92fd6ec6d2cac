//! One record per connection, exactly once: a line at the handshake's end and, when it was
//! accepted, one at the tunnel's end; and the metrics that go with them.
//!
//! The lines are events of the tracing target `tidegate::access`; their fields are described in
//! `docs/logs.md`. Keys, tokens and query values never get here: queries are masked on the way in.
//! A record that is dropped before its end is logged as cut off, so that no connection is missing.

mod access_log;
mod lifecycle;
mod line;
mod recorder;
mod spans;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use tidegate_config::{ProductConfig, SubscriptionConfig};
use uuid::Uuid;

use crate::exchange::{Exchange, TlsInfo};
use crate::head::RequestHead;
use crate::refusal::{Origin, Reason, Refusal};
use crate::telemetry::metrics::{ApiMetrics, Direction, MessageCounters, Phase};
use crate::telemetry::span::Spans;
use lifecycle::Stage;
use line::RequestSummary;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::relay::{Counts, Initiator, Meter, Outcome, Side};

pub(crate) use access_log::{AccessLog, REFUSAL_LINE, REFUSAL_TEXT_LINE, TEXT_LINE};
pub(crate) use recorder::Recorder;

/// What is known of a handshake while it lasts.
struct Handshake {
    recorder: Arc<Recorder>,
    started: Instant,
    phase_started: Instant,
    peer: SocketAddr,
    client: IpAddr,
    listener: Option<String>,
    tls: Option<TlsInfo>,
    request: RequestSummary,
    uuid: Uuid,
    /// The same as text.
    id: String,
    api: Option<Arc<ApiMetrics>>,
    product: Option<Arc<ProductConfig>>,
    subscription: Option<Arc<SubscriptionConfig>>,
    backend: Option<String>,
    /// Boxed, because most have none.
    spans: Option<Box<Spans>>,
}

/// The record of a handshake. It ends as [`Record::refused`], [`Record::accepted`] or
/// [`Record::closed_without_request`]; dropped, as cut off.
pub(crate) struct Record(Option<Box<Handshake>>);

/// The record of a tunnel. It ends as [`TunnelRecord::closed`]; dropped, as cut.
pub(crate) struct TunnelRecord {
    started: Instant,
    /// `None` once it is recorded.
    tunnel: Option<TunnelInfo>,
}

/// What the record of a tunnel names.
struct TunnelInfo {
    recorder: Arc<Recorder>,
    id: Uuid,
    client: IpAddr,
    api: Arc<ApiMetrics>,
    product: Option<Arc<ProductConfig>>,
    subscription: Option<Arc<SubscriptionConfig>>,
    spans: Option<Box<Spans>>,
}

impl Record {
    /// A connection came.
    pub(crate) fn begin(recorder: &Arc<Recorder>, peer: SocketAddr, at: Instant) -> Self {
        let uuid = random_id();
        Self(Some(Box::new(Handshake {
            recorder: Arc::clone(recorder),
            started: at,
            phase_started: at,
            peer,
            client: peer.ip().to_canonical(),
            listener: None,
            tls: None,
            request: RequestSummary::default(),
            uuid,
            id: uuid.to_string(),
            api: None,
            product: None,
            subscription: None,
            backend: None,
            spans: None,
        })))
    }

    /// A record that records nothing, for dry runs.
    pub(crate) fn silent() -> Self {
        Self(None)
    }

    /// The connection's id, as policies, backends and logs know it.
    pub(crate) fn id(&self) -> &str {
        self.0.as_ref().map_or("", |known| &known.id)
    }

    /// A part of the handshake is over.
    pub(crate) fn phase(&mut self, phase: Phase) {
        self.with(|known| {
            let now = Instant::now();
            known
                .recorder
                .metrics
                .handshake_phase(phase, now - known.phase_started);
            known.phase_started = now;
        });
    }

    /// A trusted proxy has named the client.
    pub(crate) fn client(&mut self, client: IpAddr) {
        self.with(|known| known.client = client);
    }

    /// The client speaks TLS.
    pub(crate) fn tls(&mut self, tls: &TlsInfo) {
        self.with(|known| known.tls = Some(tls.clone()));
    }

    /// The request is read.
    pub(crate) fn request(&mut self, head: &RequestHead, client: IpAddr) {
        self.with(|known| {
            known.client = client;
            known.request = RequestSummary::of(head);
            Stage::HandshakeReceived.tell(&known.id, None);
        });
    }

    /// The listener and the API are found.
    pub(crate) fn route(&mut self, listener: &str, api: &Arc<ApiMetrics>) {
        self.with(|known| {
            known.listener = Some(listener.to_owned());
            known.api = Some(Arc::clone(api));
        });
    }

    /// It is part of a trace.
    pub(crate) fn spans(&mut self, spans: Option<Spans>) {
        self.with(|known| known.spans = spans.map(Box::new));
    }

    /// Access is granted, and by what.
    pub(crate) fn access(&mut self, exchange: &Exchange) {
        self.with(|known| {
            known.product.clone_from(&exchange.product);
            known.subscription.clone_from(&exchange.subscription);
        });
    }

    /// This is the backend.
    pub(crate) fn backend(&mut self, authority: String) {
        self.with(|known| {
            Stage::BackendConnecting.tell(&known.id, Some(&authority));
            known.backend = Some(authority);
        });
    }

    /// The client gets the answer of this backend, which was asked before others.
    pub(crate) fn answered_by(&mut self, authority: String) {
        self.with(|known| known.backend = Some(authority));
    }

    /// The backend accepted the handshake.
    pub(crate) fn backend_accepted(&mut self) {
        self.with(|known| Stage::BackendAccepted.tell(&known.id, known.backend.as_deref()));
    }

    fn with(&mut self, change: impl FnOnce(&mut Handshake)) {
        if let Some(known) = &mut self.0 {
            change(known);
        }
    }

    /// The client closed without a request, as health checks of load balancers do: nothing is recorded.
    pub(crate) fn closed_without_request(mut self) {
        self.0 = None;
    }

    /// The handshake was refused.
    pub(crate) fn refused(mut self, refusal: &Refusal) {
        if let Some(known) = self.0.take() {
            known.refuse(refusal);
        }
    }

    /// It is a tunnel now. `None` only for a handshake without API, which cannot be accepted.
    pub(crate) fn accepted(mut self, answer: &HeaderMap) -> Option<TunnelRecord> {
        let known = self.0.take()?;
        known.accept(answer);
        let Handshake {
            recorder,
            uuid,
            client,
            api,
            product,
            subscription,
            spans,
            ..
        } = *known;
        let api = api?;
        api.opened();
        let tunnel = TunnelInfo {
            recorder,
            id: uuid,
            client,
            api,
            product,
            subscription,
            spans,
        };
        Some(TunnelRecord {
            started: Instant::now(),
            tunnel: Some(tunnel),
        })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(known) = self.0.take() {
            let message = "Gateway is going away";
            known.refuse(&Refusal::new(503, Reason::CutOff, Origin::Gateway, message));
        }
    }
}

impl TunnelRecord {
    /// The tunnel ended.
    pub(crate) fn closed(mut self, outcome: &Outcome) {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.close(outcome);
        }
    }
}

impl TunnelRecord {
    /// The client left before it got its answer.
    pub(crate) fn lost(self) {
        let outcome = self.without_traffic(Initiator::Client, CloseCause::ClientLost);
        self.closed(&outcome);
    }

    fn without_traffic(&self, initiator: Initiator, cause: CloseCause) -> Outcome {
        Outcome {
            initiator,
            cause,
            client_code: None,
            backend_code: None,
            reason: String::new(),
            from_client: Counts::default(),
            from_backend: Counts::default(),
            duration: self.started.elapsed(),
        }
    }
}

impl Drop for TunnelRecord {
    fn drop(&mut self) {
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.close(&self.without_traffic(Initiator::Gateway, CloseCause::Cut));
        }
    }
}

impl Meter for MessageCounters {
    fn passed(&self, sender: Side, more: &Counts) {
        let direction = match sender {
            Side::Client => Direction::ToBackend,
            Side::Backend => Direction::ToClient,
        };
        self.count(direction, more);
    }
}

/// A version 4 UUID from this thread's generator, which saves the system call that the library's
/// own makes.
pub(crate) fn random_id() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}
