//! One record per connection, exactly once: a line at the handshake's end and, when it was
//! accepted, one at the tunnel's end; and the metrics that go with them.
//!
//! The lines are events of the tracing target `tidegate::access`; their fields are described in
//! `docs/logs.md`. Keys, tokens and query values never get here: queries are masked on the way in.
//! A record that is dropped unfinished tells that, so that nothing ends unheard.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use tidegate_config::{ObjectKey, ProductConfig, SubscriptionConfig};

use crate::exchange::{Exchange, TlsInfo};
use crate::head::RequestHead;
use crate::metrics::{ApiMetrics, Direction, FrameKind, HandshakeResult, Metrics, Phase};
use crate::refusal::{Origin, Reason, Refusal};
use crate::relay::{CloseCause, Counts, Initiator, Meter, Outcome, Side};
use crate::snapshot::Api;

/// Longest text from a client in a line; more says nothing more.
const LONGEST_TEXT: usize = 1024;

/// What a line says of a request.
#[derive(Debug, Default)]
struct Seen {
    method: String,
    host: String,
    path: String,
    /// Names kept, values masked.
    query: Option<String>,
    user_agent: Option<String>,
}

/// What is known of a handshake while it lasts.
struct Handshake {
    metrics: Arc<Metrics>,
    started: Instant,
    phase_started: Instant,
    peer: SocketAddr,
    client: IpAddr,
    listener: Option<String>,
    tls: Option<TlsInfo>,
    seen: Seen,
    id: String,
    api: Option<Arc<Api>>,
    product: Option<Arc<ProductConfig>>,
    subscription: Option<Arc<SubscriptionConfig>>,
    backend: Option<String>,
}

/// The record of a handshake. It ends as [`Record::refused`], [`Record::accepted`] or
/// [`Record::unheard`]; dropped, as cut off.
pub(crate) struct Record(Option<Box<Handshake>>);

/// The record of a tunnel. It ends as [`TunnelRecord::closed`]; dropped, as cut.
pub(crate) struct TunnelRecord {
    started: Instant,
    /// `None` once it is told.
    who: Option<Who>,
}

/// Whose tunnel it is.
struct Who {
    id: String,
    client: IpAddr,
    api: Arc<Api>,
    product: Option<Arc<ProductConfig>>,
    subscription: Option<Arc<SubscriptionConfig>>,
}

impl Record {
    /// A connection came.
    pub(crate) fn begin(metrics: &Arc<Metrics>, peer: SocketAddr, at: Instant) -> Self {
        Self(Some(Box::new(Handshake {
            metrics: Arc::clone(metrics),
            started: at,
            phase_started: at,
            peer,
            client: peer.ip().to_canonical(),
            listener: None,
            tls: None,
            seen: Seen::default(),
            id: random_id(),
            api: None,
            product: None,
            subscription: None,
            backend: None,
        })))
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
                .metrics
                .handshake_phase(phase, now - known.phase_started);
            known.phase_started = now;
        });
    }

    /// The client speaks TLS.
    pub(crate) fn tls(&mut self, tls: &TlsInfo) {
        self.with(|known| known.tls = Some(tls.clone()));
    }

    /// The request is read.
    pub(crate) fn request(&mut self, head: &RequestHead, client: IpAddr) {
        self.with(|known| {
            known.client = client;
            known.seen = Seen::of(head);
        });
    }

    /// The listener and the API are found.
    pub(crate) fn route(&mut self, listener: &str, api: &Arc<Api>) {
        self.with(|known| {
            known.listener = Some(listener.to_owned());
            known.api = Some(Arc::clone(api));
        });
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
        self.with(|known| known.backend = Some(authority));
    }

    fn with(&mut self, change: impl FnOnce(&mut Handshake)) {
        if let Some(known) = &mut self.0 {
            change(known);
        }
    }

    /// The client went without a word, as health checks of load balancers do: no handshake.
    pub(crate) fn unheard(mut self) {
        self.0 = None;
    }

    /// It is over.
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
            id,
            client,
            api,
            product,
            subscription,
            ..
        } = *known;
        let api = api?;
        api.metrics.opened();
        let who = Who {
            id,
            client,
            api,
            product,
            subscription,
        };
        Some(TunnelRecord {
            started: Instant::now(),
            who: Some(who),
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

impl Handshake {
    fn accept(&self, answer: &HeaderMap) {
        self.count(HandshakeResult::Accepted, "");
        let subprotocol = answer
            .get(SEC_WEBSOCKET_PROTOCOL)
            .map(|value| text(value.as_bytes()));
        tracing::info!(
            target: "tidegate::access",
            event = "handshake",
            id = self.id,
            result = HandshakeResult::Accepted.as_str(),
            status = 101,
            api = self.api_key().map(tracing::field::display),
            product = self.product_key().map(tracing::field::display),
            subscription = self.subscription_key().map(tracing::field::display),
            listener = self.listener,
            client = %self.client,
            peer = %self.peer,
            tls = self.tls_version(),
            host = self.seen.host,
            path = self.seen.path,
            query = self.seen.query,
            user_agent = self.seen.user_agent,
            subprotocol,
            backend = self.backend,
            duration_ms = millis(self.started.elapsed()),
        );
    }

    fn refuse(&self, refusal: &Refusal) {
        let result = if refusal.reason.is_failure() {
            HandshakeResult::Failed
        } else {
            HandshakeResult::Refused
        };
        self.count(result, refusal.reason.as_str());
        tracing::info!(
            target: "tidegate::access",
            event = "handshake",
            id = self.id,
            result = result.as_str(),
            status = refusal.status,
            reason = refusal.reason.as_str(),
            source = refusal.origin.as_str(),
            step = refusal.step,
            message = refusal.message,
            detail = refusal.detail,
            api = self.api_key().map(tracing::field::display),
            product = self.product_key().map(tracing::field::display),
            subscription = self.subscription_key().map(tracing::field::display),
            listener = self.listener,
            client = %self.client,
            peer = %self.peer,
            tls = self.tls_version(),
            method = self.seen.method,
            host = self.seen.host,
            path = self.seen.path,
            query = self.seen.query,
            user_agent = self.seen.user_agent,
            backend = self.backend,
            duration_ms = millis(self.started.elapsed()),
        );
    }

    fn count(&self, result: HandshakeResult, reason: &'static str) {
        self.metrics.handshake(self.api_key(), result, reason);
        self.metrics
            .handshake_phase(Phase::Total, self.started.elapsed());
    }

    fn api_key(&self) -> Option<&ObjectKey> {
        self.api.as_ref().map(|api| &api.config.key)
    }

    fn product_key(&self) -> Option<&ObjectKey> {
        self.product.as_ref().map(|product| &product.key)
    }

    fn subscription_key(&self) -> Option<&ObjectKey> {
        self.subscription
            .as_ref()
            .map(|subscription| &subscription.key)
    }

    fn tls_version(&self) -> Option<&'static str> {
        self.tls.as_ref().map(|tls| tls.version)
    }
}

impl TunnelRecord {
    /// The tunnel ended.
    pub(crate) fn closed(mut self, outcome: &Outcome) {
        if let Some(who) = self.who.take() {
            who.close(outcome);
        }
    }
}

impl TunnelRecord {
    /// The client was gone before it had its answer.
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
        if let Some(who) = self.who.take() {
            who.close(&self.without_traffic(Initiator::Gateway, CloseCause::Cut));
        }
    }
}

