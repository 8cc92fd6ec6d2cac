//! One handshake from the accepted socket to the tunnel, or to the refusal.
//!
//! The order is that of `docs/architecture.md`: `receive` (PROXY header, TLS, request head), `admit`
//! (route, upgrade, limits, access), `open` (inbound policies, backend, outbound policies), the 101
//! (200 over HTTP/2). The client gets a 101 only if the backend gave one, and the backend gets the
//! client's bytes only after that. This module contains no policies: it calls the other modules in turn.

mod admit;
mod connection_info;
mod dial;
mod establish;
mod explain;
mod forward;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http2;
mod open;
mod question;
mod rate;
mod receive;
mod send_refusal;
mod shared;
mod timeouts;
mod traced;
mod while_connected;

use std::pin::pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use http::HeaderValue;
use http::header::RETRY_AFTER;
use prometheus::IntGauge;

use crate::backend::Resolver;
use crate::configuration::snapshot::Snapshot;
use crate::connections::{Accepted, LoadGuard, SlotGuard};
use crate::exchange::Exchange;
use crate::exchange::access;
use crate::head::RequestHead;
use crate::policy::count_unanswered;
use crate::refusal::{Extent, Origin, Reason, Refusal};
use crate::telemetry::record::Record;
use crate::telemetry::trace::{self, TraceRequested};
use admit::{Admission, IncomingRequest, RoutedRequest};
use connection_info::ConnectionInfo;
use establish::{OpenTunnel, establish};
pub(crate) use explain::Explainer;
pub use question::{InvalidQuestion, Question};
use rate::HandshakeRate;
use receive::{NotReceived, Received};
use send_refusal::BodySent;
pub(crate) use shared::Shared;
use tidegate_tunnel::close_cause::CloseCause;
use tidegate_tunnel::session::{Session, SessionInfo};
use tidegate_tunnel::transport::Transport;

/// A draining pod already has a successor: the client can retry at once.
const RETRY_WHEN_DRAINING: HeaderValue = HeaderValue::from_static("1");

/// Long enough for the handshakes of the current second to be decided.
const RETRY_WHEN_BUSY: HeaderValue = HeaderValue::from_static("2");

/// What all connections of a gateway share.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    resolver: Resolver,
    rate: HandshakeRate,
}

impl Server {
    /// Create one per gateway.
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let admin_ports = shared.services.guard.admin_ports();
        Self {
            resolver: Resolver::away_from(admin_ports),
            shared,
            rate: HandshakeRate::default(),
        }
    }
}

/// A connection in the gauge until dropped.
struct Active(IntGauge);

/// What a connection has become after its first request, or instead of it.
enum Served {
    Tunnel(Box<OpenTunnel>),
    Http2(Arc<Server>, Box<http2::Connection>),
}

/// Serves one accepted connection to its end.
pub(crate) fn serve_connection(
    server: Arc<Server>,
    accepted: Accepted,
    load_guard: LoadGuard,
) -> impl Future<Output = ()> + Send {
    let active = Active::new(&server.shared.metrics.connections_active);
    // Boxed, because a handshake's state is large and must not live on in an idle tunnel's task.
    let beginning = Box::pin(begin(server, accepted));
    async move {
        let (slot, served) = beginning.await;
        match served {
            Some(Served::Tunnel(mut tunnel)) => {
                tunnel.held.leave_slot();
                drop(slot);
                tunnel.run().await;
            }
            Some(Served::Http2(server, connection)) => {
                Box::pin(http2::serve(server, *connection, load_guard.clone())).await;
                drop(slot);
            }
            None => drop(slot),
        }
        drop((active, load_guard));
    }
}

/// Reads the first request of a connection and decides it. `None`: there is no tunnel, and the record
/// says why.
async fn begin(server: Arc<Server>, accepted: Accepted) -> (SlotGuard, Option<Served>) {
    let Accepted {
        socket,
        peer,
        port,
        slot: guard,
        at,
    } = accepted;
    let slot = Arc::clone(guard.slot());
    let mut record = Record::begin(&server.shared.recorder, peer, at);
    let connection = ConnectionInfo::new(peer, port, Arc::clone(&slot));
    let received = tokio::select! {
        biased;
        received = receive::receive_request(&server, (socket, at), connection, &mut record) => received,
        () = slot.evicted() => Err(NotReceived::Closed),
    };
    let served = match received {
        Ok(Received::Request(request)) => {
            let (client, head) = *request;
            // The connection may be older than the configuration that decides its request.
            let snapshot = server.shared.snapshot.load_full();
            let tunnel = handshake(&server, &snapshot, client, head, record).await;
            tunnel.map(Served::Tunnel)
        }
        Ok(Received::Http2(mut connection)) => {
            connection.record = Some(record);
            Some(Served::Http2(server, connection))
        }
        Err(NotReceived::Closed) => {
            record.closed_without_request();
            None
        }
        Err(NotReceived::Lost(refusal)) => {
            record.refused(&refusal);
            None
        }
        Err(NotReceived::Refused(client, refusal)) => {
            record.refused(&refusal);
            send_refusal::send(client, &slot, &refusal).await;
            None
        }
    };
    (guard, served)
}

/// The client's leg, where it comes from, and its bytes behind the request head.
struct Client {
    leg: Transport,
    connection: ConnectionInfo,
    read_ahead: BytesMut,
}

/// Decides one request. `None`: there is no tunnel, and the record says why.
async fn handshake(
    server: &Server,
    snapshot: &Snapshot,
    mut client: Client,
    head: RequestHead,
    mut record: Record,
) -> Option<Box<OpenTunnel>> {
    let connection = &mut client.connection;
    let peer = connection.peer(snapshot);
    let address = snapshot.trusted_proxies.client(peer, &head.headers);
    record.request(&head, address.ip());
    let incoming = IncomingRequest {
        id: record.id().to_owned(),
        request: head,
        peer,
        address,
        tls: connection.tls.take(),
    };
    let routed = ready(server, snapshot)
        .and_then(|()| connection.port(snapshot))
        .and_then(|port| admit::route(snapshot, port, incoming))
        .and_then(|routed| {
            record.route(&routed.listener, &routed.api.metrics);
            // Before any policy, those of onError as well: what they send may be what leads back.
            snapshot.hop.check(&routed.exchange.request.headers)?;
            Ok(Box::new(routed))
        });
    match routed {
        Ok(mut routed) => {
            join_trace(snapshot, &mut routed.exchange, &mut record);
            decide(server, snapshot, routed, client, record).await
        }
        Err(refusal) => {
            record.refused(&refusal);
            let slot = &client.connection.slot;
            send_refusal::send(client.leg, slot, &refusal).await;
            None
        }
    }
}

/// Makes the handshake part of a trace, where spans go anywhere.
fn join_trace(snapshot: &Snapshot, exchange: &mut Exchange, record: &mut Record) {
    if let Some(tracer) = &snapshot.tracer {
        let headers = &mut exchange.upstream.headers;
        record.spans(tracer.begin(&exchange.request.headers, headers));
    }
}

/// Does the gateway accept new handshakes now?
fn ready(server: &Server, snapshot: &Snapshot) -> Result<(), Refusal> {
    draining(server)?;
    let limit = snapshot.settings.limits.max_handshakes_per_second;
    if !server.rate.admit(limit, unix_seconds().unsigned_abs()) {
        let message = "Too many handshakes";
        let reason = Reason::HandshakeRateExceeded;
        return Err(Refusal::new(503, reason, Origin::Gateway, message)
            .header(RETRY_AFTER, RETRY_WHEN_BUSY));
    }
    Ok(())
}

fn draining(server: &Server) -> Result<(), Refusal> {
    if server.shared.drain.is_asked() {
        let message = "Gateway is draining";
        return Err(
            Refusal::new(503, Reason::Draining, Origin::Gateway, message)
                .header(RETRY_AFTER, RETRY_WHEN_DRAINING),
        );
    }
    Ok(())
}