impl Who {
    fn close(&self, outcome: &Outcome) {
        let initiator = outcome.initiator.as_str();
        self.api
            .metrics
            .closed(initiator, outcome.client_code, outcome.duration);
        let (up, down) = (&outcome.from_client, &outcome.from_backend);
        tracing::info!(
            target: "tidegate::access",
            event = "close",
            id = self.id,
            api = %self.api.config.key,
            product = self.product.as_ref().map(|product| tracing::field::display(&product.key)),
            subscription = self.subscription.as_ref().map(|s| tracing::field::display(&s.key)),
            client = %self.client,
            initiator,
            cause = outcome.cause.as_str(),
            client_code = outcome.client_code,
            backend_code = outcome.backend_code,
            close_reason = outcome.reason,
            duration_ms = millis(outcome.duration),
            from_client_messages = up.text + up.binary,
            from_client_bytes = up.bytes,
            from_backend_messages = down.text + down.binary,
            from_backend_bytes = down.bytes,
        );
    }
}

impl Meter for ApiMetrics {
    fn passed(&self, sender: Side, more: &Counts) {
        let direction = match sender {
            Side::Client => Direction::ToBackend,
            Side::Backend => Direction::ToClient,
        };
        let Counts {
            text,
            binary,
            fragments,
            pings,
            pongs,
            closes,
            bytes,
        } = *more;
        for (kind, count) in [
            (FrameKind::Text, text),
            (FrameKind::Binary, binary),
            (FrameKind::Fragment, fragments),
            (FrameKind::Ping, pings),
            (FrameKind::Pong, pongs),
            (FrameKind::Close, closes),
        ] {
            if count > 0 {
                self.messages(direction, kind, count);
            }
        }
        self.bytes(direction, bytes);
    }
}

impl Seen {
    fn of(head: &RequestHead) -> Self {
        let user_agent = head.headers.get(USER_AGENT);
        Self {
            method: head.method.as_str().to_owned(),
            host: text(head.host.as_bytes()),
            path: text(head.path.as_bytes()),
            query: head.raw_query.as_deref().map(masked),
            user_agent: user_agent.map(|value| text(value.as_bytes())),
        }
    }
}

/// A version 4 UUID from this thread's generator, which saves the system call that the library's
/// own makes.
fn random_id() -> String {
    let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
    id.to_string()
}

/// A query with `***` for each value.
fn masked(query: &str) -> String {
    let mut out = String::new();
    for part in query.split('&') {
        if out.len() > LONGEST_TEXT {
            break;
        }
        if !out.is_empty() {
            out.push('&');
        }
        // A part without `=` may be a value as well as a name.
        match part.split_once('=') {
            Some((name, _)) => {
                out.push_str(&text(name.as_bytes()));
                out.push_str("=***");
            }
            None if part.is_empty() => {}
            None => out.push_str("***"),
        }
    }
    out
}

/// What a client sent, as text of bounded length.
fn text(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LONGEST_TEXT)];
    String::from_utf8_lossy(cut).into_owned()
}

/// Milliseconds with microseconds behind the point.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