/// From the route to the tunnel.
async fn decide(
    server: &Server,
    snapshot: &Snapshot,
    mut routed: Box<RoutedRequest>,
    mut client: Client,
    mut record: Record,
) -> Option<Box<OpenTunnel>> {
    let mut asked = TraceRequested::No;
    let mut admission = None;
    let opened = match admit::admit(server, snapshot, &mut routed, Some(&client.connection.slot)) {
        Err(refusal) => Err(refusal),
        Ok(admitted) => {
            admission = Some(admitted);
            record.access(&routed.exchange);
            asked = trace::begin(&mut routed.exchange);
            let opening = pin!(open::open(server, &mut routed, &mut record));
            while_connected::while_connected(&mut client.leg, &mut client.read_ahead, opening)
                .await
                .unwrap_or_else(|gone| Err(gone.into()))
        }
    };
    let opened = opened.and_then(|opened| {
        let admission = admission.as_ref();
        let key_hash = admission.and_then(|admission| admission.key_hash.clone());
        Ok((opened, enter(server, snapshot, &routed, key_hash)?))
    });
    match opened {
        Ok((mut opened, session)) => {
            traced::accepted(server, &mut routed, &mut opened, asked);
            let granted = (admission?, opened, session);
            establish(server, routed, client, granted, record).await
        }
        Err(refusal) if refusal.reason == Reason::ClientGone => {
            // The handshake counts, although the client did not wait for the answer.
            let services = &server.shared.services;
            Box::pin(count_unanswered(&mut routed.exchange, services)).await;
            record.refused(&refusal);
            None
        }
        Err(refusal) => {
            // Released before the answer is sent: sending waits for the client.
            routed.exchange.evaluation.reservations.clear();
            routed.exchange.evaluation.leases.clear();
            let mut refusal = Box::pin(refuse(server, &mut routed, refusal)).await;
            // A policy may put secrets into the client's message on purpose; the log must not have them.
            let mut logged = refusal.clone();
            logged.message = routed.exchange.masked(&logged.message);
            traced::refused(server, &mut routed, &mut refusal, asked);
            record.refused(&logged);
            refuse_client(routed, client, refusal, admission).await;
            None
        }
    }
}

/// Sends the client its refusal. While a body still comes from the backend, the connection keeps its
/// permits; otherwise they are released first.
async fn refuse_client(
    routed: Box<RoutedRequest>,
    client: Client,
    refusal: Refusal,
    admission: Option<Admission>,
) {
    let Client {
        leg, connection, ..
    } = client;
    let slot = connection.slot;
    let RoutedRequest {
        api,
        exchange,
        body,
        ..
    } = *routed;
    let is_whole = refusal.extent() == Extent::Whole;
    let Some(body) = body.filter(|_| !is_whole) else {
        drop((admission, exchange));
        return send_refusal::send(leg, &slot, &refusal).await;
    };
    let passing = Box::pin(send_refusal::send_with_body(leg, &refusal, body));
    if let BodySent::Cut(why) = passing.await {
        tracing::warn!(
            api = %api.config.key,
            id = exchange.id,
            backend = exchange.upstream.target.authority(),
            why,
            "the body of a backend's refusal was cut"
        );
    }
    drop(admission);
}

/// Runs the onError policies and gives the client's answer.
async fn refuse(server: &Server, routed: &mut RoutedRequest, refusal: Refusal) -> Refusal {
    let services = &server.shared.services;
    let RoutedRequest {
        api,
        product,
        exchange,
        ..
    } = routed;
    let pipeline = api.pipeline_in(product.as_deref());
    pipeline.on_error(exchange, refusal, services).await
}

/// Registers the session, unless its access was revoked while policies and the backend were asked. The
/// session is registered before that check and before the 101, so no later revocation misses it. A tunnel
/// whose key is revoked later is closed by `Sessions::reconcile` (`tunnel/src/session/registry.rs`), which
/// `gateway::config_applier` calls with every new configuration.
fn enter(
    server: &Server,
    snapshot: &Snapshot,
    routed: &RoutedRequest,
    key_hash: Option<String>,
) -> Result<Session, Refusal> {
    let sessions = &server.shared.sessions;
    let session = sessions.register(&session_info(routed, key_hash));
    let current = server.shared.snapshot.load();
    if std::ptr::eq(&**current, snapshot) {
        return Ok(session);
    }
    match session.revoked_by(&**current) {
        None => Ok(session),
        Some(CloseCause::ApiRemoved) => Err(admit::not_found(
            "the API or its listener was removed during the handshake",
        )),
        Some(cause) => Err(
            access::revoked(&routed.api.config, routed.exchange.key_carrier())
                .detail(format!("{} during the handshake", cause.as_str())),
        ),
    }
}

fn session_info(routed: &RoutedRequest, key_hash: Option<String>) -> SessionInfo {
    let RoutedRequest {
        listener,
        api,
        exchange,
        ..
    } = routed;
    let subscription = exchange.subscription.as_ref();
    SessionInfo {
        id: exchange.id.clone(),
        client: exchange.client.ip,
        api: api.config.key.clone(),
        api_version: api.version,
        listener: listener.clone(),
        product: exchange.product.as_ref().map(|product| product.key.clone()),
        subscription: subscription.map(|subscription| subscription.key.clone()),
        key_hash,
        subscription_expires_at: subscription.and_then(|subscription| subscription.expires_at),
        token_expires_at: exchange.token_expiry,
        live_access: api.config.live_access,
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

impl Active {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
